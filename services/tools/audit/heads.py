"""The file in which the heads of all chains are exported: where each stood, signed.

Whoever can write to the logs can make a chain anew that is whole; it is another than the one whose
head lies where they can't write. So a head is worth as much as the place where it is kept.

The signature is a token of the key ring over the SHA-256 of the file's other fields; it is no token
that a service takes, because it is made for another audience.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from services.runtime import token_keys
from services.runtime.audit.chain import Head
from services.runtime.errors import ConfigError

FORMAT = "mawja.audit-head.v1"
_AUDIENCE = "mawja-audit-head"
Place = tuple[str, int]
"""A topic and one of its partitions."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The heads of a file. `signed_by`: the key that signed it; empty when none did."""

    made_ms: int
    heads: Mapping[Place, Head]
    signed_by: str


def text_of(
    heads: Mapping[Place, Head], last_ms: Mapping[Place, int], made_ms: int, keys: Path
) -> str:
    """The file of `heads`, as JSON. `last_ms`: when the last record of each was chained. Signed
    where the key ring has a private token key; else it has no signature."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "made_ms": made_ms,
        "chains": [
            {
                "topic": topic,
                "partition": partition,
                "count": head.count,
                "hash": head.hash.hex(),
                "last_ms": last_ms.get((topic, partition), 0),
            }
            for (topic, partition), head in sorted(heads.items())
        ],
    }
    if any((keys / "tokens").glob(f"*{token_keys.PRIVATE}")):
        kid, private = token_keys.signing(keys)
        claims = {"aud": _AUDIENCE, "sha256": _digest(said)}
        said["signature"] = jwt.encode(
            claims, private.read_text(), algorithm="EdDSA", headers={"kid": kid}
        )
    return json.dumps(said, indent=2)


def read(path: Path, keys: Path) -> Exported:
    """The heads in a file. Raises ConfigError when it is none, or its signature is not that of a
    key of the ring over what stands in it."""
    try:
        said = json.loads(path.read_text("utf-8"))
        if said["format"] != FORMAT:
            raise ValueError("another format")
        signature = said.pop("signature", "")
        heads = {
            (str(one["topic"]), int(one["partition"])): Head(
                int(one["count"]), bytes.fromhex(one["hash"])
            )
            for one in said["chains"]
        }
        made_ms = int(said["made_ms"])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is no file of heads; `mawja audit head` makes one") from None
    return Exported(made_ms, heads, _signer(said, signature, path, keys) if signature else "")


def _signer(said: Mapping[str, Any], signature: str, path: Path, keys: Path) -> str:
    try:
        kid = str(jwt.get_unverified_header(signature)["kid"])
        # A head is kept for longer than a token key signs.
        public = token_keys.kept(keys)
        claims = jwt.decode(
            signature, public[kid].read_text(), algorithms=["EdDSA"], audience=_AUDIENCE
        )
        if claims["sha256"] != _digest(said):
            raise ValueError("of something else")
        return kid
    except (jwt.InvalidTokenError, ValueError, KeyError, OSError):
        raise ConfigError(
            f"{path} was changed after it was signed, or by a key that is not in {keys}: what it "
            "says proves nothing"
        ) from None


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
