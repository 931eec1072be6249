"""A crash after every effect of broadcast: log, lane, carrier, receipt, stop, view, commit.

Run as a script this file is broadcast with one adapter that ends the process, once, right after
(or before) its effect; the shipped code knows nothing of it.
"""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mawja.broadcast.v1 import events_pb2

from services.local.parts import Parts
from services.runtime import topics
from services.runtime.own import Record
from services.runtime.scan import Scan
from tests.broadcast_rig import running, wait_until

pytestmark = pytest.mark.faults
NOT_BEFORE = {"inbound-kept": 2}
"""The effect is seen so often before it is followed by the crash; else 5 times."""


def crash(flag: Path, not_before: int) -> Callable[[], None]:
    """A function that ends the process at its call number `not_before`, once in the flag's life."""
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen >= not_before and not flag.exists():
            flag.touch()
            os._exit(137)

    return step


def after(owner: Any, name: str, step: Callable[[], None], when: Callable[..., bool]) -> None:
    """Replaces the coroutine function `owner.name` by one that calls `step` when it is done."""
    inner = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await inner(*args, **kwargs)
        if when(*args, **kwargs):
            step()
        return result

    setattr(owner, name, wrapped)


def has(*states: "events_pb2.MessageState.ValueType") -> Callable[..., bool]:
    """Whether an append holds a change to one of `states`."""

    def look(_: Any, entries: Any) -> bool:
        return any(
            change.state in states
            for entry in entries
            for change in events_pb2.StatusRecord.FromString(entry.value).changes
        )

    return look


def always(*_: Any, **__: Any) -> bool:
    return True


def arrange(point: str, step: Callable[[], None]) -> None:
    """Puts the crash where `point` says."""
    from aiokafka import AIOKafkaConsumer

    from services.broadcast import arrivals, worker
    from services.broadcast.carriers.smpp import SmppCarrier
    from services.runtime.own import OwnedLog
    from services.runtime.store import PartitionView

    match point:
        case "claim-appended":
            after(OwnedLog, "append", step, has(events_pb2.MESSAGE_STATE_CLAIMED))
        case "parts-written":
            fill = SmppCarrier._fill

            def filled(self: Any, link: Any) -> None:
                fill(self, link)
                if link.pending:
                    step()

            SmppCarrier._fill = filled  # type: ignore[method-assign]
        case "carrier-answered":
            after(SmppCarrier, "submit_many", step, always)
        case "result-appended":
            after(OwnedLog, "append", step, has(events_pb2.MESSAGE_STATE_SUBMITTED))
        case "receipt-applied":
            after(OwnedLog, "append", step, has(events_pb2.MESSAGE_STATE_DELIVERED))
        case "lane-published":
            after(worker, "acknowledged", step, lambda sent: bool(sent))
        case "receipt-kept":
            after(arrivals.Arrivals, "receipts", step, always)
        case "inbound-kept":
            after(arrivals.Arrivals, "inbound", step, always)
        case "view-written":
            after(PartitionView, "put", step, always)
        case "committed":
            after(AIOKafkaConsumer, "commit", step, always)
        case _:
            raise SystemExit(f"no crash point {point}")


POINTS = (
    "claim-appended",
    "parts-written",
    "carrier-answered",
    "result-appended",
    "receipt-applied",
    "lane-published",
    "receipt-kept",
    "inbound-kept",
    "view-written",
    "committed",
)


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_after_every_effect(parts: Parts, point: str, tmp_path: Path) -> None:
    flag = tmp_path / "crashed"
    profile = {"answer_delay_ms": {"uniform": [5, 30]}, "deliver_timeout_ms": 1_000}
    series = POINTS.index(point)
    with running(
        parts,
        f"crash-{point}",
        {"local": ({"window": 40}, profile)},
        [{"prefix": "+", "carrier": "local"}],
        command=[sys.executable, __file__, point, str(flag)],
    ) as rig:
        asked = {}
        stops = set()
        for index in range(240):
            number = f"+9995{40 + series}{index:06d}"
            text = "long " * 40 + str(index) if index % 4 == 0 else f"message {index}"
            asked[rig.outreach.request(number, text)] = number
            if index % 20 == 0:
                rig.outreach.flush()
                stopping = f"+9995{60 + series}{index:06d}"
                rig.smsc["local"].ask(
                    op="inbound", **{"from": stopping, "to": "Mawja", "text": "STOP"}
                )
                stops.add(rig.keyring.person(stopping))
                time.sleep(0.02)
        rig.outreach.flush()
        wait_until(lambda: rig.replica.process.exits != (), timeout_s=30)
        found = rig.check_account(asked, "local")
        assert found["UNKNOWN"] <= 2 * 40
        if point in {"lane-published", "inbound-kept", "view-written", "committed"}:
            # Nothing was claimed without result for certain; what was is bounded all the same.
            assert found["DELIVERED"] >= len(asked) - 2 * 40
        wait_until(lambda: rig.smsc["local"].ask(op="stats")["deliveries_waiting"] == 0)
        assert stops <= opted_out(parts.kafka), "a STOP was lost"
        kept = inbound_ids(parts.kafka)
        assert all(len(kept[person]) == 1 for person in stops), "a redelivery has the same id"
        assert [ended.code for ended in rig.replica.process.exits] == [137]


def opted_out(kafka: str) -> set[bytes]:
    found: set[bytes] = set()
    with Scan(kafka, [topics.OPT_OUT]) as scan:
        scan.advance(lambda record: found.add(record.key or b""))
    return found


def inbound_ids(kafka: str) -> dict[bytes, set[str]]:
    found: dict[bytes, set[str]] = defaultdict(set)

    def take(record: Record) -> None:
        message = events_pb2.InboundMessage.FromString(record.value or b"")
        found[message.person].add(message.inbound_id)

    with Scan(kafka, [topics.INBOUND_MESSAGE]) as scan:
        scan.advance(take)
    return found


if __name__ == "__main__":
    from services.broadcast.__main__ import build
    from services.runtime import consume
    from services.runtime.service import main

    arrange(sys.argv[1], crash(Path(sys.argv[2]), NOT_BEFORE.get(sys.argv[1], 5)))
    # The least that Kafka allows: the next start waits until the group has missed this one.
    consume._SESSION_MS = 6_000
    main("broadcast", build)
