"""Receipts, outcomes, lanes, pace, opt-out words and routes: broadcast's smaller pure parts."""

import uuid
from itertools import pairwise, permutations, product
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import QueuedMessage

from services.broadcast import numbers
from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import SendError
from services.broadcast.lanes import BULK, NORMAL, URGENT, Held, Lane, Lanes, Waiting
from services.broadcast.messages import (
    DELIVERED,
    FAILED,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
    Message,
    Messages,
    claim,
    next_change,
)
from services.broadcast.optout import WORDS, is_stop
from services.broadcast.outcome import once_more, throttled, verdict, wait_s
from services.broadcast.pace import BURST_S, Bucket
from services.broadcast.receipts import PATIENCE_MS, Receipts
from services.broadcast.routes import CarrierSpec, Routes, parse
from services.broadcast.sender import Out
from services.runtime.errors import ConfigError

PERSON = b"p" * 16
HAS = events_pb2.RECEIPT_STATE_DELIVERED
HAS_NOT = events_pb2.RECEIPT_STATE_UNDELIVERABLE


def queued(
    name: str, lane: Lane = BULK, *, parts: int = 1, expires_ms: int = 1_000
) -> QueuedMessage:
    return QueuedMessage(
        message_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        person=name.encode().ljust(16, b"-"),
        lane=lane,
        parts=parts,
        expires_ms=expires_ms,
    )


# --- receipts ------------------------------------------------------------------------------------


def claimed(messages: Messages, parts: int) -> Message:
    request = queued("m", parts=parts)
    request.person = PERSON
    return messages.decide(claim(messages, request, "c", parts, 1_000))


def submit(messages: Messages, message: Message, *ids: str) -> None:
    change = next_change(message, SUBMITTED if ids else UNKNOWN, "" if ids else "timeout")
    change.carrier_ids.extend(ids)
    messages.decide(change)


def receipt(
    carrier_id: str, state: events_pb2.ReceiptState.ValueType = HAS, reference: int = 0
) -> events_pb2.Receipt:
    return events_pb2.Receipt(
        carrier="c",
        carrier_id=carrier_id,
        state=state,
        reference=reference,
        person=PERSON,
        received_ms=1_000,
    )


def take(receipts: Receipts, messages: Messages, one: events_pb2.Receipt, offset: int = 0) -> bool:
    change, kept = receipts.take(one, offset)
    if change is not None:
        messages.decide(change)
    return kept


@pytest.mark.parametrize("order", list(permutations(["a", "b", "c", "a", "b"])))
def test_parts_are_settled_in_any_order_and_any_number_of_times(order: tuple[str, ...]) -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 3)
    submit(messages, message, "a", "b", "c")
    seen: set[str] = set()
    for carrier_id in order:
        assert not take(receipts, messages, receipt(carrier_id))
        seen.add(carrier_id)
        assert (message.state == DELIVERED) == (len(seen) == 3)


def test_one_undelivered_part_fails_the_message_and_the_reason_is_kept() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 2)
    submit(messages, message, "a", "b")
    take(receipts, messages, receipt("a"))
    take(receipts, messages, receipt("b", HAS_NOT))
    assert message.state == FAILED
    assert message.change().reason == "undeliverable"
    assert message.change().part_outcomes == b"\x01\x02"
    assert not take(receipts, messages, receipt("b", HAS))
    assert message.state == FAILED


def test_what_is_on_its_way_changes_nothing() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 1)
    submit(messages, message, "a")
    for state in (
        events_pb2.RECEIPT_STATE_ENROUTE,
        events_pb2.RECEIPT_STATE_ACCEPTED,
        events_pb2.RECEIPT_STATE_UNKNOWN,
        events_pb2.RECEIPT_STATE_UNSPECIFIED,
    ):
        assert receipts.take(receipt("a", state), 0) == (None, False)
    assert message.state == SUBMITTED


@pytest.mark.parametrize("by_reference", [True, False])
def test_a_receipt_before_the_answer_waits_for_it(by_reference: bool) -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 1)
    reference = message.change().reference if by_reference else 0
    assert take(receipts, messages, receipt("a", reference=reference), offset=7)
    assert take(receipts, messages, receipt("a", reference=reference), offset=8)
    assert receipts.kept == 2
    submit(messages, message, "a")
    freed = receipts.answered(message)
    assert [kept.offset for kept in freed] == [7, 8]
    for kept in freed:
        assert not take(receipts, messages, kept.receipt)
    assert message.state == DELIVERED
    assert receipts.kept == 0


def test_a_receipt_settles_what_was_unknown_by_person_and_reference() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 2)
    submit(messages, message)
    first = message.change().reference
    take(receipts, messages, receipt("x", reference=first))
    assert (message.state, list(message.change().carrier_ids)) == (UNKNOWN, ["x", ""])
    take(receipts, messages, receipt("y", reference=first + 1))
    assert (message.state, message.change().reason) == (DELIVERED, "")


def test_a_receipt_that_nobody_waits_for_is_given_up_after_its_time() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    assert take(receipts, messages, receipt("stranger"), offset=3)
    assert receipts.give_up(1_000 + PATIENCE_MS) == []
    assert [kept.offset for kept in receipts.give_up(1_001 + PATIENCE_MS)] == [3]
    assert receipts.kept == 0


# --- outcomes ------------------------------------------------------------------------------------

OK: SubmitOutcome = Accepted("id")
BUSY: SubmitOutcome = Refused(SendError.THROTTLED)
NEVER: SubmitOutcome = Refused(SendError.INVALID_DESTINATION)
LOST: SubmitOutcome = Unknown(Why.TIMEOUT)


@pytest.mark.parametrize(
    ("outcomes", "state", "reason"),
    [
        ([OK], SUBMITTED, ""),
        ([BUSY], RELEASED, "throttled"),
        ([NEVER], FAILED, "invalid-destination"),
        ([LOST], UNKNOWN, "timeout"),
        ([OK, OK], SUBMITTED, ""),
        ([BUSY, BUSY], RELEASED, "throttled"),
        ([BUSY, NEVER], FAILED, "invalid-destination"),
        ([OK, LOST], UNKNOWN, "timeout"),
        ([OK, BUSY], FAILED, "throttled"),
        ([OK, NEVER], FAILED, "invalid-destination"),
        ([LOST, NEVER], FAILED, "invalid-destination"),
    ],
)
def test_what_the_parts_make_of_the_message(
    outcomes: list[SubmitOutcome], state: events_pb2.MessageState.ValueType, reason: str
) -> None:
    result = verdict(outcomes)
    assert (result.state, result.reason) == (state, reason)


def test_only_what_nobody_has_may_be_tried_again() -> None:
    for outcomes in product([OK, BUSY, NEVER, LOST], repeat=3):
        result = verdict(outcomes)
        if any(one in (OK, LOST) for one in outcomes):
            assert result.state != RELEASED
        for index in once_more(outcomes):
            assert outcomes[index] == BUSY, "a part that the carrier may have is not sent again"
        assert not (once_more(outcomes) and NEVER in outcomes)
        assert throttled(outcomes) == (BUSY in outcomes)


def test_outcomes_of_parts_are_told() -> None:
    result = verdict([OK, NEVER, OK])
    assert (result.carrier_ids, result.part_outcomes) == (("id", "", "id"), b"\x00\x02\x00")


def test_waits_grow_to_a_minute() -> None:
    waits = [wait_s(attempt) for attempt in range(1, 40)]
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    assert waits[-1] == 60.0
    assert {wait_s(attempt, too_fast=True) for attempt in range(1, 40)} == {1.0}


# --- lanes ---------------------------------------------------------------------------------------


def test_a_queue_is_in_order_and_of_one_carrier() -> None:
    lanes = Lanes()
    for number, carrier in enumerate(["a", "b", "a"]):
        assert lanes.add(Waiting(queued(f"m{number}"), number, carrier))
    assert not lanes.add(Waiting(queued("m0"), 9, "a")), "it waits already"
    assert lanes.count(BULK) == 3
    first = lanes.first(BULK, "a")
    assert first is not None
    assert lanes.take(BULK, "a") is first
    assert [lanes.take(BULK, "a").offset, lanes.take(BULK, "b").offset] == [2, 1]
    assert lanes.first(BULK, "a") is None
    assert lanes.first(URGENT, "a") is None
    assert len(lanes) == 0


def test_what_is_put_back_waits_and_then_stands_in_front() -> None:
    lanes = Lanes()
    for number in range(2):
        lanes.add(Waiting(queued(f"m{number}"), number, "a"))
    waiting = lanes.take(BULK, "a")
    lanes.put_back(waiting, due_s=5.0)
    lanes.wake(4.9)
    assert lanes.first(BULK, "a") is not waiting
    lanes.wake(5.0)
    assert lanes.take(BULK, "a") is waiting
    assert lanes.count(BULK) == 1


def test_those_that_wake_together_keep_their_order() -> None:
    lanes = Lanes()
    for number in range(4):
        lanes.add(Waiting(queued(f"m{number}"), number, "a"))
    for due_s in (1.0, 2.0, 2.0):
        lanes.put_back(lanes.take(BULK, "a"), due_s)
    lanes.wake(2.0)
    assert [lanes.take(BULK, "a").offset for _ in range(4)] == [0, 1, 2, 3]


def test_a_full_lane_says_so_and_the_others_do_not() -> None:
    lanes = Lanes(limit=2)
    for number in range(2):
        lanes.add(Waiting(queued(f"m{number}", NORMAL), number, "a"))
    assert lanes.full(NORMAL)
    assert not lanes.full(URGENT)
    lanes.take(NORMAL, "a")
    assert not lanes.full(NORMAL)


def test_a_carrier_that_is_away_does_not_take_the_places_of_the_others() -> None:
    lanes = Lanes(limit=3)
    for number in range(5):
        lanes.add(Waiting(queued(f"a{number}", NORMAL), number, "away"))
    assert lanes.full(NORMAL)
    for number in range(3):
        assert not lanes.full(NORMAL, {"away", "another"})
        lanes.put_back(lanes.take(NORMAL, "away"), due_s=9.0)
        lanes.add(Waiting(queued(f"b{number}", NORMAL), number, "bound"))
    assert lanes.full(NORMAL, {"away"})
    lanes.take(NORMAL, "bound")
    assert not lanes.full(NORMAL, {"away"})
    # In the end memory is bounded all the same.
    for number in range(5, 7):
        lanes.add(Waiting(queued(f"a{number}", NORMAL), number, "away"))
    assert lanes.full(NORMAL, {"away"})


def test_the_expired_and_those_who_opted_out_leave_wherever_they_stand() -> None:
    lanes = Lanes()
    early, late, stop, put_off = (
        Waiting(queued(name, expires_ms=end), 0, "a")
        for name, end in (("early", 10), ("late", 99), ("stop", 99), ("put-off", 10))
    )
    for waiting in (early, late, stop):
        lanes.add(waiting)
    lanes.put_back(put_off, due_s=1.0)
    assert lanes.expire(9) == []
    assert set(map(id, lanes.expire(10))) == {id(early), id(put_off)}
    assert lanes.remove_people({stop.message.person}) == [stop]
    lanes.wake(2.0)
    assert lanes.take(BULK, "a") is late
    assert lanes.first(BULK, "a") is None
    assert len(lanes) == lanes.count(BULK) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))))
def test_nothing_past_a_held_offset_is_committed(steps: list[tuple[bool, int]]) -> None:
    held, needs = Held(), list[int]()
    for hold, offset in steps:
        if hold:
            held.hold(offset)
            needs.append(offset)
        elif offset in needs:
            held.release(offset)
            needs.remove(offset)
        assert held.up_to(10) == min([*needs, 10])


# --- pace ----------------------------------------------------------------------------------------


@given(
    st.floats(0.5, 5_000),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 8), st.booleans()), max_size=80),
)
def test_never_more_than_the_rate_and_one_burst(
    rate: float, steps: list[tuple[float, int, bool]]
) -> None:
    now, taken, largest = 100.0, 0, 1
    bucket = Bucket(rate, now)
    for passed, parts, throttle in steps:
        now += passed
        if throttle:
            bucket.throttled(now)
        if bucket.take(parts, now):
            taken += parts
            largest = max(largest, parts)
        allowed = rate * (now - 100.0) + max(1.0, rate * BURST_S)
        # A message of more parts than the bucket holds is paid for afterwards.
        assert taken <= allowed + largest + 1e-6


def test_the_agreed_rate_is_reached() -> None:
    bucket, now, sent = Bucket(200, 0.0), 0.0, 0
    while now < 10:
        sent += bucket.take(1, now)
        now += 0.002
    assert sent == pytest.approx(2_000, rel=0.02)


def test_throttling_slows_down_once_a_burst_and_passes() -> None:
    bucket = Bucket(100, 0.0)
    for _ in range(50):
        bucket.throttled(1.0)
    assert bucket.current_rate == pytest.approx(50)
    assert not bucket.take(1, 1.0)
    assert bucket.take(1, 1.0 + bucket.wait_s(1, 1.0))
    bucket.throttled(1.6)
    assert bucket.current_rate < 30
    bucket.take(1, 60.0)
    assert bucket.current_rate == 100


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(10, 5.0)
    assert bucket.take(1, 5.0)
    assert not bucket.take(1, 1.0)
    assert not bucket.take(1, 5.05)


# --- opt-out words -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", ["{}", " {} ", "{}!", "«{}».", "\u200f{}\u200f", "{} 🛑", "*{}*"])
def test_the_word_alone_is_a_stop(word: str, form: str) -> None:
    assert is_stop(form.format(word))
    assert is_stop(form.format(word).upper())


@pytest.mark.parametrize(
    "text",
    ["إِيقَاف", "ايقـــاف", "أيقاف", "ＳＴＯＰ", "Stop\n", "أوقف", "اوقف", "إلغاء الإشتراك"],
)
def test_spellings_of_the_word(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "please stop by the office",
        "stop it and call me",
        "don't stop",
        "bus stop",
        "أين موقف الحافلة",
        "إيقاف الماء في شارعنا منذ أمس",
        "لا توقف الخدمة",
        "الغاء الموعد",
        "cancel my appointment",
        "stop " * 50,
    ],
)
def test_a_sentence_is_not_a_stop(text: str) -> None:
    assert not is_stop(text)


@given(st.text(max_size=80))
def test_any_text_can_be_looked_at(text: str) -> None:
    is_stop(text)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("+971501234567", ""),
        ("+97444123456", "landline"),
        ("+97142345678", "landline"),
        ("+9715", "invalid-number"),
        ("+999512345678", ""),
        ("+999412345678", "landline"),
        ("+99951234567", "invalid-number"),
        ("nonsense", "invalid-number"),
    ],
)
def test_what_stands_against_a_number(number: str, why: str) -> None:
    assert numbers.obstacle(number) == why


# --- routes --------------------------------------------------------------------------------------

FILE = """
carriers:
  - name: live
    kind: smpp
    declared: live
    host: smsc.example
    port: 2775
    system_id: mawja
    password_file: live.password
    sender: GovCare
    parts_per_second: 200
  - name: arabic
    kind: smpp
    declared: live
    host: smsc.example
    port: 2776
    system_id: mawja
    password_file: live.password
    sender: "8001"
    parts_per_second: 20.5
    window: 10
    id_format: hex_to_dec
    alphabet: latin1
    validity: relative
  - name: drill
    kind: smpp
    declared: test
    host: localhost
    port: 2777
    system_id: mawja
    password_file: drill.password
    sender: DRILL
    parts_per_second: 1000
routes:
  - {prefix: "+971", carrier: live}
  - {prefix: "+971", language: ar, carrier: arabic}
  - {prefix: "+97150", carrier: live}
  - {prefix: "+", carrier: drill}
"""


def chosen(routes: Routes, number: str, language: str, drill: bool) -> str:
    carrier = routes.choose(number, language, drill)
    return carrier.name if isinstance(carrier, CarrierSpec) else f"no: {carrier}"


@pytest.mark.parametrize(
    ("number", "language", "drill", "carrier"),
    [
        ("+971551234567", "en", False, "live"),
        ("+971551234567", "ar-AE", False, "arabic"),
        ("+971501234567", "ar", False, "live"),
        ("+97455512345", "ar", False, "no: no-route"),
        ("+97455512345", "ar", True, "drill"),
        ("+971551234567", "ar", True, "drill"),
        ("+999512345678", "ar", True, "drill"),
        ("+999512345678", "ar", False, "no: synthetic-number"),
    ],
)
def test_the_route(number: str, language: str, drill: bool, carrier: str) -> None:
    assert chosen(parse(FILE, "carriers.yaml"), number, language, drill) == carrier


# Read once: Hypothesis bounds the time of each example, and the file is not what is tested.
ROUTES = parse(FILE, "carriers.yaml")


@given(st.text("0123456789", max_size=12), st.sampled_from(["ar", "en", ""]), st.booleans())
def test_a_rehearsal_and_the_real_thing_never_share_a_carrier(
    digits: str, language: str, drill: bool
) -> None:
    for number in (f"+{digits}", f"+971{digits}", f"+999{digits}"):
        carrier = ROUTES.choose(number, language, drill)
        if isinstance(carrier, CarrierSpec):
            assert carrier.declared == ("test" if drill else "live")
            assert drill or not number.startswith("+999")


def test_what_the_file_says_of_a_carrier() -> None:
    carrier = parse(FILE, "carriers.yaml").carriers["arabic"]
    assert (carrier.parts_per_second, carrier.window, carrier.sender) == (20.5, 10, "8001")
    assert (carrier.dialect.id_format, carrier.dialect.alphabet.value) == ("hex_to_dec", "latin1")
    assert carrier.validity == "relative"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("declared: live", "declared: maybe", 5, "carriers[0].declared: must be test or live"),
        ("port: 2775", "port: 0", 7, "carriers[0].port: must be a whole number from 1 to 65535"),
        ("port: 2775", "prot: 2775", 3, "carriers[0].port: is missing"),
        ("    sender: GovCare\n", "", 3, "carriers[0].sender: is missing"),
        ("sender: GovCare", "sender: GovernmentCare", 10, "carriers[0].sender: 1-11 letters"),
        ("per_second: 200\n", "per_second: fast\n", 11, "must be a number from 0.01"),
        ("name: arabic", "name: live", 12, "carriers[1].name: is taken"),
        ("window: 10", "colour: red", 21, "carriers[1].colour: is not known here"),
        ("window: 10", "host: twice", 21, "host stands twice"),
        ('"+971", carrier: live', '"971", carrier: live', 35, "routes[0].prefix: a plus"),
        ('"+971", carrier: live', '"+999", carrier: live', 35, "must be declared test"),
        ("language: ar, carrier: arabic", "carrier: nobody", 36, "must be live or arabic or drill"),
        ("routes:", "roads:", 2, "routes: must be a list"),
        ("carriers:", "carriers: [", 3, "not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_line_and_field(
    old: str, new: str, line: int, says: str
) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as refused:
        parse(FILE.replace(old, new, 1), "carriers.yaml")
    assert str(refused.value).startswith(f"carriers.yaml, line {line}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["", "- 1", "5"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"carriers\.yaml"):
        parse(text, "carriers.yaml")


def test_what_has_begun_is_completed_before_anything_new() -> None:
    spec = parse(FILE, "carriers.yaml").carriers["arabic"]
    out = Out(cast(Any, SimpleNamespace(bound=True)), spec, Bucket(spec.parts_per_second, 0.0))
    assert (out.room(URGENT), out.room(BULK)) == (10, 7)
    out.owed = 1
    assert (out.room(URGENT), out.room(BULK)) == (0, 0)
    out.owed = 0
    out.under_way = 10
    assert out.room(URGENT) == 0


def test_a_message_larger_than_the_bucket_goes_while_the_pace_recovers() -> None:
    bucket = Bucket(40, 0.0)
    gone = []
    for tick in range(4_000):
        now_s = tick * 0.005
        if bucket.take(3, now_s):
            gone.append(now_s)
            bucket.throttled(now_s)
    waits = [after - before for before, after in pairwise(gone)]
    # Three tokens at the pace it has then, which is 2 parts a second at the least here.
    assert max(waits) < 3 / 2 + 0.5
    assert len(gone) > 10
