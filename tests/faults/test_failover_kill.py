"""Broadcast killed while carriers stand in for each other: nobody gets a message by both."""

import random
from collections.abc import Iterator

import pytest
from mawja.broadcast.v1 import events_pb2

from services.local.parts import Parts
from services.local.smsc.record import Submit, duplicates, reassemble
from tests import burying
from tests.broadcast_rig import Rig, running, wait_until

pytestmark = pytest.mark.faults
NAMES = ("one", "two")


@pytest.fixture
def rig(parts: Parts) -> Iterator[Rig]:
    """Two carriers of equal rank, each of which refuses a part, never answers some, and loses its
    bind now and then."""
    spec = {"parts_per_second": 250, "window": 60, "response_timeout_s": 2}
    profile = {
        "answer_delay_ms": {"uniform": [20, 60]},
        "receipt_delay_ms": {"uniform": [0, 300]},
        "refuse": {"ESME_RX_T_APPN": 0.15, "ESME_RINVSRCADR": 0.05},
        "accept_silently": 0.02,
        "drop_bind_every": 400,
    }
    with running(
        parts,
        "failover-kill",
        dict.fromkeys(NAMES, (spec, profile)),
        [{"prefix": "+", "carrier": name} for name in NAMES],
    ) as started:
        yield started


def submits(rig: Rig) -> list[Submit]:
    return [one for name in NAMES for one in rig.smsc[name].submits()]


def test_kill_9_while_carriers_stand_in_for_each_other(rig: Rig) -> None:
    chance = random.Random(1)
    text = "تعمل الفرق الآن على إصلاح العطل، وسنرسل إليكم رسالة عند الانتهاء من العمل إن شاء الله."
    asked = {}
    for index in range(2_400):
        number = f"+999530{index:06d}"
        said = f"{text} {index}" if index % 3 == 0 else f"message {index}"
        asked[rig.outreach.request(number, said)] = number
    rig.outreach.flush()
    for _ in range(3):
        goal = len(submits(rig)) + chance.randint(200, 500)
        wait_until(lambda goal=goal: len(submits(rig)) >= goal, every_s=0.02)  # type: ignore[misc]
        burying.kill(rig.parts.kafka, rig.replica)
    found = rig.ledger.wait_for(list(asked), "DELIVERED", "UNKNOWN", "FAILED", timeout_s=90)
    every = submits(rig)
    assert duplicates(every) == []
    by_one, by_two = (
        {submit.destination for submit in rig.smsc[name].submits() if submit.accepted}
        for name in NAMES
    )
    assert not by_one & by_two, "somebody has parts by both"
    whole = {one.destination for one in reassemble(every) if one.complete}
    moved = 0
    for message_id, number in asked.items():
        changes = rig.ledger.history[message_id]
        state = rig.ledger.last[message_id].state
        if state == events_pb2.MESSAGE_STATE_DELIVERED:
            assert number.removeprefix("+") in whole
        claims = [one.carrier for one in changes if one.state == events_pb2.MESSAGE_STATE_CLAIMED]
        moved += len(set(claims)) > 1
        lost = [one.state == events_pb2.MESSAGE_STATE_UNKNOWN for one in changes]
        if any(lost):
            after = changes[lost.index(True) :]
            assert all(one.state != events_pb2.MESSAGE_STATE_CLAIMED for one in after)
    assert moved > 100
    assert found["DELIVERED"] > 2_000, found
