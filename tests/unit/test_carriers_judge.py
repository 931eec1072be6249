"""The judge of the ten carriers: what is right passes, everything else is named."""

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.local.smsc.record import Submit
from services.local.system import make_keys
from services.runtime.privacy import Keyring
from tests.faults.carriers import (
    DELIVERED,
    FAILED,
    SUPPRESSED,
    UNKNOWN,
    WAYS,
    Verdict,
    judge,
)

NUMBER = "999500000001"
REFERENCE = 40
REFUSED, BUSY, THROTTLED = 0x0B, 0x08, 0x58
BY_NAME = {way.name: way for way in WAYS}


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return Keyring(folder)


def submit(part: int, status: int | None = 0, at: float = 100.0, reference: int = 0) -> Submit:
    """A part at the SMS centre; `status` None: taken and never answered."""
    taken = status in (0, None)
    return Submit(
        t=at,
        destination=NUMBER,
        sender="Mawja",
        data_coding=0,
        udhi=False,
        payload=f"part {part}".encode(),
        concat=None,
        reference=reference or REFERENCE + part,
        validity="",
        carrier_id=str(1000 + part) if taken else None,
        status=status,
        system_id="carrier",
    )


def found(
    keyring: Keyring,
    way: str,
    state: events_pb2.MessageState.ValueType,
    reason: str,
    *submits: Submit,
    kills: tuple[float, ...] = (),
) -> Verdict:
    change = MessageChange(
        message_id="m",
        state=state,
        reason=reason,
        person=keyring.person(f"+{NUMBER}"),
        reference=REFERENCE,
        parts=2,
    )
    return judge(BY_NAME[way], submits, [change], keyring, kills)


BOTH = (submit(0), submit(1))
ONE = (submit(0),)


@pytest.mark.parametrize(
    ("way", "state", "reason", "submits"),
    [
        ("hex", DELIVERED, "", BOTH),
        ("timeouts", DELIVERED, "", (submit(0, None), submit(1))),
        ("undelivered", FAILED, "undeliverable", BOTH),
        ("undelivered", FAILED, "undeliverable", ONE),
        ("never", UNKNOWN, "no-receipt", BOTH),
        ("drops", UNKNOWN, "bind-lost", ()),
        ("drops", UNKNOWN, "bind-lost", ONE),
        ("refuses", FAILED, "invalid-destination", (submit(0), submit(1, REFUSED))),
        ("refuses", UNKNOWN, "takeover", (submit(0, REFUSED),)),
        ("refuses", FAILED, "system-error", (submit(0), submit(1, BUSY), submit(1, BUSY))),
        ("throttles", DELIVERED, "", (submit(0, THROTTLED, reference=7), *BOTH)),
        ("throttles", SUPPRESSED, "opt-out", (submit(0, THROTTLED, reference=7),)),
        ("late", UNKNOWN, "takeover", BOTH),
    ],
)
def test_what_is_right_passes(
    keyring: Keyring,
    way: str,
    state: events_pb2.MessageState.ValueType,
    reason: str,
    submits: tuple[Submit, ...],
) -> None:
    verdict = found(keyring, way, state, reason, *submits)
    assert (verdict.wrong, verdict.again) == ([], 0)
    assert sum(verdict.states.values()) == 1


@pytest.mark.parametrize(
    ("way", "state", "reason", "submits"),
    [
        ("hex", UNKNOWN, "timeout", BOTH),
        ("hex", FAILED, "undeliverable", BOTH),
        ("hex", DELIVERED, "", ONE),
        ("hex", DELIVERED, "", ()),
        ("undelivered", DELIVERED, "", BOTH),
        ("undelivered", UNKNOWN, "timeout", BOTH),
        ("undelivered", FAILED, "rejected-by-carrier", BOTH),
        ("never", DELIVERED, "", BOTH),
        ("never", UNKNOWN, "", BOTH),
        ("drops", FAILED, "bind-lost", ()),
        ("refuses", FAILED, "invalid-sender", (submit(0, REFUSED), submit(1, REFUSED))),
        ("refuses", UNKNOWN, "timeout", (submit(0, REFUSED), submit(1, REFUSED))),
        ("refuses", DELIVERED, "", (submit(0), submit(1, REFUSED))),
        ("throttles", SUPPRESSED, "opt-out", ONE),
        ("throttles", DELIVERED, "", (submit(0, reference=7), *BOTH)),
        ("timeouts", UNKNOWN, "takeover", BOTH),
        ("late", UNKNOWN, "timeout", BOTH),
        ("hex", events_pb2.MESSAGE_STATE_SUBMITTED, "", BOTH),
        ("hex", events_pb2.MESSAGE_STATE_CLAIMED, "", ()),
    ],
)
def test_what_is_wrong_is_named(
    keyring: Keyring,
    way: str,
    state: events_pb2.MessageState.ValueType,
    reason: str,
    submits: tuple[Submit, ...],
) -> None:
    assert len(found(keyring, way, state, reason, *submits).wrong) == 1


def test_a_part_that_was_sent_again_is_counted(keyring: Keyring) -> None:
    assert found(keyring, "hex", DELIVERED, "", *BOTH, submit(1)).again > 0


@pytest.mark.parametrize(("kill", "wrong"), [(99.0, 1), (101.0, 0), (110.0, 1)])
def test_an_answer_is_lost_only_with_a_kill_before_it(
    keyring: Keyring, kill: float, wrong: int
) -> None:
    assert len(found(keyring, "late", UNKNOWN, "timeout", *BOTH, kills=(kill,)).wrong) == wrong
