"""The file of exported heads: signed, and refused when it says anything else than was signed."""

import json
from pathlib import Path

import pytest

from services.runtime.audit.chain import Head
from services.runtime.errors import ConfigError
from services.runtime.identity import Unauthenticated, Verifier, create_token_key
from services.tools.audit import heads

AT = ("dedup.audit.v1", 1)
HEADS = {AT: Head(4, b"h" * 32), ("outreach.audit.v1", 0): Head()}


def written(folder: Path, keys: Path) -> Path:
    path = folder / "head.json"
    path.write_text(heads.text_of(HEADS, {AT: 17}, 18, keys))
    return path


def test_what_was_exported_is_read_again(tmp_path: Path) -> None:
    create_token_key(tmp_path)
    read = heads.read(written(tmp_path, tmp_path), tmp_path)
    assert read == heads.Exported(18, HEADS, "local")


def test_without_a_private_key_it_is_not_signed_and_says_so(tmp_path: Path) -> None:
    assert heads.read(written(tmp_path, tmp_path), tmp_path).signed_by == ""


@pytest.mark.parametrize("field", ["count", "hash", "partition", "topic", "last_ms"])
def test_what_was_changed_after_signing_is_refused(tmp_path: Path, field: str) -> None:
    create_token_key(tmp_path)
    path = written(tmp_path, tmp_path)
    said = json.loads(path.read_text())
    said["chains"][0][field] = {"hash": "00" * 32, "topic": "x"}.get(field, 99)
    path.write_text(json.dumps(said))
    with pytest.raises(ConfigError, match="was changed after it was signed"):
        heads.read(path, tmp_path)


def test_another_ring_s_signature_is_refused(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    for keys in (ours, others):
        create_token_key(keys)
    with pytest.raises(ConfigError, match="not in"):
        heads.read(written(tmp_path, others), ours)


def test_the_signature_opens_no_service(tmp_path: Path) -> None:
    create_token_key(tmp_path)
    signature = json.loads(written(tmp_path, tmp_path).read_text())["signature"]
    with pytest.raises(Unauthenticated):
        Verifier(tmp_path).verify(f"Bearer {signature}")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "x"}', '{"format": "mawja.audit-head.v1", "chains": 3}']
)
def test_what_is_no_file_of_heads_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "head.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="no file of heads"):
        heads.read(path, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        heads.read(tmp_path / "none", tmp_path)
