"""What intake tells of a contact that it took, and what it can't tell any more."""

from pathlib import Path

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1.erasures_pb2 import PersonErased
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake.accept import prepare
from services.intake.showing import masked, words
from services.runtime import ids, privacy
from services.runtime.errors import NotInState
from services.runtime.identity import Caller, Role
from services.runtime.privacy import Keyring

NOW = 1_795_000_000_000
NUMBER, TEXT = "+971501234567", "لا ماء 4711"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    privacy.create(tmp_path, NOW)
    return Keyring(tmp_path)


def taken(keyring: Keyring) -> events_pb2.ContactAccepted:
    contact = service_pb2.Contact(
        source="avaya",
        idempotency_key="1",
        channel=common_pb2.CHANNEL_SMS,
        number=NUMBER,
        text=TEXT,
        place="Jahra",
        event_ms=NOW,
        parts=events_pb2.HeldParts(total=3, held=[1, 3]),
    )
    gateway = Caller("avaya", frozenset({Role.GATEWAY}), "", 0)
    return prepare(contact, gateway, keyring, 8, NOW).event


def test_words_are_what_was_said_and_nothing_else(keyring: Keyring) -> None:
    first = taken(keyring)
    told = words(first, keyring)
    assert (told.text, told.place, list(told.parts.held)) == (TEXT, "Jahra", [1, 3])
    without = str(masked(first, keyring))
    assert "4711" not in without
    assert "Jahra" not in without
    silent = events_pb2.ContactAccepted(contact_id=first.contact_id)
    assert words(silent, keyring) == service_pb2.RevealContactResponse()


def test_words_of_an_erased_person_and_of_a_destroyed_month_are_gone(
    keyring: Keyring, tmp_path: Path
) -> None:
    first, erased = taken(keyring), Keyring(tmp_path)
    person = erased.person(NUMBER)
    erased.erased.take(
        PersonErased(person=person, erasure_id=ids.derive("test"), erased_ms=NOW + 1)
    )
    for key in (tmp_path / "months").iterdir():
        key.unlink()
    for ring in (erased, Keyring(tmp_path)):
        with pytest.raises(NotInState) as gone:
            words(first, ring)
        assert "4711" not in str(gone.value)
        assert masked(first, ring).masked_number == ""
