"""Every way in which a carrier can be bad, at once, with broadcast killed while people say STOP.

One surge goes out by ten carriers, each an SMS centre of its own with its own vice. Run as a
script this file is broadcast with two things changed: it ends when messages from people arrive
while a file says so, before or after they are stored; and it does not wait an hour for a receipt.
"""

import asyncio
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.local.parts import Parts
from services.local.system import System, token
from services.runtime import rpc, topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from tests.broadcast_rig import Ledger, Smsc, carriers_file, wait_until
from tests.faults import carriers
from tests.faults.carriers import SUPPRESSED, UNKNOWN, WAYS, Verdict
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
RECEIPT_WITHIN_S = 8.0
HOLDS_WITHIN_S = 5.0
"""From an opt-out's storage until nothing more is sent, as the contract says."""
STOPS = ("STOP", "إيقاف", " stop. ", "UNSUBSCRIBE", "الغاء")


class People:
    """Those who have got a message and now want no more."""

    def __init__(self, smsc: Mapping[str, Smsc], rng: random.Random) -> None:
        self._smsc = smsc
        self._rng = rng
        self.stopped: list[str] = []

    def say_stop(self, each: int) -> None:
        """`each` people of every carrier answer its message with a STOP."""
        for centre in self._smsc.values():
            known = sorted({f"+{one.destination}" for one in centre.submits() if one.accepted})
            free = [number for number in known if number not in self.stopped]
            for number in self._rng.sample(free, min(each, len(free))):
                text = self._rng.choice(STOPS)
                centre.ask(op="inbound", to="2020", text=text, **{"from": number})
                self.stopped.append(number)


@pytest.mark.timeout(600)
@pytest.mark.row(
    "ten carriers: no answer for 10 %, binds dropped, throttled, refused, late, hex and decimal "
    "ids, receipts shuffled, three times, early, never, bad; kill -9 between a STOP's arrival and "
    "its storage",
    must="S = 0; the right final state, or unknown with its age; no STOP lost",
)
def test_carriers(row: Row, size: Size, seed: int, rng: random.Random, tmp_path: Path) -> None:
    flag = tmp_path / "end-at-next-arrival"
    calls, over_s = (5_000, 50.0) if size.full else (700, 12.0)
    plan = (
        [(8.0, "before"), (20.0, "after"), (32.0, "before"), (44.0, "")]
        if size.full
        else [(5.0, "before"), (11.0, "")]
    )
    with carriers.centres(tmp_path / "smsc") as smsc:

        def arrange(parts: Parts) -> dict[str, str]:
            specs = {way.name: way.spec for way in WAYS}
            return {
                "MAWJA_CARRIERS": str(carriers_file(parts.home, smsc, specs, carriers.routes()))
            }

        def wrap(room: str, command: list[str]) -> list[str]:
            return [sys.executable, __file__, str(flag)] if room == "broadcast" else command

        with stage(
            tmp_path, calls=calls, over_s=over_s, seed=seed, arrange=arrange, wrap=wrap
        ) as on:
            people = People(smsc, rng)
            kills: list[float] = []

            def inject() -> None:
                for moment, kill in plan:
                    on.sleep_until(moment)
                    _stop(on, people, flag, kill, each=5 if size.full else 2)
                    if kill:
                        kills.append(time.time())

            report = on.surge(inject)
            # Each SMS centre has its own ids, and the ledger knows of one centre only: what is
            # held against their records is held below.
            row.account(report, allowed=("said to be with the SMS centre", "ids of the SMS centre"))
            messages = report["messages"]
            assert isinstance(messages, dict)
            row.same("waiting", messages["waiting"], 0)
            codes = [ended.code for ended in on.replica("broadcast").process.exits]
            row.same("kills", codes, [137] * len(kills))
            _hold_carriers(row, on, smsc, kills)
            _hold_stops(row, on, smsc, people)


def _stop(on: Stage, people: People, flag: Path, kill: str, each: int) -> None:
    """People say STOP; broadcast ends where `kill` says, and comes back."""
    replica = on.replica("broadcast")
    on.wait(replica.ready, 60, "broadcast serves")
    if not kill:
        people.say_stop(each)
        return
    ended = len(replica.process.exits)
    flag.write_text(kill)
    people.say_stop(each)
    on.wait(lambda: len(replica.process.exits) > ended, 60, "the arrival of a STOP ends it")


def _hold_carriers(row: Row, on: Stage, smsc: Mapping[str, Smsc], kills: Sequence[float]) -> None:
    keyring = Keyring(on.system.keys)
    for centre in smsc.values():
        wait_until(lambda centre=centre: _quiet(centre), timeout_s=60)  # type: ignore[misc]
    log = Ledger(on.parts.kafka)
    try:

        def judged() -> dict[str, Verdict]:
            by_carrier = defaultdict(list)
            for change in log.read().values():
                by_carrier[change.carrier].append(change)
            return {
                way.name: carriers.judge(
                    way, smsc[way.name].submits(), by_carrier[way.name], keyring, kills
                )
                for way in WAYS
            }

        found = judged()
        deadline = time.monotonic() + 20 + RECEIPT_WITHIN_S
        while any(one.wrong for one in found.values()) and time.monotonic() < deadline:
            time.sleep(0.5)
            found = judged()
        unknown = [one for one, change in log.last.items() if change.state == UNKNOWN]
    finally:
        log.close()
    for way in WAYS:
        verdict = found[way.name]
        row.figure(way.name, ", ".join(f"{n} {state}" for state, n in verdict.states.items()))
    row.duplicate_messages = sum(verdict.again for verdict in found.values())
    assert row.duplicate_messages == 0
    assert [f"{name}: {one}" for name, verdict in found.items() for one in verdict.wrong] == []
    for way in WAYS:
        count = smsc[way.name].ask(op="stats").get(way.shows, 0)
        assert isinstance(count, int)
        assert count > 0, f"{way.name} was not bad: {way.shows}"
    ages = asyncio.run(_ages_s(on.system, unknown))
    row.figure("oldest unknown s", max(ages, default=0.0))
    assert all(0 < age < 600 for age in ages)


def _quiet(centre: Smsc) -> bool:
    stats = centre.ask(op="stats")
    return stats["deliveries_waiting"] == 0 and stats["work_scheduled"] == 0


async def _ages_s(system: System, message_ids: list[str]) -> list[float]:
    """For how long it has been unknown what became of messages, as a person is shown it."""
    metadata = rpc.bearer(token(system.keys, "somebody", Role.AUDITOR))
    ages = []
    async with rpc.channel(system.target("broadcast")) as channel:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        for message_id in message_ids:
            shown = await stub.GetMessage(
                service_pb2.GetMessageRequest(message_id=message_id), metadata=metadata, timeout=10
            )
            assert shown.message.state == UNKNOWN
            ages.append((now_ms() - shown.changed_ms) / 1000)
    return ages


def _hold_stops(row: Row, on: Stage, smsc: Mapping[str, Smsc], people: People) -> None:
    keyring = Keyring(on.system.keys)
    stored_ms = _opted_out(on.parts.kafka)
    persons = {keyring.person(number): number for number in people.stopped}
    assert len(persons) >= len(WAYS), "hardly anybody said STOP"
    row.figure("STOPs", len(persons))
    row.same("STOPs lost", len(persons.keys() - stored_ms.keys()), 0)
    digits = {number.removeprefix("+"): stored_ms[one] for one, number in persons.items()}
    latest = max(
        (
            submit.t - digits[submit.destination] / 1000
            for centre in smsc.values()
            for submit in centre.submits()
            if submit.destination in digits
        ),
        default=0.0,
    )
    row.at_most("last SMS after a STOP s", latest, HOLDS_WITHIN_S)
    asyncio.run(_nothing_more(on.system, people.stopped))
    time.sleep(1.0)
    after = {
        submit.destination
        for centre in smsc.values()
        for submit in centre.submits()
        if submit.t > digits.get(submit.destination, 1e15) / 1000 + HOLDS_WITHIN_S
    }
    assert after == set(), "an SMS went to somebody who had said STOP"


async def _nothing_more(system: System, numbers: list[str]) -> None:
    """Asks for a message to each of `numbers`: none is sent."""
    metadata = rpc.bearer(token(system.keys, "somebody", Role.COORDINATOR))
    async with rpc.channel(system.target("broadcast")) as channel:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        for index, number in enumerate(numbers):
            answer = await stub.QueueMessage(
                service_pb2.QueueMessageRequest(
                    request_id=f"after-stop-{index}",
                    number=number,
                    text="one more",
                    lane=common_pb2.LANE_NORMAL,
                    drill=True,
                ),
                metadata=metadata,
                timeout=15,
            )
            assert (answer.state, answer.reason) == (SUPPRESSED, "opt-out")


def _opted_out(kafka: str) -> dict[bytes, int]:
    """When the opt-out of each person was stored: Unix time in milliseconds."""
    found: dict[bytes, int] = {}

    def take(record: Record) -> None:
        opt_out = events_pb2.OptOut.FromString(record.value or b"")
        found.setdefault(opt_out.person, opt_out.recorded_ms)

    with Scan(kafka, [topics.OPT_OUT]) as scan:
        scan.advance(take)
    return found


def _end_at_arrival(flag: Path) -> None:
    """Broadcast ends, once for each time that the file is there, when messages arrive: before they
    are stored, or after, as the file says."""
    from services.broadcast.arrivals import Arrivals

    stored = Arrivals.inbound

    def asked() -> str:
        try:
            when = flag.read_text()
        except FileNotFoundError:
            return ""
        flag.unlink()
        return when

    async def inbound(self: Arrivals, batch: list[Any]) -> None:
        when = asked()
        if when != "before":
            await stored(self, batch)
        if when:
            os._exit(137)

    Arrivals.inbound = inbound  # type: ignore[method-assign]


if __name__ == "__main__":
    from services.broadcast import messages as became
    from services.broadcast.__main__ import build
    from services.runtime import consume
    from services.runtime.service import main

    _end_at_arrival(Path(sys.argv[1]))
    # Their messages may be sent for an hour; what is owed is owed sooner here.
    became.RECEIPT_WITHIN_MS = int(RECEIPT_WITHIN_S * 1000) - 3_600_000
    # The least that Kafka allows: the next start waits until the group has missed this one.
    consume._SESSION_MS = 6_000
    main("broadcast", build)
