"""What an open case costs in memory is known and bounded: a million of them fit a small machine."""

import tracemalloc
from hashlib import blake2b

from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2

from services.dedup import data, learnt
from services.dedup.cases import Cases
from services.runtime import ids
from tests.quality.measure_needs import START_MS, reader
from tests.quality.scenes import read

MOST_BYTES = 1_100
"""For a case with one contact and its text's words and signs: 1.1 GB for a million."""
WARM, COUNTED = 1_000, 6_000


def accepted(number: int) -> events_pb2.ContactAccepted:
    at_ms = START_MS + number * 50
    return events_pb2.ContactAccepted(
        contact_id=ids.contact_id("memory", str(number)),
        person=blake2b(str(number).encode(), digest_size=16).digest(),
        channel=common_pb2.CHANNEL_WEB,
        event_ms=at_ms,
        accepted_ms=at_ms,
        sealed_number=bytes(60),
    )


def test_a_case_takes_about_a_kilobyte() -> None:
    rules = data.rules()
    understood = reader(rules)
    readings = [understood.read(one.text) for scene in read("dev")[:60] for one in scene.contacts]
    cases = Cases(rules, trees=learnt.trees())
    tracemalloc.start()
    try:
        before = 0
        for number in range(WARM + COUNTED):
            if number == WARM:
                before = tracemalloc.get_traced_memory()[0]
            reading = readings[number % len(readings)]
            contact = accepted(number)
            at = common_pb2.Input(topic="t", offset=number)
            cases.contact(contact, reading, at, contact.event_ms)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(cases) == WARM + COUNTED
    assert held / COUNTED <= MOST_BYTES
