"""The clock of one service's process steps by an hour, either way, and back, during a surge."""

import random
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from mawja.outreach.v1 import events_pb2 as outreach

from services.local.system import ROOMS, Replica, token
from services.runtime import rpc, topics
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.tools.surge import SOURCE
from services.tools.watch import parse, total
from tests.faketime import environment
from tests.faults import present
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
HOUR_S = 3600
STEPS_S = (HOUR_S, -HOUR_S)
HELD = "this service keeps the time that it had"
REFUSED = "nothing is decided on a clock that cannot be believed"
AGREE_MS = 5_000
"""How far a time in any record may lie outside of the row's own: what clocks may differ by."""
# What each topic's records say of when something was done, and not of when it happened outside.
TIMES: Mapping[str, Callable[[bytes], int]] = {
    topics.CONTACT_ACCEPTED.name: lambda v: intake.ContactAccepted.FromString(v).accepted_ms,
    topics.CALL_EVENT.name: lambda v: intake.CallEvent.FromString(v).accepted_ms,
    topics.CASE.name: lambda v: dedup.CaseDecision.FromString(v).decided_ms,
    topics.MESSAGE_REQUESTED.name: lambda v: outreach.MessageRequested.FromString(v).requested_ms,
    topics.CALLBACK.name: lambda v: outreach.Callback.FromString(v).decided_ms,
    topics.MESSAGE_STATUS.name: lambda v: broadcast.StatusRecord.FromString(v).decided_ms,
    topics.RECEIPT.name: lambda v: broadcast.Receipt.FromString(v).received_ms,
}


class Clocks:
    """libfaketime under every service, each process group with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for room in ROOMS:
            self.step(room, 0)

    def step(self, room: str, by_s: int) -> None:
        """From now on the wall clock of a room's processes is ahead by `by_s` seconds."""
        new = self._folder / f"{room}.new"
        new.write_text(f"{by_s:+d}\n")
        new.replace(self._folder / f"{room}.clock")

    def wrap(self, room: str, command: list[str]) -> list[str]:
        """The command of a room with its clock. The clock that never steps is left alone."""
        own = environment(self._folder / f"{room}.clock")
        return ["env", *(f"{name}={value}" for name, value in own.items()), *command]


def skew_s(replica: Replica) -> float | None:
    """How far a service says that its clock is ahead; None while it says nothing."""
    url = f"http://127.0.0.1:{replica.address.metrics}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return total(parse(answer.read().decode()), "mawja_clock_skew_seconds")
    except (OSError, ValueError):
        return None


def seen(on: Stage, replica: Replica, by_s: int) -> float:
    """Waits until a service shows the step in its metrics, and says after how many seconds."""

    def shown() -> bool:
        now_s = skew_s(replica)
        return now_s is not None and abs(now_s - by_s) < 30

    return on.wait(shown, 15, f"{replica.name} shows that its clock is {by_s} s ahead")


def said(replica: Replica, sentence: str) -> int:
    """How often a service has said something."""
    return replica.process.child.log.read_text(errors="replace").count(sentence)


def contact_of_now(on: Stage, key: str) -> None:
    """Submits a contact that happens this very moment: it must be taken."""
    assert on.run is not None
    contact = present.contact(key, on.run.ledger)
    with grpc.insecure_channel(on.system.target("intake"), options=rpc.CHANNEL_OPTIONS) as channel:
        answer = service_pb2_grpc.IntakeServiceStub(channel).SubmitContact(
            service_pb2.SubmitContactRequest(contact=contact),
            metadata=rpc.bearer(token(on.system.keys, SOURCE, Role.LOAD_TESTER)),
            timeout=10,
        )
    on.run.ledger.acknowledge(answer.contact_id)


def odd_times(bootstrap: str, from_ms: int, until_ms: int) -> Counter[str]:
    """Records whose time (their own, or Kafka's of them) lies outside of [from_ms, until_ms]."""
    odd: Counter[str] = Counter()

    def look(record: Record) -> None:
        if not from_ms <= record.timestamp <= until_ms:
            odd[f"{record.topic}, Kafka's time"] += 1
        when = TIMES.get(record.topic)
        if when is not None and not from_ms <= when(record.value or b"") <= until_ms:
            odd[record.topic] += 1

    scan = Scan(bootstrap, topics.TOPICS)
    try:
        assert scan.advance(look) > 0
    finally:
        scan.close()
    return odd


@pytest.mark.timeout(300)
@pytest.mark.row(
    "a service's clock stepped ±1 h (libfaketime, that process only)",
    must="clear error, 0/0/0; nothing sent early or twice; none begins on a wrong clock",
)
def test_clock_stepped(row: Row, size: Size, seed: int, rng: random.Random, tmp_path: Path) -> None:
    clocks = Clocks(tmp_path)
    hold_s = size.of(4.0, 2.0)
    over_s = size.of(120.0, 14.0)
    began_ms = int(time.time() * 1000)
    with stage(tmp_path, calls=size.calls, over_s=over_s, seed=seed, wrap=clocks.wrap) as on:
        extra = 0
        slowest_s = 0.0
        refused: list[str] = []

        def step(rooms: Sequence[str]) -> None:
            """Steps the clocks of these rooms, each one way and then the other, and back."""
            nonlocal extra, slowest_s
            ways_s = {room: rng.sample(STEPS_S, len(STEPS_S)) for room in rooms}
            for turn in range(len(STEPS_S)):
                for room in rooms:
                    clocks.step(room, ways_s[room][turn])
                for room in rooms:
                    slowest_s = max(slowest_s, seen(on, on.replica(room), ways_s[room][turn]))
                contact_of_now(on, f"now-{extra}")
                extra += 1
                time.sleep(hold_s)
            for room in rooms:
                assert on.replica(room).ready(), f"{room} works on"
                clocks.step(room, 0)
            for room in rooms:
                seen(on, on.replica(room), 0)

        def step_all() -> None:
            on.wait_accepted(20)
            # In turn each disagrees with all others; together they disagree as chance will have it.
            for rooms in [[room] for room in ROOMS] if size.full else [list(ROOMS)]:
                step(rooms)
            for room in ROOMS if size.full else rng.sample(ROOMS, 1):
                begin_on_a_wrong_clock(room, rng.choice(STEPS_S))

        def begin_on_a_wrong_clock(room: str, by_s: int) -> None:
            replica = on.replica(room)
            clocks.step(room, by_s)
            replica.process.kill9()
            on.wait(lambda: said(replica, REFUSED) > 0, 30, f"{room} refuses to begin")
            assert not replica.ready()
            refused.append(room)
            clocks.step(room, 0)
            on.wait(replica.ready, 30, f"{room} begins when its clock is right")

        report = on.surge(step_all)
        until_ms = int(time.time() * 1000)
        row.same("steps noticed and said", [said(on.replica(r), HELD) for r in ROOMS], [1] * 5)
        row.figure("slowest to notice s", slowest_s)
        row.figure("refused to begin", ", ".join(refused))
        odd = odd_times(on.parts.kafka, began_ms - AGREE_MS, until_ms + AGREE_MS)
        assert not odd
        row.same("records with a wrong time", odd.total(), 0)
        messages: Any = report["messages"]
        row.same("expired", messages["expired"], 0)
        row.same("delivered", messages["delivered"], report["carrier_messages"])
        row.figure("contacts of now", extra)
        row.account(present.counted(report, extra))
