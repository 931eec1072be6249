"""Who wants to hear: consents and what took them back, in whatever order they are recorded."""

from itertools import permutations
from typing import Any

from mawja.broadcast.v1.audiences_pb2 import Subscribers, Subscription

from services.broadcast.gathering.subscribers import Subscribed, key_of

NOON = 1_800_000_000_000


def record(person: str, at: int, wants: bool = True, **given: Any) -> Subscription:
    fields: dict[str, Any] = {
        "person": person.encode(),
        "agency": "health",
        "topic": "vaccines",
        "subscribed": wants,
        "language": "ar",
        "sealed_number": b"sealed" if wants else b"",
        "recorded_ms": NOON + at,
        "consented_ms": NOON + at if wants else 0,
        **given,
    }
    return Subscription(**fields)


def found(asked: Subscribers, *records: Subscription) -> tuple[str, dict[str, int]]:
    table = Subscribed(asked)
    for one in records:
        taken = Subscription()
        taken.CopyFrom(one)
        table.take(taken)
    people, left_out = table.people()
    return "".join(sorted(one.person.decode() for one in people)), dict(left_out)


VACCINES = Subscribers(agency="health", topic="vaccines")


def test_agency_topic_and_language() -> None:
    records = [
        record("a", 1),
        record("b", 1, topic="dialysis"),
        record("c", 1, agency="water"),
        record("d", 1, language="en"),
        record("a", 2, topic="dialysis"),
    ]
    assert found(VACCINES, *records) == ("ad", {})
    assert found(Subscribers(agency="health"), *records) == ("abd", {"duplicate": 1})
    assert found(Subscribers(agency="health", language="EN"), *records)[0] == "d"
    assert found(Subscribers(agency="roads"), *records) == ("", {})


def test_the_latest_word_holds_in_whatever_order_it_is_recorded() -> None:
    first, left = record("a", 1), record("a", 5, wants=False)
    # An old consent that comes in a list later subscribes nobody who has left since.
    old_list = record("a", 3, recorded_ms=NOON + 9)
    again = record("a", 7)
    for order in permutations([first, left, old_list]):
        assert found(VACCINES, *order) == ("", {"unsubscribed": 1})
    for order in permutations([first, left, old_list, again]):
        assert found(VACCINES, *order) == ("a", {})


def test_neither_removes_the_other_from_the_table() -> None:
    keys = {
        key_of(record("a", 1)),
        key_of(record("a", 1, wants=False)),
        key_of(record("a", 1, topic="dialysis")),
        key_of(record("b", 1)),
    }
    assert len(keys) == 4
    assert key_of(record("a", 1)) == key_of(record("a", 9, language="en"))


def test_the_number_of_the_latest_consent_counts() -> None:
    table = Subscribed(VACCINES)
    table.take(record("a", 5, sealed_number=b"new", language="en"))
    table.take(record("a", 1, sealed_number=b"old"))
    [person] = table.people()[0]
    assert (person.sealed_number, person.language) == (b"new", "en")
