"""Why messages wait for a carrier, as it is told to a coordinator."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.broadcast.health import FLOOR
from services.broadcast.lanes import BULK, URGENT, Lane, Lanes, Waiting
from services.broadcast.pace import Bucket
from services.broadcast.routes import parse
from services.broadcast.sender import Out, Sender
from services.broadcast.standing import Why
from tests.broadcast_parts import FILE, queued


class Queue:
    """A partition of which everything may go, and is never answered."""

    def __init__(self, messages: int) -> None:
        self.lanes = Lanes()
        for number in range(messages):
            self.lanes.add(Waiting(queued(f"m{number}"), number, "arabic"))

    def next_due(self, lane: Lane, carrier: str) -> Waiting | None:
        return self.lanes.first(lane, carrier)

    def take(self, lane: Lane, carrier: str) -> Waiting:
        return self.lanes.take(lane, carrier)

    def send(self, out: Out, batch: list[Waiting]) -> None:
        pass

    def count(self, lane: Lane) -> int:
        return self.lanes.count(lane)

    def waits(self, lane: Lane, carrier: str) -> bool:
        return self.lanes.first(lane, carrier) is not None

    def reroute(self, lane: Lane, carrier: str, most: int) -> int:
        return 0

    def wake(self, now_s: float) -> None:
        pass


def sender(messages: int, rate: float = 20.5) -> Sender:
    spec = parse(FILE, "carriers.yaml").carriers["arabic"]
    out = Out(cast(Any, SimpleNamespace(bound=True)), spec, Bucket(rate, 0.0))
    made = Sender({"arabic": out})
    made.add(Queue(messages))
    return made


def test_nothing_waits_for_a_carrier_that_takes_everything() -> None:
    made = sender(1)
    made._round(0.0)
    assert made.standing("arabic", 0.0).why.value == ""


def test_the_agreed_pace_says_when_the_next_may_go() -> None:
    made = sender(5, rate=0.1)
    made._round(0.0)
    standing = made.standing("arabic", 4.0)
    assert standing.why == Why.PACE
    assert standing.next_s == pytest.approx(6.0)


def test_a_pace_that_is_free_for_a_moment_still_holds_back() -> None:
    made = sender(5)
    made._round(0.0)
    assert made.standing("arabic", 0.1).why == Why.PACE


def test_a_carrier_that_asked_for_less_is_throttled_until_it_has_the_agreed_pace() -> None:
    made = sender(9)
    made.outs["arabic"].bucket.throttled(0.0)
    made._round(0.0)
    standing = made.standing("arabic", 0.0)
    assert (standing.why, standing.next_s > 0) == (Why.THROTTLED, True)
    made.outs["arabic"].bucket.take(1, 60.0)
    made._round(60.0)
    assert made.standing("arabic", 60.0).why == Why.PACE


def test_answers_that_are_awaited_fill_the_window() -> None:
    made = sender(20, rate=1_000)
    made._round(0.0)
    made._round(0.005)
    assert made.outs["arabic"].room(BULK) == 0
    assert made.standing("arabic", 0.5).why == Why.WINDOW


def test_a_carrier_without_a_bind_is_away_whatever_else() -> None:
    made = sender(20)
    made._round(0.0)
    cast(Any, made.outs["arabic"].carrier).bound = False
    assert made.standing("arabic", 0.0) == made.standing("arabic", 99.0)
    assert made.standing("arabic", 0.0).why == Why.AWAY


def test_a_bind_that_is_made_anew_at_once_was_not_away() -> None:
    made = sender(1)
    carrier = cast(Any, made.outs["arabic"].carrier)
    made._round(100.0)
    carrier.bound = False
    made._round(101.9)
    assert made.away == frozenset()
    made._round(102.0)
    assert made.away == {"arabic"}
    carrier.bound = True
    made._round(102.1)
    assert made.away == frozenset()


def test_a_carrier_that_failed_too_often_says_so_and_gets_less() -> None:
    made = sender(1, rate=1_000)
    out = made.outs["arabic"]
    for tenth in range(40):
        out.health.note(False, tenth / 10)
    made._round(4.0)
    assert made.standing("arabic", 4.0).why == Why.UNHEALTHY
    assert made.shares.of(BULK)["arabic"] == FLOOR
    version = made.shares.version
    made._round(4.005)
    assert made.shares.version == version, "nothing has changed"


def test_a_carrier_throttled_for_long_gets_less_and_one_that_is_away_nothing() -> None:
    made = sender(1, rate=1_000)
    out = made.outs["arabic"]
    out.bucket.throttled(0.0)
    assert out.share(0.0) == 1.0
    for second in range(1, 5):
        out.bucket.throttled(float(second))
    assert out.share(4.0) < 0.25
    cast(Any, out.carrier).bound = False
    made._round(5.0)
    assert (made.shares.of(URGENT)["arabic"], made.shares.of(BULK)["arabic"] > 0) == (0.0, True)
    made._round(7.0)
    assert made.shares.of(BULK)["arabic"] == 0.0
