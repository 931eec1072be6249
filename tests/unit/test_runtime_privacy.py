"""Numbers and texts: sealed, hashed, masked, erased; and blotted out of logs."""

import hashlib
import hmac
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import log, privacy
from services.runtime.errors import ConfigError, Poison
from services.runtime.privacy import Erased, Keyring, mask

AT_MS = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000)
NUMBER = "+971501234567"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    privacy.create(tmp_path, AT_MS)
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder = tmp_path_factory.mktemp("ring")
    privacy.create(folder, AT_MS)
    return Keyring(folder)


def test_what_is_sealed_is_read_back(ring: Path) -> None:
    keyring = Keyring(ring)
    sealed = keyring.seal("text", "لا يوجد ماء", AT_MS)
    assert "ماء".encode() not in sealed
    assert Keyring(ring).unseal("text", sealed) == "لا يوجد ماء"
    assert sealed[0] == 1
    assert int.from_bytes(sealed[1:3], "big") == 26 * 12 + 10


def test_two_seals_of_one_text_differ(ring: Path) -> None:
    keyring = Keyring(ring)
    assert keyring.seal("text", "a", AT_MS) != keyring.seal("text", "a", AT_MS)


def test_empty_stays_empty(ring: Path) -> None:
    keyring = Keyring(ring)
    assert keyring.seal("text", "", AT_MS) == b""
    assert keyring.unseal("text", b"") == ""


def test_a_number_cannot_be_passed_off_as_a_text(ring: Path) -> None:
    keyring = Keyring(ring)
    with pytest.raises(Poison, match=r"text: .*damaged"):
        keyring.unseal("text", keyring.seal("number", NUMBER, AT_MS))


@given(texts, st.integers(0, 400), st.integers(1, 255))
def test_one_changed_byte_is_noticed(shared: Keyring, text: str, place: int, change: int) -> None:
    sealed = bytearray(shared.seal("text", text or "x", AT_MS))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(Poison) as caught:
        shared.unseal("text", bytes(sealed))
    assert not text or len(text) < 4 or text not in str(caught.value)


@given(st.binary(max_size=100))
def test_anything_else_is_poison(shared: Keyring, damaged: bytes) -> None:
    if damaged:
        with pytest.raises(Poison):
            shared.unseal("text", damaged)


@given(texts)
def test_any_text_comes_back(shared: Keyring, text: str) -> None:
    assert shared.unseal("place", shared.seal("place", text, AT_MS)) == text


def test_a_destroyed_key_erases_its_month_and_no_other(ring: Path) -> None:
    next_ms = AT_MS + 30 * 24 * 3600 * 1000
    keyring = Keyring(ring)
    gone, kept = keyring.seal("text", "a", AT_MS), keyring.seal("text", "b", next_ms)
    (ring / "months" / "2026-11.key").unlink()
    fresh = Keyring(ring)
    with pytest.raises(Erased, match="text: the key of its month is gone"):
        fresh.unseal("text", gone)
    assert fresh.unseal("text", kept) == "b"


def test_a_destroyed_key_erases_within_a_minute_in_a_running_service(
    ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(privacy, "monotonic_s", lambda: now)
    keyring = Keyring(ring)
    sealed = keyring.seal("text", "a", AT_MS)
    (ring / "months" / "2026-11.key").unlink()
    now = 61.0
    with pytest.raises(Erased):
        keyring.unseal("text", sealed)
    with pytest.raises(ConfigError, match=r"2026-11\.key is missing"):
        keyring.seal("text", "a", AT_MS)


def test_a_key_that_cannot_be_read_is_not_a_destroyed_one(ring: Path) -> None:
    sealed = Keyring(ring).seal("text", "a", AT_MS)
    (ring / "months" / "2026-11.key").write_text("half a key")
    with pytest.raises(ConfigError, match=r"2026-11\.key in .* cannot be read"):
        Keyring(ring).unseal("text", sealed)


def test_errors_of_the_ring_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"person\.key is missing in .*; see `mawja keys`"):
        Keyring(tmp_path)
    (tmp_path / "person.key").write_text("ab" * 31)
    with pytest.raises(ConfigError, match=r"person\.key in .* must be 32 bytes"):
        Keyring(tmp_path)
    (tmp_path / "person.key").write_text("zz" * 32)
    with pytest.raises(ConfigError, match="64 hex digits"):
        Keyring(tmp_path)
    (tmp_path / "person.key").write_text("ab" * 32)
    with pytest.raises(ConfigError, match=r"2026-11\.key is missing"):
        Keyring(tmp_path).seal("text", "a", AT_MS)


def test_making_a_ring_again_changes_nothing(ring: Path) -> None:
    before = {path: path.read_bytes() for path in ring.rglob("*.key")}
    assert {path.name for path in before} == {"person.key", "2026-11.key", "2026-12.key"}
    privacy.create(ring, AT_MS)
    assert {path: path.read_bytes() for path in ring.rglob("*.key")} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in before)


def test_december_is_followed_by_january(tmp_path: Path) -> None:
    privacy.create(tmp_path, int(datetime(2026, 12, 31, tzinfo=UTC).timestamp() * 1000))
    assert {p.name for p in (tmp_path / "months").iterdir()} == {"2026-12.key", "2027-01.key"}


def test_person_is_the_keyed_hash_of_the_number(ring: Path) -> None:
    key = bytes.fromhex((ring / "person.key").read_text())
    keyring = Keyring(ring)
    expected = hmac.new(key, b"person\x1f" + NUMBER.encode(), hashlib.sha256).digest()[:16]
    assert keyring.person(NUMBER) == expected
    assert keyring.handle(NUMBER) != expected
    assert keyring.mac("person", NUMBER.encode()) == expected
    assert keyring.handle("@Ali") == keyring.handle("@ALI") != keyring.handle("@Alia")
    assert keyring.word_hash("a") != keyring.word_hash("b")
    assert 0 <= keyring.word_hash("a") < 2**32


@pytest.mark.parametrize(
    ("number", "shown"),
    [(NUMBER, "+971•••••••67"), ("", ""), ("+12345678", "+123•••78")],
)
def test_mask_hides_all_but_the_ends(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_mask_never_shows_more_than_five_digits(number: str) -> None:
    assert len(mask(number)) == len(number)
    assert sum(c.isdigit() for c in mask(number)) == 5


def logged(**fields: object) -> str:
    """What one log line says, through the processors that `configure` sets."""
    out = io.StringIO()
    log.configure("test", "debug")
    configured = structlog.get_config()["processors"]
    structlog.configure(
        processors=configured,
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    try:
        structlog.get_logger().info("said", **fields)
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    return out.getvalue()


class Odd:
    def __repr__(self) -> str:
        return f"<Odd {NUMBER}>"


@pytest.mark.parametrize(
    "value",
    [
        NUMBER,
        f"call {NUMBER}, then {NUMBER}.",
        f"{NUMBER}x",
        f"{NUMBER}1234567890",
        {"a": [NUMBER]},
        {NUMBER: 1},
        (1, {"b": (NUMBER,)}),
        {NUMBER},
        Odd(),
        [Odd()],
        ValueError(NUMBER),
    ],
    ids=str,
)
def test_numbers_are_blotted_out_of_every_field(value: object) -> None:
    line = logged(field=value)
    assert "501234567" not in line
    assert "[number]" in line
    json.loads(line)


def test_numbers_are_blotted_out_of_exceptions() -> None:
    try:
        raise ValueError(f"no such number {NUMBER}")
    except ValueError as error:
        line = logged(exc_info=error)
    assert "ValueError" in line
    assert "501234567" not in line


def test_what_is_no_number_stays() -> None:
    fields = json.loads(logged(a=1, b=None, c="1+1", d=[1.5, True], e={"f": "+12"}))
    assert {k: fields[k] for k in "abcde"} == {
        "a": 1,
        "b": None,
        "c": "1+1",
        "d": [1.5, True],
        "e": {"f": "+12"},
    }
