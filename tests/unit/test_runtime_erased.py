"""Who was erased: whatever was sealed of them before is gone, of nobody else, and nothing since."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.dedup.v1.erasures_pb2 import PersonErased

from services.runtime import privacy, sealed
from services.runtime.erased import ErasedPersons
from services.runtime.errors import Poison
from services.runtime.privacy import Erased, Keyring

AT_MS = 1_795_339_200_000
NUMBER, OTHER = "+999501234567", "+999501234568"
times = st.integers(-100_000, 100_000).map(lambda by: AT_MS + by)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ring")
    privacy.create(made, AT_MS)
    return made


def erased(person: bytes, at_ms: int, erasure_id: str = "one") -> PersonErased:
    return PersonErased(person=person, erasure_id=erasure_id, erased_ms=at_ms)


def opens(keyring: Keyring, value: bytes) -> bool:
    try:
        return keyring.unseal("text", value) == "words"
    except Erased:
        return False


@given(
    st.lists(st.tuples(st.booleans(), times), max_size=8),
    st.lists(st.tuples(st.booleans(), times), max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_was_sealed_before_the_last_erasure_of_its_person_is_gone(
    folder: Path,
    told: list[tuple[bool, int]],
    erasures: list[tuple[bool, int]],
    chance: object,
) -> None:
    keyring = Keyring(folder)
    people = {True: keyring.person(NUMBER), False: keyring.person(OTHER)}
    values = [(who, at, keyring.seal("text", "words", at, people[who])) for who, at in told]
    # Read twice, as after Kafka has failed, and in another order: the same.
    again = [*erasures, *erasures]
    chance.shuffle(again)  # type: ignore[attr-defined]
    for who, at in again:
        keyring.erased.take(erased(people[who], at))
    for who, at, value in values:
        until = max((when for whom, when in erasures if whom is who), default=-1)
        assert opens(keyring, value) is (at > until)
        assert keyring.erased.gone(value) is (at <= until)


def test_the_latest_erasure_holds_in_whatever_order_it_is_read() -> None:
    person = b"p" * 16
    records = [erased(person, AT_MS + n, f"request-{n}") for n in range(3)]
    for order in permutations(records):
        known = ErasedPersons()
        for record in order:
            known.take(record)
        last = known.last(person)
        assert last is not None
        assert (last.erasure_id, last.at_ms) == ("request-2", AT_MS + 2)


def test_only_what_is_new_counts_as_a_change() -> None:
    known, person = ErasedPersons(), b"p" * 16
    assert (known.changes, person in known, known.last(person)) == (0, False, None)
    known.take(erased(person, AT_MS))
    known.take(erased(person, AT_MS))
    known.take(erased(person, AT_MS - 1))
    assert (known.changes, person in known) == (1, True)


def test_what_is_about_nobody_who_is_known_is_never_gone(folder: Path) -> None:
    keyring = Keyring(folder)
    value = keyring.seal("text", "words", AT_MS)
    keyring.erased.take(erased(b"", AT_MS + 1))
    keyring.erased.take(erased(keyring.person(NUMBER), AT_MS + 1))
    assert keyring.unseal("text", value) == "words"
    assert not keyring.erased.gone(b"")


def test_an_erased_value_tells_why_and_nothing_else(folder: Path) -> None:
    keyring = Keyring(folder)
    person = keyring.person(NUMBER)
    value = keyring.seal("number", NUMBER, AT_MS, person)
    keyring.erased.take(erased(person, AT_MS))
    with pytest.raises(Erased, match=r"^number: the person was erased$"):
        keyring.unseal("number", value)


def test_a_value_cannot_be_passed_off_as_anothers_or_as_sealed_later(folder: Path) -> None:
    keyring = Keyring(folder)
    person, other = keyring.person(NUMBER), keyring.person(OTHER)
    value = keyring.seal("text", "words", AT_MS, person)
    head = sealed.header_of(value)
    month = sealed.month_of(head)
    body = value[len(head) :]
    for forged in (
        sealed.header(month, AT_MS, other),
        sealed.header(month, AT_MS + 60_000, person),
        sealed.header(month, AT_MS, b""),
    ):
        with pytest.raises(Poison, match="damaged"):
            keyring.unseal("text", forged + body)


@given(st.binary(max_size=60))
def test_any_bytes_have_a_header_or_none(value: bytes) -> None:
    head = sealed.header_of(value)
    assert value.startswith(head)
    assert ErasedPersons().gone(value) is False
    assert (sealed.about(head) is None) is (len(head) < 16)
