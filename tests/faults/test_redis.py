"""Redis flushed, and away for two minutes, while a surge goes through."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from mawja.dedup.v1 import events_pb2

from services.runtime.clock import now_ms
from services.runtime.scan import Scan
from services.runtime.topics import CASE
from tests.faults.desk import Desk, Refused
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row
from tests.faults.views import rebuild

pytestmark = pytest.mark.faults
OPTED_OUT = "+999600000001"
WRITER = "+999600000002"
TEXT = "the lift of our building has been stuck since the morning"


class Promises:
    """What must hold throughout: an opt-out, and the answer to a key."""

    def __init__(self, on: Stage, desk: Desk) -> None:
        self._on = on
        self._desk = desk
        self._event_ms = now_ms() - 60_000
        self._queued = 0
        desk.opt_out(OPTED_OUT)
        self._contact = desk.submit("promise", WRITER, TEXT, self._event_ms)
        self.messages: list[str] = []

    def hold(self) -> None:
        """Once more: a key has its one answer or none, another body is never taken."""
        desk = self._desk
        with suppress(Refused):
            assert desk.submit("promise", WRITER, TEXT, self._event_ms) == self._contact
        other = desk.refusal(desk.submit, "promise", WRITER, "something else", self._event_ms)
        assert other in {"ALREADY_EXISTS", "UNAVAILABLE"}, other
        self._queued += 1
        request = f"to-opted-out-{self._queued}"
        with suppress(Refused):
            self.messages.append(desk.queue(request, OPTED_OUT, "you should never see this"))


def served_s(on: Stage, desk: Desk, case_id: str, since: float) -> float:
    """Seconds from `since` until a case is served from its view again; between, it was never said
    to be missing."""
    while True:
        code = desk.refusal(desk.case, case_id)
        if code == "OK":
            return on.elapsed_s - since
        assert code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}, f"while it was rebuilt: {code}"
        assert on.elapsed_s - since < 90, "the view is not rebuilt after 90 s"
        time.sleep(0.05)


def a_case(on: Stage) -> str:
    """The id of any case."""
    found: list[str] = []
    with Scan(on.parts.kafka, [CASE]) as scan:
        scan.advance(
            lambda record: found.append(
                events_pb2.CaseDecision.FromString(record.value or b"").case.case_id
            )
        )
    return next(case for case in found if case)


@pytest.mark.timeout(600)
@pytest.mark.row(
    "Redis FLUSHALL, then Redis away for 2 minutes, during the surge",
    must="0/0/0; not served until rebuilt; opt-outs and idempotency hold throughout",
)
def test_redis(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    away_s = size.of(120, 8)
    over_s = size.of(170, 25)
    with stage(tmp_path, calls=size.calls, over_s=over_s, seed=seed) as on, Desk(on.system) as desk:
        promises: list[Promises] = []

        def lose() -> None:
            on.wait_accepted(size.calls // 8)
            promises.append(promise := Promises(on, desk))
            promise.hold()
            on.wait(lambda: desk.refusal(desk.case, a_case(on)) == "OK", 30, "a case is served")
            case_id = a_case(on)
            client = redis.Redis.from_url(on.parts.redis_url)
            # FLUSHALL in the middle of what is going on.
            client.flushall()
            flushed = on.elapsed_s
            promise.hold()
            row.figure("s to serve after FLUSHALL", served_s(on, desk, case_id, flushed))
            promise.hold()
            # Away: killed, and empty when it comes back.
            valkey = on.parts.local_valkey
            assert valkey is not None
            valkey.kill9()
            gone = on.elapsed_s
            while on.elapsed_s < gone + away_s:
                promise.hold()
                assert desk.refusal(desk.case, case_id) in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
                time.sleep(1)
            valkey.restart()
            back = on.elapsed_s
            row.at_most("s to serve after it was away", served_s(on, desk, case_id, back), 60)
            promise.hold()

        report = on.surge(lose)
        row.figure("away s", away_s)
        # With everything settled, once more: how long is it until every view is whole again?
        rebuild(on, row, report["cases"])
        [promise] = promises
        assert promise.messages, "no message was taken for the one who opted out"
        promise.hold()
        states = {desk.message(message).message.state for message in promise.messages}
        row.same("states of messages to the opted-out", len(states), 1)
        assert on.system.parts.local_smsc is not None
        record = (on.parts.home / "smsc" / "record.jsonl").read_text()
        row.same("sent to the opted-out", record.count(OPTED_OUT.removeprefix("+")), 0)
        row.account(report, beside=1)
