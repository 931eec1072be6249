"""A crash right after every effect of every service, in one surge: see `points.POINTS`."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.audiences_pb2 import Subscription
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.local.smsc.record import read_record, reassemble
from services.local.supervised import RestartPolicy
from services.local.system import ROOMS
from services.runtime import topics
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.scan import Lag, Scan
from services.tools.local import smsc_record
from services.tools.report import Report
from tests.broadcast_rig import Ledger as StatusLog
from tests.faults.asking import Asking
from tests.faults.crashing import CODE, GO, command
from tests.faults.damaging import UNREADABLE
from tests.faults.points import POINTS, chosen
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
UNKNOWN = events_pb2.MESSAGE_STATE_UNKNOWN
WINDOW = 200
"""Parts that the local carrier may have unanswered, by default."""


@pytest.mark.timeout(900)
@pytest.mark.row(
    "a crash after every effect (publish, claim, Redis write, commit, carrier call, receipt) of "
    "every service",
    must="0/0/0; every point has crashed; unknown SMS only from claims without result",
)
def test_a_crash_after_every_effect(
    row: Row, size: Size, seed: int, rng: random.Random, tmp_path: Path
) -> None:
    points = POINTS if size.full else chosen(rng, 5)
    flags = tmp_path / "crashed"
    flags.mkdir()

    def left() -> list[str]:
        return [point.flag for point in points if not (flags / point.flag).exists()]

    with stage(
        tmp_path,
        calls=size.calls,
        over_s=size.of(120.0, 20.0),
        seed=seed,
        wrap=lambda room, _: command(room, flags, seed, points),
    ) as on:
        asking = Asking(on, lambda flag: flag in left())

        def crash() -> None:
            for replica in on.system.running:
                # Not slower each time: these crashes are no sign of anything.
                replica.process.policy = RestartPolicy(factor=1.0)
            (flags / GO).touch()
            asyncio.run(asking.until(lambda: not left(), size.of(400.0, 150.0)))
            assert not left(), f"no crash came after {', '.join(left())}"
            for replica in on.system.running:
                on.wait(replica.ready, 30, f"{replica.name} serves again")

        report = on.surge(crash)
        codes = {
            replica.room: [ended.code for ended in replica.process.exits]
            for replica in on.system.running
        }
        row.figure("elapsed s", report["elapsed_s"])
        row.same("crashes", sum(map(len, codes.values())), len(points))
        expected = Counter(point.room for point in points)
        assert codes == {room: [CODE] * expected[room] for room in ROOMS}
        status = status_of(on, asking)
        row.account(
            report,
            allowed=(f"{asking.damaging.unreadable:,} records were set aside as dead letters",),
            beside=asking.contacts + len(asking.texted),
        )
        row.same(
            "beside",
            count(report, "accepted") - count(report, "dialled"),
            asking.contacts + len(asking.texted),
        )
        hold_contacts(on, asking)
        hold_messages(row, status, tmp_path, expected["broadcast"])
        hold_carrier(asking, status.last, tmp_path)
        kept = asyncio.run(asking.notes_kept())
        row.figure("notes", sum(map(len, kept.values())))
        assert kept == asking.notes, "a note was lost, or stands twice"


def hold_contacts(on: Stage, asking: Asking) -> None:
    """Whatever came by SMS is one contact, or an opt-out."""
    keyring = Keyring(on.system.keys)
    kept: defaultdict[bytes, set[str]] = defaultdict(set)
    contacts: defaultdict[bytes, set[str]] = defaultdict(set)
    opted_out: set[bytes] = set()
    subscribed: set[bytes] = set()
    erased: set[bytes] = set()

    def take(record: Record) -> None:
        value = record.value or b""
        if value == UNREADABLE:
            return
        if record.topic == topics.INBOUND_MESSAGE.name:
            message = events_pb2.InboundMessage.FromString(value)
            kept[message.person].add(message.inbound_id)
        elif record.topic == topics.CONTACT_ACCEPTED.name:
            contact = intake_pb2.ContactAccepted.FromString(value)
            contacts[contact.person].add(contact.contact_id)
        elif record.topic == topics.SUBSCRIPTION.name:
            subscribed.add(Subscription.FromString(value).person)
        elif record.topic == topics.ERASED.name:
            erased.add(record.key or b"")
        else:
            opted_out.add(record.key or b"")

    def people(numbers: Sequence[str]) -> list[bytes]:
        return [keyring.person(number) for number in numbers]

    tables = (topics.OPT_OUT, topics.SUBSCRIPTION, topics.ERASED)
    with Scan(on.parts.kafka, (topics.INBOUND_MESSAGE, topics.CONTACT_ACCEPTED, *tables)) as scan:
        scan.advance(take)
    stopped, texted = people(asking.stopped), people(asking.texted)
    assert {*stopped, *people(asking.opted_out)} <= opted_out, "a STOP was lost"
    assert set(people(asking.subscribed)) <= subscribed, "a subscription was lost"
    assert set(people(asking.erased)) == erased, "an erasure was lost"
    assert all(len(kept[person]) == 1 for person in (*stopped, *texted)), (
        "a message from a person was lost, or a redelivery has another id"
    )
    assert all(len(contacts[person]) == 1 for person in texted), "a message is no contact, or two"
    assert not any(contacts[person] for person in stopped), "a STOP is no contact"


def status_of(on: Stage, asking: Asking) -> StatusLog:
    """What became of every message, when all that were asked for have come to rest and the last
    receipt has been applied: one may still settle what a crash has left unknown."""
    status = StatusLog(on.parts.kafka)
    lag = Lag(on.parts.kafka)
    try:
        status.wait_for(list(asking.messages), "DELIVERED", "UNKNOWN", "SUPPRESSED")
        on.wait(
            lambda: (
                asyncio.run(asking.damaging.deliveries_waiting()) == 0
                and lag.of("broadcast", (topics.RECEIPT,)) == 0
            ),
            60,
            "every receipt is applied",
        )
        status.read()
    finally:
        status.close()
        lag.close()
    return status


def hold_messages(row: Row, status: StatusLog, home: Path, crashes: int) -> None:
    """What the carrier has is delivered; nothing is unknown but claims that a crash has left."""
    found = Counter(
        events_pb2.MessageState.Name(change.state).removeprefix("MESSAGE_STATE_").lower()
        for change in status.last.values()
    )
    row.figures["messages"] = ", ".join(f"{many:,} {state}" for state, many in found.items())
    assert found.keys() <= {"delivered", "unknown", "suppressed"}
    # The SMS centre sends a receipt for all that it has accepted. Of a message of several parts it
    # may have some and have refused the others for the moment, when the crash came: nobody can read
    # that one, and it stays unknown.
    at_carrier = reassemble(read_record(smsc_record(home)))
    row.same("delivered", found["delivered"], sum(one.complete for one in at_carrier))
    row.figure("in pieces", sum(not one.complete for one in at_carrier))
    orphans = set()
    for message_id, history in status.history.items():
        for before, change in pairwise(history):
            # It is stated again when more becomes known of a part.
            if change.state == UNKNOWN and before.state != UNKNOWN:
                assert before.state == events_pb2.MESSAGE_STATE_CLAIMED
                assert change.reason == "takeover", "no crash has left this claim"
                orphans.add(message_id)
    unknown = {one for one, change in status.last.items() if change.state == UNKNOWN}
    assert unknown <= orphans
    row.at_most("unknown", len(unknown), len(orphans))
    row.at_most("claims left by crashes", len(orphans), crashes * WINDOW)


def hold_carrier(asking: Asking, last: Mapping[str, events_pb2.MessageChange], home: Path) -> None:
    """Who was asked to be written to has the whole message where the log says so, else not."""
    submits = list(read_record(smsc_record(home)))
    whole = {one.destination for one in reassemble(submits) if one.complete}
    for message_id, number in asking.messages.items():
        delivered = last[message_id].state == events_pb2.MESSAGE_STATE_DELIVERED
        assert (number.removeprefix("+") in whole) == delivered


def count(report: Report, name: str) -> int:
    """One of the report's counts."""
    value = report[name]
    assert isinstance(value, int)
    return value
