"""One token key takes another's place while a service runs, and no call is refused by it."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.sessions import secret_of
from services.local.system import make_keys
from services.runtime import token_keys
from services.runtime.audit.chain import Head
from services.runtime.clock import monotonic_s
from services.runtime.errors import ConfigError
from services.runtime.identity import Role, Unauthenticated, Verifier, create_token_key, issue
from services.tools.__main__ import app
from services.tools.audit import heads

NOW = 1_800_000_000_000
AGENT = frozenset({Role.AGENT})


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    create_token_key(tmp_path, "old")
    # Files that are made within a tick of the file system's clock would be equally new.
    os.utime(tmp_path / "tokens" / "old.private.pem", ns=(1, 1))
    return tmp_path


@pytest.fixture
def verifier(ring: Path) -> Verifier:
    return Verifier(ring, lambda: NOW)


@pytest.fixture
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_keys, "LOOK_S", 0.0)


def shown(ring: Path, kid: str = "") -> str:
    return f"Bearer {issue(ring, 'ag-1', AGENT, now=NOW, kid=kid)}"


def test_both_keys_verify_and_then_only_the_new_one(ring: Path, verifier: Verifier) -> None:
    before = shown(ring)
    assert verifier.verify(before).subject == "ag-1"
    create_token_key(ring, "new")
    after = shown(ring)
    # At once: whoever has the key may sign with it before anybody has looked at the files.
    assert verifier.verify(after).subject == "ag-1"
    assert verifier.verify(before).subject == "ag-1"
    token_keys.take_away(ring, "old")
    assert verifier.verify(after).subject == "ag-1"


@pytest.mark.usefixtures("looks_each_time")
def test_a_key_that_was_taken_away_verifies_nothing(ring: Path, verifier: Verifier) -> None:
    create_token_key(ring, "new")
    before, after = shown(ring, "old"), shown(ring, "new")
    # Known: what was verified once must not be believed for longer than its key.
    verifier.verify(before)
    token_keys.take_away(ring, "old")
    with pytest.raises(Unauthenticated):
        verifier.verify(before)
    assert verifier.verify(after).roles == AGENT
    with pytest.raises(ConfigError, match=r"old\.private\.pem"):
        shown(ring, "old")


def test_it_is_noticed_within_seconds(
    ring: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_token_key(ring, "new")
    before = shown(ring, "old")
    verifier.verify(before)
    token_keys.take_away(ring, "old")
    later = monotonic_s() + token_keys.LOOK_S
    monkeypatch.setattr(token_keys, "monotonic_s", lambda: later)
    with pytest.raises(Unauthenticated):
        verifier.verify(before)


@pytest.mark.usefixtures("looks_each_time")
def test_what_is_no_key_takes_none_away(ring: Path, verifier: Verifier) -> None:
    token = shown(ring)
    public = ring / "tokens" / "old.public.pem"
    whole = public.read_bytes()
    public.write_bytes(whole[:20])
    assert verifier.verify(token).subject == "ag-1"
    public.unlink()
    assert verifier.verify(token).subject == "ag-1"
    public.write_bytes(whole)
    assert verifier.verify(token).subject == "ag-1"


@pytest.mark.usefixtures("looks_each_time")
def test_another_key_under_the_same_name_counts_from_then_on(
    ring: Path, verifier: Verifier, tmp_path_factory: pytest.TempPathFactory
) -> None:
    token = shown(ring)
    verifier.verify(token)
    other = tmp_path_factory.mktemp("other")
    create_token_key(other, "old")
    (ring / "tokens" / "old.public.pem").write_bytes(
        (other / "tokens" / "old.public.pem").read_bytes()
    )
    with pytest.raises(Unauthenticated):
        verifier.verify(token)
    assert verifier.verify(shown(other)).subject == "ag-1"


def test_the_newest_key_signs(ring: Path) -> None:
    assert token_keys.signing(ring)[0] == "old"
    create_token_key(ring, "a-newer-one")
    assert token_keys.signing(ring)[0] == "a-newer-one"
    assert token_keys.signing(ring, "old")[0] == "old"
    assert secret_of(ring, "") == secret_of(ring, "a-newer-one") != secret_of(ring, "old")


def test_the_last_key_is_not_taken_away(ring: Path) -> None:
    with pytest.raises(ConfigError, match="only token key"):
        token_keys.take_away(ring, "old")
    with pytest.raises(ConfigError, match=r"gone\.public\.pem is missing"):
        token_keys.take_away(ring, "gone")
    assert token_keys.signing(ring)[0] == "old"


def test_a_head_is_read_when_its_key_signs_no_longer(ring: Path) -> None:
    path = ring / "head.json"
    path.write_text(heads.text_of({("dedup.audit.v1", 0): Head()}, {}, 1, ring))
    create_token_key(ring, "new")
    token_keys.take_away(ring, "old")
    assert heads.read(path, ring).signed_by == "old"


def test_the_command_rotates(tmp_path: Path) -> None:
    make_keys(tmp_path)
    os.utime(tmp_path / "tokens" / "local.private.pem", ns=(1, 1))

    def keys(*arguments: str) -> int:
        said = CliRunner().invoke(app, ["keys", *arguments, "--keys", str(tmp_path)])
        return said.exit_code

    assert keys("--new-token-key", "2027-01") == 0
    assert token_keys.signing(tmp_path)[0] == "2027-01"
    assert keys("--take-away", "local") == 0
    # What makes a key ring whole must not bring the old one's name back.
    make_keys(tmp_path)
    assert sorted(path.name for path in (tmp_path / "tokens").glob("*.pem")) == [
        "2027-01.private.pem",
        "2027-01.public.pem",
    ]
    assert keys("--new-token-key", "local") != 0
    assert keys("--new-token-key", "../away") != 0
