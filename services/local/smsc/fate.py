"""What becomes of a submit at this SMS centre: taken or refused, answered, receipted, delivered.

Everything is drawn from the centre's seeded generator, in the order in which submits arrive.
"""

import random
import time
from dataclasses import dataclass

import smpp34

from services.local.smsc.profile import Profile
from services.local.smsc.session import Session
from services.runtime import smpp
from services.runtime.smpp import Status
from services.runtime.smpp_time import read_time

_EARLY_RECEIPT_GAP_S = 0.03
_STAT = {2: b"DELIVRD", 3: b"EXPIRED", 5: b"UNDELIV"}
_DELIVERED, _EXPIRED, _UNDELIVERABLE = 2, 3, 5


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an accepted part: when it is answered, when each copy of its receipt goes
    out (seconds from now), and the ``message_state`` that they tell."""

    answer_s: float
    receipts_s: tuple[float, ...]
    state: int


def verdict(
    profile: Profile,
    rng: random.Random,
    session: Session,
    message: smpp34.SubmitSm,
    until: float | None,
) -> Status:
    """The status of a submit's answer; ``ESME_ROK`` takes it."""
    if not session.can_submit:
        return Status.ESME_RINVBNDSTS
    destination = message.destination_addr
    if not (destination.isascii() and destination.isdigit() and len(destination) <= 20):
        return Status.ESME_RINVDSTADR
    if not message.source_addr or len(message.source_addr) > 20:
        return Status.ESME_RINVSRCADR
    if until is not None and until <= time.time():
        return Status.ESME_RINVEXPIRY
    rate = profile.throttle_parts_per_s
    if rate is not None and not session.account.bucket.take(rate, time.monotonic()):
        return Status.ESME_RTHROTTLED
    if profile.refuse:
        drawn = rng.random()
        for status, share in profile.refuse.items():
            if drawn < share:
                return status
            drawn -= share
    return Status.ESME_ROK


def draw(
    profile: Profile, rng: random.Random, message: smpp34.SubmitSm, until: float | None
) -> Fate:
    """The fate of a part that was taken."""
    answer_s = profile.answer_delay_ms.draw_s(rng)
    receipts_s: list[float] = []
    state = _UNDELIVERABLE if rng.random() < profile.undelivered else _DELIVERED
    wanted = message.registered_delivery & 0x03
    if (wanted == 1 or (wanted == 2 and state != _DELIVERED)) and (
        rng.random() >= profile.receipt_never
    ):
        receipts_s = [profile.receipt_delay_ms.draw_s(rng) for _ in range(profile.receipt_copies)]
        if rng.random() < profile.receipt_before_answer:
            receipts_s[0] = 0.0
            answer_s = max(answer_s, _EARLY_RECEIPT_GAP_S)
        if until is not None and time.time() + min(receipts_s) > until:
            state = _EXPIRED
    return Fate(answer_s, tuple(receipts_s), state)


def answer_id(profile: Profile, number: int) -> str:
    """A message id as the submit's answer writes it."""
    return f"{number:x}" if profile.answer_id == "hex" else str(number)


def receipt(
    profile: Profile,
    message: smpp34.SubmitSm,
    number: int,
    state: int,
    reference: bytes | None,
) -> bytes:
    """A receipt as SMPP 3.4 appendix B writes it; it never quotes the text."""
    shown = f"{number:x}" if profile.receipt_id == "hex" else str(number)
    date = time.strftime("%y%m%d%H%M", time.gmtime()).encode()
    text = b"id:%b sub:001 dlvrd:00%d submit date:%b done date:%b stat:%b err:%b text:" % (
        shown.encode(),
        1 if state == _DELIVERED else 0,
        date,
        date,
        _STAT[state],
        b"000" if state == _DELIVERED else b"027",
    )
    tlvs = []
    if profile.receipt_tlvs:
        state_tlv = smpp34.Tlv(smpp.TAG_MESSAGE_STATE, bytes((state,)))
        tlvs = [id_tlv(answer_id(profile, number)), state_tlv]
    if profile.echo_reference and reference:
        tlvs.append(smpp34.Tlv(smpp.TAG_USER_MESSAGE_REFERENCE, reference))
    return smpp34.DeliverSm(
        message.destination_addr,
        message.source_addr,
        text,
        source_addr_ton=message.dest_addr_ton,
        source_addr_npi=message.dest_addr_npi,
        dest_addr_ton=message.source_addr_ton,
        dest_addr_npi=message.source_addr_npi,
        esm_class=smpp.ESM_RECEIPT,
        tlvs=tlvs,
    ).encode()


def id_tlv(message_id: str) -> smpp34.Tlv:
    """``receipted_message_id``."""
    return smpp34.Tlv(smpp.TAG_RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0")


def until_of(validity: str, now: float) -> float | None:
    """When the part stops being worth delivering; a broken date has already passed."""
    try:
        return read_time(validity, now)
    except ValueError:
        return now
