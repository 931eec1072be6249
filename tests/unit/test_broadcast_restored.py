"""What is believed of messages after Kafka was restored from a backup."""

import pytest
from google.protobuf.message import DecodeError
from mawja.broadcast.v1.events_pb2 import QueuedMessage, Restoration

from services.broadcast.restored import Restorations

DECLARED = 1_000


def said(name: str = "a", declared_ms: int = DECLARED, resumed_ms: int = 0) -> bytes:
    return Restoration(
        restoration_id=name, backup_ms=500, declared_ms=declared_ms, resumed_ms=resumed_ms
    ).SerializeToString()


def asked(requested_ms: int, accepted_ms: int = 0) -> QueuedMessage:
    return QueuedMessage(requested_ms=requested_ms, accepted_ms=accepted_ms)


def test_nothing_is_paused_or_doubted_where_nothing_was_restored() -> None:
    nothing = Restorations()
    assert not nothing.paused
    assert not nothing.doubtful(asked(0))


def test_sending_is_paused_until_somebody_resumes() -> None:
    known = Restorations()
    states = []
    for record in (said(), said(resumed_ms=2_000), said(resumed_ms=2_000)):
        # Resumed it is only once.
        states.append((known.take(record), known.paused))
    assert states == [(False, True), (True, False), (False, False)]


def test_of_two_restores_both_must_be_resumed() -> None:
    known = Restorations()
    known.take(said("a"))
    known.take(said("b", declared_ms=3_000))
    assert not known.take(said("a", resumed_ms=4_000))
    assert known.paused
    assert known.take(said("b", declared_ms=3_000, resumed_ms=4_000))
    assert known.before_ms == 3_000


def test_what_was_asked_for_before_is_doubtful_for_ever() -> None:
    known = Restorations()
    known.take(said(resumed_ms=2_000))
    assert known.doubtful(asked(DECLARED - 1))
    assert not known.doubtful(asked(DECLARED))
    # Outreach asks once more for what a contact of before the loss has caused.
    assert known.doubtful(asked(DECLARED + 50, accepted_ms=DECLARED - 50))
    assert not known.doubtful(asked(DECLARED + 50, accepted_ms=DECLARED + 1))


def test_a_record_that_is_none_is_not_passed_over() -> None:
    known = Restorations()
    with pytest.raises(DecodeError):
        known.take(b"\xff")
    assert not known.take(None)
