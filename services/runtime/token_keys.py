"""The keys of tokens: which of them verify now, which one signs, and how one takes another's place.

In the key ring `tokens/<kid>.public.pem` verifies and `tokens/<kid>.private.pem` (only where tokens
are issued) signs. Several verify at a time, so a new key is given to every service before the first
token is signed with it, and an old one is taken away when its last token has expired. Services look
at the files while they run: no call is refused by a rotation.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.runtime import log
from services.runtime.clock import monotonic_s
from services.runtime.errors import ConfigError

LOOK_S = 5.0
"""How often the files are looked at, while there are calls: so long a key that was taken away may
still verify."""
PUBLIC, PRIVATE = ".public.pem", ".private.pem"
TAKEN_AWAY = "taken-away"
"""The folder, in `tokens`, of public keys that verify no token any more, only what was signed to
be kept (heads of the audit)."""
_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")
_log = log.get("tokens")


class PublicKeys:
    """The public keys of a key ring's folder as they are now. Raises ConfigError when there is none
    at the start, or one is no Ed25519 public key; later the last good one of its name holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tokens"
        self._pems = dict(_pems(self._folder))
        if not self._pems:
            raise ConfigError(f"no *{PUBLIC} in {self._folder}; see `mawja keys`")
        self._keys = {kid: self._key(kid, pem) for kid, pem in self._pems.items()}
        self._looked_s = monotonic_s()

    def current(self) -> Mapping[str, Ed25519PublicKey]:
        """The keys by their names; another object once they have changed."""
        if monotonic_s() - self._looked_s >= LOOK_S:
            self._look()
        return self._keys

    def called(self, kid: str) -> Ed25519PublicKey | None:
        """The key of that name. One that is not known is looked for at once: a token may be signed
        the moment its key is there. That reads the files, some 0.1 ms, as long as verifying."""
        if kid not in self._keys:
            self._look()
        return self._keys.get(kid)

    def _look(self) -> None:
        self._looked_s = monotonic_s()
        try:
            pems = dict(_pems(self._folder))
        except OSError as error:
            _log.warning("the last token keys hold: they cannot be read", why=error.strerror)
            return
        if pems == self._pems:
            return
        if not pems:
            # Nobody means to refuse every call: a folder that is not there for a moment.
            _log.warning("the last token keys hold: there is none any more")
            return
        keys = {}
        for kid, pem in pems.items():
            try:
                keys[kid] = self._key(kid, pem)
            except ConfigError as error:
                _log.warning("a token key is no key", why=str(error))
                if kid in self._keys:
                    keys[kid] = self._keys[kid]
        self._pems, self._keys = pems, keys
        _log.info("token keys have changed", keys=sorted(keys))

    def _key(self, kid: str, pem: bytes) -> Ed25519PublicKey:
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{kid}{PUBLIC} in {self._folder} must be an Ed25519 public key")
        return key


def _pems(tokens: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(tokens.glob(f"*{PUBLIC}")):
        yield path.name.removesuffix(PUBLIC), path.read_bytes()


def signing(folder: Path, kid: str = "") -> tuple[str, Path]:
    """Name and file of the private key that signs: `kid`, else the newest of the key ring's folder.
    Raises ConfigError where there is none."""
    tokens = folder / "tokens"
    private = [tokens / f"{kid}{PRIVATE}"] if kid else list(tokens.glob(f"*{PRIVATE}"))
    found = [(path.stat().st_mtime_ns, path.name, path) for path in private if path.exists()]
    if not found:
        raise ConfigError(
            f"{kid or '*'}{PRIVATE} is missing in {tokens}: tokens are not issued here"
        )
    path = max(found)[2]
    return path.name.removesuffix(PRIVATE), path


def check_new(folder: Path, kid: str) -> None:
    """Raises ConfigError unless `kid` can be the name of a new key."""
    if not _NAME.fullmatch(kid):
        raise ConfigError("a token key is named by letters, digits and hyphens, at most 40")
    if kid in kept(folder):
        raise ConfigError(f"there is, or was, a token key {kid}: take another name")


def take_away(folder: Path, kid: str) -> None:
    """The key `kid` signs and verifies no token of this key ring any more. Its public half is kept
    apart, its private one destroyed. Raises ConfigError when there is no such key, or no other."""
    tokens = folder / "tokens"
    public = tokens / f"{kid}{PUBLIC}"
    if not public.exists():
        raise ConfigError(f"{public.name} is missing in {tokens}")
    if len(list(tokens.glob(f"*{PUBLIC}"))) == 1:
        raise ConfigError(f"{kid} is the only token key: make another first (--new-token-key)")
    (tokens / f"{kid}{PRIVATE}").unlink(missing_ok=True)
    (tokens / TAKEN_AWAY).mkdir(exist_ok=True, mode=0o700)
    public.rename(tokens / TAKEN_AWAY / public.name)


def kept(folder: Path) -> dict[str, Path]:
    """The public keys by which what was signed to be kept is read, by name: also those taken
    away."""
    tokens = folder / "tokens"
    return {
        path.name.removesuffix(PUBLIC): path
        for place in (tokens / TAKEN_AWAY, tokens)
        for path in place.glob(f"*{PUBLIC}")
    }
