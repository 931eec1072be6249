"""Broadcast killed, frozen and moved while it sends: nobody gets a message twice, none is lost."""

import random
import time
from collections.abc import Iterator

import pytest
from kafka.admin import KafkaAdminClient

from services.local.parts import Parts
from tests.broadcast_rig import Rig, wait_until
from tests.faults.sending import accepted, caught, left_by_a_kill

pytestmark = pytest.mark.faults
ARABIC = "تعمل الفرق الآن على إصلاح العطل، وسنرسل إليكم رسالة عند الانتهاء من العمل إن شاء الله."


@pytest.fixture
def rig(parts: Parts, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A carrier of 250 parts a second that answers after 20 to 60 ms."""
    with caught(parts, request) as started:
        yield started


def ask(rig: Rig, prefix: str, count: int) -> dict[str, str]:
    """Asks for `count` messages, every third in two parts; gives id to number."""
    asked = {}
    for index in range(count):
        number = f"+9995{prefix}{index:06d}"
        text = f"{ARABIC} {index}" if index % 3 == 0 else f"message {index}"
        asked[rig.outreach.request(number, text)] = number
    rig.outreach.flush()
    return asked


@pytest.mark.parametrize("seed", [1])
def test_kill_9_in_the_middle_of_sending(rig: Rig, seed: int) -> None:
    chance = random.Random(seed)
    asked = ask(rig, "30", 2_400)
    outstanding = 0
    for _ in range(3):
        goal = accepted(rig) + chance.randint(200, 500)
        wait_until(lambda goal=goal: accepted(rig) >= goal, every_s=0.01)  # type: ignore[misc]
        outstanding += left_by_a_kill(rig)
    found = rig.check_account(asked, "local")
    assert len(rig.replica.process.exits) == 3
    assert outstanding > 0, "it was not killed in the middle of anything"
    assert found["UNKNOWN"] <= outstanding
    assert found["DELIVERED"] >= len(asked) - outstanding


@pytest.mark.parametrize("rig", [2], indirect=True)
def test_a_frozen_owner_that_wakes_up_sends_nothing(rig: Rig) -> None:
    asked = ask(rig, "31", 4_000)
    wait_until(lambda: accepted(rig) >= 300, every_s=0.01)
    zombie, heir = rig.system.running
    zombie.process.child.suspend()
    frozen = accepted(rig)
    # Its share moves when the group has missed it for 10 s. The heir sends everything; the receipts
    # that the SMS centre gives to the frozen bind wait there.
    rig.ledger.wait_for(list(asked), "DELIVERED", "UNKNOWN", "SUBMITTED", timeout_s=90)
    zombie.process.child.resume()
    found = rig.check_account(asked, "local")
    assert accepted(rig) > frozen
    assert heir.process.alive()
    wait_until(lambda: zombie.process.exits != () or zombie.ready())
    assert found["UNKNOWN"] <= 2 * 60


@pytest.mark.parametrize("rig", [2], indirect=True)
def test_an_orderly_stop_leaves_nothing_unknown(rig: Rig) -> None:
    asked = ask(rig, "32", 1_500)
    wait_until(lambda: accepted(rig) >= 200, every_s=0.01)
    leaving = rig.system.running[1]
    started = time.monotonic()
    leaving.process.stop()
    assert leaving.process.child.exit_code == 0
    assert time.monotonic() - started < 30
    assert rig.check_account(asked, "local") == {"DELIVERED": len(asked)}


def test_a_dropped_bind_leaves_unknown_only_what_receipts_then_settle(rig: Rig) -> None:
    asked = ask(rig, "33", 1_000)
    for goal in (200, 500):
        wait_until(lambda goal=goal: accepted(rig) >= goal, every_s=0.01)  # type: ignore[misc]
        rig.smsc["local"].ask(op="drop")
    found = rig.check_account(asked, "local")
    assert found["UNKNOWN"] <= 2 * 60


def test_reading_everything_again_sends_nothing(rig: Rig) -> None:
    asked = ask(rig, "34", 400)
    assert rig.check_account(asked, "local") == {"DELIVERED": len(asked)}
    rig.replica.process.stop()
    admin = KafkaAdminClient(bootstrap_servers=rig.parts.kafka)
    try:
        admin.delete_groups(["broadcast"])
    finally:
        admin.close()
    rig.replica.process.start()
    more = ask(rig, "35", 40)
    assert rig.check_account({**asked, **more}, "local") == {"DELIVERED": 440}
    assert len(rig.smsc["local"].messages()) == 440
