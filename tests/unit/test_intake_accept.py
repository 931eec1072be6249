"""What intake makes of a contact before it is taken: rules, marks, hashes, and what differs."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1.erasures_pb2 import PersonErased
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake import shed
from services.intake.accept import call_event, differences, prepare
from services.intake.entries import Entry
from services.runtime import ids, privacy, sealed
from services.runtime.errors import Forbidden, Invalid
from services.runtime.identity import Caller, Role
from services.runtime.numbers import is_synthetic, line_of
from services.runtime.privacy import Erased, Keyring

NOW = 1_795_000_000_000
GATEWAY = Caller("avaya", frozenset({Role.GATEWAY}), "", 0)
TESTER = Caller("lt", frozenset({Role.LOAD_TESTER}), "", 0)
MOBILE = "+971501234567"


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder = tmp_path_factory.mktemp("ring")
    privacy.create(folder, NOW)
    return Keyring(folder)


def contact(**changes: Any) -> service_pb2.Contact:
    fields: dict[str, Any] = {
        "source": "avaya",
        "idempotency_key": "1",
        "channel": common_pb2.CHANNEL_VOICE,
        "number": MOBILE,
        "event_ms": NOW,
        **changes,
    }
    return service_pb2.Contact(**fields)


def refused(keyring: Keyring, given_contact: service_pb2.Contact) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        prepare(given_contact, GATEWAY, keyring, 8, NOW)
    return {v.field: v.rule for v in caught.value.violations}


def test_a_contact_becomes_a_fact_with_everything_personal_sealed(keyring: Keyring) -> None:
    prepared = prepare(
        contact(text="help", place="Sharjah", handle="@Ali", agency="moh"), GATEWAY, keyring, 8, NOW
    )
    event = prepared.event
    assert event.contact_id == prepared.contact_id == ids.contact_id("avaya", "1")
    assert event.person == keyring.person(MOBILE) == prepared.key
    assert event.handle == keyring.handle("@ali")
    assert event.number_line == common_pb2.LINE_MOBILE
    assert keyring.unseal("number", event.sealed_number) == MOBILE
    assert keyring.unseal("text", event.sealed_text) == "help"
    assert keyring.unseal("place", event.sealed_place) == "Sharjah"
    assert keyring.unseal("handle", event.sealed_handle) == "@Ali"
    stored = event.SerializeToString()
    for personal in (MOBILE, "help", "Sharjah", "@Ali", "@ali"):
        assert personal.encode() not in stored


def test_who_was_erased_while_a_message_waited_stays_so(tmp_path: Path) -> None:
    """It was told, its sender was erased, and only then it is taken."""
    privacy.create(tmp_path, NOW)
    keyring = Keyring(tmp_path)
    person = keyring.person(MOBILE)
    keyring.erased.take(PersonErased(person=person, erasure_id="e", erased_ms=NOW - 30_000))
    waited = prepare(contact(text="help"), GATEWAY, keyring, 8, NOW, told_ms=NOW - 60_000)
    with pytest.raises(Erased):
        keyring.unseal("text", waited.event.sealed_text)
    assert waited.event.accepted_ms == NOW
    new = prepare(contact(text="help"), GATEWAY, keyring, 8, NOW, told_ms=NOW - 20_000)
    assert keyring.unseal("text", new.event.sealed_text) == "help"
    # A clock that is behind the one that heard it can't seal in the future.
    ahead = prepare(contact(text="help"), GATEWAY, keyring, 8, NOW, told_ms=NOW + 60_000)
    assert sealed.about(sealed.header_of(ahead.event.sealed_text)) == (person, NOW)


def test_a_withheld_number_is_a_contact_of_its_own(keyring: Keyring) -> None:
    one = prepare(contact(number="", withheld=True), GATEWAY, keyring, 8, NOW)
    two = prepare(contact(number="", withheld=True, idempotency_key="2"), GATEWAY, keyring, 8, NOW)
    assert one.event.person == b""
    assert one.key == one.index_key != two.key


def test_the_mac_tells_every_other_body(keyring: Keyring) -> None:
    base = prepare(contact(), GATEWAY, keyring, 8, NOW)
    again = prepare(contact(), GATEWAY, keyring, 8, NOW + 5000)
    assert base.mac == again.mac
    assert len(base.mac) == 16
    for change in (
        {"agency": "moh"},
        {"event_ms": NOW - 1},
        {"text": "x"},
        {"number": "+971501234568"},
        {"life_safety": True},
        {"drill": True},
        {"party": common_pb2.PARTY_PERSON},
    ):
        assert prepare(contact(**change), GATEWAY, keyring, 8, NOW).mac != base.mac


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": ""}, "contact.source"),
        ({"source": "Avaya"}, "contact.source"),
        ({"source": "a" * 65}, "contact.source"),
        ({"idempotency_key": ""}, "contact.idempotency_key"),
        ({"idempotency_key": "ك" * 101}, "contact.idempotency_key"),
        ({"kind": 99}, "contact.kind"),
        ({"channel": 0, "text": "x"}, "contact.channel"),
        ({"channel": 99, "text": "x"}, "contact.channel"),
        ({"line": "1 0 9"}, "contact.line"),
        ({"agency": "MOH"}, "contact.agency"),
        ({"topic": "a" * 33}, "contact.topic"),
        ({"language": "arabic"}, "contact.language"),
        ({"number": "0501234567"}, "contact.number"),
        ({"number": "+0971501234567"}, "contact.number"),
        ({"number": MOBILE + "\n"}, "contact.number"),
        ({"number": "+97150123456712345"}, "contact.number"),
        ({"number": "+9715012"}, "contact.number"),
        ({"number": "+9995123"}, "contact.number"),
        ({"number": "+999512345678"}, "contact.number"),
        ({"handle": "@" * 257}, "contact.handle"),
        ({"party": 99}, "contact.party"),
        ({"text": "x" * 16385}, "contact.text"),
        ({"place": "x" * 513}, "contact.place"),
        ({"event_ms": 0}, "contact.event_ms"),
        ({"event_ms": -5}, "contact.event_ms"),
        ({"event_ms": NOW + 5 * 60_000 + 1}, "contact.event_ms"),
        ({"withheld": True}, "contact"),
        ({"number": ""}, "contact"),
        ({"channel": common_pb2.CHANNEL_SMS}, "contact"),
    ],
    ids=str,
)
def test_a_broken_rule_is_named_and_its_value_is_not(
    keyring: Keyring, changes: dict[str, Any], field: str
) -> None:
    found = refused(keyring, contact(**changes))
    assert list(found) == [field]
    value = next(iter(changes.values()))
    assert not (isinstance(value, str) and len(value) > 3) or value not in found[field]


def test_every_broken_rule_is_listed(keyring: Keyring) -> None:
    found = refused(
        keyring,
        contact(source="", channel=0, number="12", language="?", event_ms=NOW + 10**9),
    )
    assert {
        "contact.source",
        "contact.channel",
        "contact.number",
        "contact.language",
        "contact.event_ms",
    } <= set(found)


def test_five_minutes_ahead_is_still_taken(keyring: Keyring) -> None:
    prepare(contact(event_ms=NOW + 5 * 60_000), GATEWAY, keyring, 8, NOW)


@pytest.mark.parametrize("source", ["avayax", "other", "avay", "x/avaya"])
def test_nobody_submits_for_another(keyring: Keyring, source: str) -> None:
    with pytest.raises(Forbidden, match=r"contact\.source"):
        prepare(contact(source=source), GATEWAY, keyring, 8, NOW)
    prepare(contact(source="avaya/dxb-1"), GATEWAY, keyring, 8, NOW)


def test_what_a_load_tester_submits_is_marked(keyring: Keyring) -> None:
    with pytest.raises(Forbidden, match="drill"):
        prepare(contact(source="lt"), TESTER, keyring, 8, NOW)
    marked = contact(source="lt", number="+999512345678", drill=True)
    assert prepare(marked, TESTER, keyring, 8, NOW).event.drill


def test_a_rehearsal_number_needs_the_mark_from_everybody(keyring: Keyring) -> None:
    assert "set drill" in refused(keyring, contact(number="+999512345678"))["contact.number"]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        ("+971501234567", common_pb2.LINE_MOBILE),
        ("+97444123456", common_pb2.LINE_FIXED),
        ("+97142345678", common_pb2.LINE_FIXED),
        ("+9718001234", common_pb2.LINE_FIXED),
        ("+12025550123", common_pb2.LINE_MOBILE),
        ("+999512345678", common_pb2.LINE_MOBILE),
        ("+999412345678", common_pb2.LINE_FIXED),
        ("+99951234567", None),
        ("+9715", None),
        ("+0", None),
        ("nonsense", None),
    ],
)
def test_lines_of_numbers(number: str, line: int | None) -> None:
    assert line_of(number) == line


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_any_number_has_an_answer(number: str) -> None:
    assert line_of(number) in {None, 0, 1, 2}
    assert is_synthetic(number) == number.startswith("+999")


DIFFERENT: list[tuple[dict[str, Any], list[str]]] = [
    ({"agency": "moh"}, ["agency"]),
    ({"number": "+971501234568"}, ["number"]),
    ({"text": "x", "place": "y", "handle": "z"}, ["handle", "place", "text"]),
    ({"event_ms": NOW - 1, "life_safety": True}, ["event_ms", "life_safety"]),
    ({"channel": common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO, "kind": 2}, ["channel", "kind"]),
    ({"line": "109", "topic": "t", "language": "ar"}, ["language", "line", "topic"]),
    ({"party": 2, "drill": True}, ["drill", "party"]),
    ({"parts": events_pb2.HeldParts(total=3, held=[1, 3])}, ["parts"]),
    ({"recorded": True}, ["recorded"]),
    ({"exercise": common_pb2.Exercise(agent="amina", difficulty=2)}, ["exercise"]),
]


@pytest.mark.parametrize(("changes", "fields"), DIFFERENT, ids=str)
def test_what_differs_is_named(
    keyring: Keyring, changes: dict[str, Any], fields: list[str]
) -> None:
    first = prepare(contact(), GATEWAY, keyring, 8, NOW).event
    assert differences(contact(**changes), first, keyring) == fields


def test_every_field_of_a_contact_is_compared(keyring: Keyring) -> None:
    named = {name for _, fields in DIFFERENT for name in fields}
    all_fields = {field.name for field in service_pb2.Contact.DESCRIPTOR.fields}
    # The first two are the key itself; `withheld` is what is left when nothing else differs.
    assert named == all_fields - {"source", "idempotency_key", "withheld"}
    first = prepare(contact(handle="h", number=""), GATEWAY, keyring, 8, NOW).event
    other = contact(handle="h", number="", withheld=True)
    assert differences(other, first, keyring) == ["withheld"]


def test_what_was_erased_is_not_compared(tmp_path: Path) -> None:
    privacy.create(tmp_path, NOW)
    first = prepare(contact(text="a"), GATEWAY, Keyring(tmp_path), 8, NOW).event
    for key in (tmp_path / "months").iterdir():
        key.unlink()
    assert differences(contact(text="b", agency="moh"), first, Keyring(tmp_path)) == ["agency"]


def test_an_event_of_a_call_goes_where_its_contact_went(keyring: Keyring) -> None:
    call = service_pb2.ReportedCall(
        source="avaya",
        contact_key="1",
        state=events_pb2.CALL_STATE_ANSWERED,
        number=MOBILE,
        event_ms=NOW,
    )
    event, key = call_event(call, GATEWAY, keyring, NOW)
    prepared = prepare(contact(), GATEWAY, keyring, 8, NOW)
    assert (event.contact_id, key) == (prepared.contact_id, prepared.key)
    call.number = ""
    event, key = call_event(call, GATEWAY, keyring, NOW)
    withheld = prepare(contact(number="", withheld=True), GATEWAY, keyring, 8, NOW)
    assert (event.contact_id, key) == (withheld.contact_id, withheld.key)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": 0}, "calls.state"),
        ({"agent": "Ali Hassan"}, "calls.agent"),
        ({"queue_wait_ms": -1}, "calls.queue_wait_ms"),
        ({"handling_ms": 86_400_001}, "calls.handling_ms"),
        ({"event_ms": NOW + 300_001}, "calls.event_ms"),
        ({"number": "+999512345678"}, "calls.number"),
        ({"contact_key": ""}, "calls.contact_key"),
    ],
    ids=str,
)
def test_a_broken_rule_of_a_call_is_named(
    keyring: Keyring, changes: dict[str, Any], field: str
) -> None:
    fields: dict[str, Any] = {
        "source": "avaya",
        "contact_key": "1",
        "state": events_pb2.CALL_STATE_OFFERED,
        "event_ms": NOW,
        **changes,
    }
    with pytest.raises(Invalid) as caught:
        call_event(service_pb2.ReportedCall(**fields), GATEWAY, keyring, NOW)
    assert [v.field for v in caught.value.violations] == [field]


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_that_parse_are_taken_or_refused(keyring: Keyring, data: bytes) -> None:
    parsed = service_pb2.Contact()
    try:
        parsed.ParseFromString(data)
    except DecodeError:
        return
    with contextlib.suppress(Invalid, Forbidden):
        assert prepare(parsed, GATEWAY, keyring, 8, NOW).contact_id


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**63),
    st.integers(0, 65535),
    st.none() | st.integers(0, 2**63 - 1),
    st.integers(0, 2**62),
)
def test_an_entry_of_the_index_packs_into_34_bytes(
    mac: bytes, accepted: int, partition: int, offset: int | None, since: int
) -> None:
    entry = Entry(mac, accepted, partition, offset, since if offset is None else 0)
    assert len(entry.pack()) == 34
    assert Entry.unpack(entry.pack()) == entry


@given(st.integers(10, 10**6), st.integers(0, 10**6))
def test_life_safety_is_turned_away_last(limit: int, inflight: int) -> None:
    if shed.admits(inflight, limit, False):
        assert shed.admits(inflight, limit, True)
    assert shed.admits(limit - 1, limit, True)
    assert not shed.admits(limit, limit, True)
    reserved = limit - int(limit * 0.8)
    assert not shed.admits(limit - reserved, limit, False)
    assert shed.admits(limit - reserved - 1, limit, False)


@given(st.integers(10, 10**6), st.integers(0, 10**6), st.integers(1, 500))
def test_a_bundle_of_ordinary_ones_leaves_the_reserved_share(
    limit: int, inflight: int, count: int
) -> None:
    room = int(limit * 0.8)
    if shed.admits_bundle(inflight, limit, count):
        assert shed.admits(inflight, limit, False)
        # A big one is taken one by one, as far as there is room.
        assert inflight + count <= room or count * 4 > room
    if inflight + count <= room:
        assert shed.admits_bundle(inflight, limit, count)


def test_a_claim_of_the_first_version_does_not_say_since_when() -> None:
    old = Entry(b"m" * 16, 1, 2, 3).pack()[:26] + b"\xff" * 8
    assert Entry.unpack(old) == Entry(b"m" * 16, 1, 2, None, 0)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_delay_grows_with_the_line_and_has_an_end(
    turned_away: int, taken: int, elapsed_ms: int
) -> None:
    delay = shed.retry_after_ms(turned_away, taken, elapsed_ms)
    longer = shed.retry_after_ms(turned_away + 1000, taken, elapsed_ms)
    assert 250 <= delay <= longer <= 8_000


def test_who_is_turned_away_comes_back_when_the_line_before_them_was_taken() -> None:
    assert shed.retry_after_ms(0, 0, 0) == 250
    assert shed.retry_after_ms(9_000, 5_000, 1_000) == 800
    assert shed.retry_after_ms(4_000, 5_000, 1_000) == 250
    # Nothing is taken: Kafka stands still.
    assert shed.retry_after_ms(100, 0, 3_000) == 3_000


@given(st.integers(10, 10**6))
def test_an_overload_is_over_before_there_is_room_for_all(limit: int) -> None:
    assert shed.eased(0, limit)
    assert not shed.eased(int(limit * 0.8), limit)
