"""Our carrier session against the real SMS centre over loopback: every way a carrier can hurt."""

import asyncio
import socket
import time
from collections import Counter
from typing import Any

import pytest

from services.broadcast.carriers.base import (
    Accepted,
    ReceiptState,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.deliver import Dialect, IdFormat
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.smpp import SmppCarrier
from services.local.smsc.record import duplicates, reassemble
from services.runtime import smpp
from services.runtime.smpp_text import Alphabet
from tests.freezing import frozen
from tests.smpp_rig import ARABIC, Got, Starter, bound, configured, message, part, until

# --- the plain way -------------------------------------------------------------------------------


async def test_arabic_in_several_parts_arrives_letter_for_letter(smsc: Starter) -> None:
    centre, got = smsc(), Got()
    parts = message(ARABIC, "+999512345678", 300)
    assert len(parts) > 3
    async with bound(centre.port, got) as carrier:
        outcomes = await carrier.submit_many(parts)
        await until(lambda: len(got.receipts) == len(parts))
    ids = {outcome.carrier_id for outcome in outcomes if isinstance(outcome, Accepted)}
    assert len(ids) == len(parts)
    assert {one.carrier_id for one in got.receipts} == ids
    assert {(one.recipient, one.reference) for one in got.receipts} == {("+999512345678", 300)}
    (shown,) = reassemble(centre.submits())
    assert (shown.text, shown.destination) == (ARABIC, "999512345678")
    assert centre.process.poll() is None
    centre.process.terminate()
    assert centre.process.wait(5) == 0


@pytest.mark.parametrize("profile", ["default", "slow", "hostile"])
async def test_every_shipped_profile_ends_in_the_right_states(smsc: Starter, profile: str) -> None:
    centre, got = smsc(profile), Got()
    id_format: IdFormat = "hex_to_dec" if profile == "hostile" else "same"
    alphabet = Alphabet.LATIN1 if profile == "slow" else Alphabet.GSM7
    count = 20 if profile == "slow" else 300
    outcomes: dict[int, SubmitOutcome] = {}
    async with bound(
        centre.port,
        got,
        dialect=Dialect(id_format=id_format, alphabet=alphabet),
        response_timeout_s=1.0 if profile == "hostile" else 5.0,
        window=50,
    ) as carrier:
        todo = [part(number, text=f"case {number}") for number in range(count)]
        while todo:
            for one, outcome in zip(todo, await carrier.submit_many(todo), strict=True):
                outcomes[one.reference] = outcome
            # Only what was certainly refused is tried again.
            again = {
                number
                for number, outcome in outcomes.items()
                if isinstance(outcome, Refused) and outcome.error.retry
            }
            todo = [one for one in todo if one.reference in again]
            await asyncio.sleep(0.2 if todo else 0)
        expected = sum(one.accepted for one in centre.submits())
        if profile != "hostile":
            await until(lambda: len(got.receipts) == expected == count, 20)
        else:
            await until(lambda: len({one.carrier_id for one in got.receipts}) > 0.85 * expected)
    submits = centre.submits()
    assert duplicates(submits, alphabet) == []
    ids = {one.carrier_id for one in submits if one.accepted}
    known = {one.carrier_id for one in outcomes.values() if isinstance(one, Accepted)}
    assert known <= ids
    assert {one.carrier_id for one in got.receipts} <= ids
    unknown = sum(isinstance(one, Unknown) for one in outcomes.values())
    if profile == "hostile":
        assert unknown > 0
        assert {ReceiptState.DELIVERED, ReceiptState.UNDELIVERABLE} == {
            one.state for one in got.receipts
        }
    else:
        assert unknown == 0
        assert {one.state for one in got.receipts} == {ReceiptState.DELIVERED}


@pytest.mark.parametrize(
    ("answer", "receipt", "id_format"),
    [("hex", "decimal", "hex_to_dec"), ("decimal", "hex", "dec_to_hex"), ("hex", "hex", "same")],
)
@pytest.mark.parametrize("tlvs", [True, False])
async def test_ids_match_in_every_form(
    smsc: Starter, answer: str, receipt: str, id_format: IdFormat, tlvs: bool
) -> None:
    centre = smsc({"answer_id": answer, "receipt_id": receipt, "receipt_tlvs": tlvs})
    got = Got()
    async with bound(centre.port, got, dialect=Dialect(id_format=id_format)) as carrier:
        outcomes = await carrier.submit_many([part(number) for number in range(40)])
        await until(lambda: len(got.receipts) == 40)
    assert {one.carrier_id for one in got.receipts} == {
        outcome.carrier_id for outcome in outcomes if isinstance(outcome, Accepted)
    }


async def test_receipts_come_shuffled_three_times_and_before_the_answer(smsc: Starter) -> None:
    centre = smsc({"receipt_copies": 3, "receipt_before_answer": 1.0, "receipt_shuffle": True})
    got = Got()
    async with bound(centre.port, got) as carrier:
        submitted = asyncio.create_task(carrier.submit_many([part(one) for one in range(50)]))
        await until(lambda: len(got.receipts) >= 50)
        assert not submitted.done()
        outcomes = await submitted
        await until(lambda: len(got.receipts) == 150)
    ids = Counter(one.carrier_id for one in got.receipts)
    assert set(ids.values()) == {3}
    assert set(ids) == {one.carrier_id for one in outcomes if isinstance(one, Accepted)}
    assert [one.carrier_id for one in got.receipts] != sorted(
        (one.carrier_id for one in got.receipts), key=int
    )


async def test_receipts_never_come_or_say_undelivered(smsc: Starter) -> None:
    centre, got = smsc({"receipt_never": 1.0}), Got()
    async with bound(centre.port, got) as carrier:
        await carrier.submit(part(1))
        centre.change(receipt_never=0.0, undelivered=1.0)
        await carrier.submit(part(2))
        await until(lambda: bool(got.receipts))
    assert [(one.state, one.error, one.reference) for one in got.receipts] == [
        (ReceiptState.UNDELIVERABLE, "027", 2)
    ]


async def test_throughput_is_printed(smsc: Starter, capsys: pytest.CaptureFixture[str]) -> None:
    centre, got, count = smsc("default"), Got(), 10_000
    async with bound(centre.port, got, window=500, binds=2) as carrier:
        started = time.monotonic()
        outcomes = await carrier.submit_many(
            [part(one) for one in range(count)], write_by=started + 60
        )
        submitted = time.monotonic() - started
        await until(lambda: len(got.receipts) == count, 60)
        receipted = time.monotonic() - started
    assert {type(one) for one in outcomes} == {Accepted}
    assert len(centre.submits()) == count
    with capsys.disabled():
        print(f"\n{count / submitted:,.0f} submits/s, {count / receipted:,.0f}/s with receipts")


# --- refused, unknown, late ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("ESME_RTHROTTLED", SendError.THROTTLED),
        ("ESME_RMSGQFUL", SendError.QUEUE_FULL),
        ("ESME_RINVDSTADR", SendError.INVALID_DESTINATION),
        ("ESME_RSYSERR", SendError.SYSTEM_ERROR),
    ],
)
async def test_refusals_are_definite(smsc: Starter, status: str, error: SendError) -> None:
    centre = smsc({"refuse": {status: 1.0}})
    async with bound(centre.port) as carrier:
        outcome = await carrier.submit(part())
    assert outcome == Refused(error, smpp.Status[status])
    assert [one.accepted for one in centre.submits()] == [False]


async def test_above_its_pace_the_centre_throttles(smsc: Starter) -> None:
    centre = smsc({"throttle_parts_per_s": 100})
    async with bound(centre.port) as carrier:
        outcomes = Counter(map(type, await carrier.submit_many([part(n) for n in range(100)])))
    assert 10 <= outcomes[Accepted] <= 40
    assert outcomes[Refused] == 100 - outcomes[Accepted]


async def test_taken_and_never_answered_is_unknown_and_settled_by_its_receipt(
    smsc: Starter,
) -> None:
    centre, got = smsc({"accept_silently": 1.0}), Got()
    async with bound(centre.port, got, response_timeout_s=0.3) as carrier:
        outcomes = await carrier.submit_many([part(7), part(8)])
        assert outcomes == [Unknown(UnknownReason.TIMEOUT)] * 2
        await until(lambda: len(got.receipts) == 2)
        assert carrier.bound
    assert {one.reference for one in got.receipts} == {7, 8}
    assert [one.status for one in centre.submits()] == [None, None]


async def test_a_late_answer_is_handed_over(smsc: Starter) -> None:
    centre, got = smsc({"answer_delay_ms": 700}), Got()
    async with bound(centre.port, got, response_timeout_s=0.3) as carrier:
        assert await carrier.submit(part(7)) == Unknown(UnknownReason.TIMEOUT)
        await until(lambda: bool(got.late))
    (late,) = got.late
    assert late.part.reference == 7
    assert late.outcome == Accepted(centre.submits()[0].carrier_id or "")


async def test_a_cut_bind_is_unknown_and_bound_again(smsc: Starter) -> None:
    centre, got = smsc({"drop_bind_every": 10, "answer_delay_ms": 20}), Got()
    async with bound(centre.port, got, window=10) as carrier:
        first = await carrier.submit_many([part(one) for one in range(10)])
        assert first == [Unknown(UnknownReason.BIND_LOST)] * 10
        centre.change(drop_bind_every=None)
        assert await carrier.wait_bound(5)
        assert isinstance(await carrier.submit(part(11)), Accepted)
        # The receipts of what the cut bind took find their way over the new one.
        await until(lambda: len(got.receipts) == 11)
        assert carrier.counters.lost_binds == 1
    assert duplicates(centre.submits()) == []


async def test_parts_wait_for_a_bind_and_are_released_unsent_in_time() -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        carrier = SmppCarrier(configured(taken.getsockname()[1]))
        got = Got()
        await carrier.start(got.on_receipts, got.on_inbound)
        started = time.monotonic()
        outcome = await carrier.submit(part(), write_by=started + 0.3)
        assert outcome == Refused(SendError.NOT_SENT)
        assert 0.3 <= time.monotonic() - started < 2
        await carrier.stop()
    assert SendError.NOT_SENT.retry


async def test_an_aged_claim_is_never_written(smsc: Starter) -> None:
    centre = smsc()
    async with bound(centre.port) as carrier:
        outcome = await carrier.submit(part(), write_by=time.monotonic() - 0.001)
        assert outcome == Refused(SendError.NOT_SENT)
        assert isinstance(await carrier.submit(part(1)), Accepted)
    assert len(centre.submits()) == 1


async def test_a_full_window_holds_parts_back(smsc: Starter) -> None:
    centre = smsc({"answer_delay_ms": 400})
    async with bound(centre.port, window=3) as carrier:
        task = asyncio.create_task(
            carrier.submit_many([part(one) for one in range(5)], write_by=time.monotonic() + 0.2)
        )
        await until(lambda: carrier.waiting == 2)
        outcomes = await task
    assert Counter(map(type, outcomes)) == {Accepted: 3, Refused: 2}
    assert len(centre.submits()) == 3


async def test_a_cancelled_caller_sends_nothing_further(smsc: Starter) -> None:
    centre = smsc({"answer_delay_ms": 300})
    async with bound(centre.port, window=2) as carrier:
        task = asyncio.create_task(carrier.submit_many([part(one) for one in range(6)]))
        await until(lambda: carrier.waiting == 4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await carrier.submit(part(9))
    assert sorted(one.reference or 0 for one in centre.submits()) == [0, 1, 9]


async def test_a_drill_never_reaches_a_live_carrier(smsc: Starter) -> None:
    centre = smsc()
    async with bound(centre.port, declared="live") as carrier:
        outcomes = await carrier.submit_many([part(one) for one in range(20)])
        assert set(outcomes) == {Refused(SendError.DRILL_ON_LIVE)}
        assert isinstance(await carrier.submit(part(99, drill=False)), Accepted)
    assert [one.reference for one in centre.submits()] == [99]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"destination": "not a number"}, SendError.INVALID_DESTINATION),
        ({"destination": "+" + "9" * 21}, SendError.INVALID_DESTINATION),
        ({"sender": "a sender far too long"}, SendError.INVALID_SENDER),
        ({"sender": ""}, SendError.INVALID_SENDER),
        ({"payload": b"x" * 255}, SendError.MALFORMED),
        ({"reference": 65_536}, SendError.MALFORMED),
        ({"validity_s": 10**9}, SendError.MALFORMED),
        ({"data_coding": 256}, SendError.MALFORMED),
    ],
)
async def test_what_smpp_cannot_carry_is_refused_alone(
    smsc: Starter, changes: dict[str, Any], error: SendError
) -> None:
    centre = smsc()
    async with bound(centre.port) as carrier:
        wrong, right = await carrier.submit_many([part(1, **changes), part(2)])
    assert wrong == Refused(error)
    assert isinstance(right, Accepted)


async def test_validity_is_written_and_kept_by_the_centre(smsc: Starter) -> None:
    centre, got = smsc({"receipt_delay_ms": 1500}), Got()
    async with bound(centre.port, got) as carrier:
        assert await carrier.submit(part(1, not_after=time.time() - 5)) == Refused(
            SendError.EXPIRED, smpp.Status.ESME_RINVEXPIRY
        )
        outcomes = await carrier.submit_many(
            [part(2, not_after=time.time() + 0.8), part(3, validity_s=60)]
        )
        assert {type(one) for one in outcomes} == {Accepted}
        await until(lambda: len(got.receipts) == 2)
    assert {one.reference: one.state for one in got.receipts} == {
        2: ReceiptState.EXPIRED,
        3: ReceiptState.DELIVERED,
    }


async def test_a_wrong_password_never_binds(smsc: Starter) -> None:
    centre = smsc({"accounts": {"mawja": "other"}})
    carrier = SmppCarrier(configured(centre.port))
    got = Got()
    await carrier.start(got.on_receipts, got.on_inbound)
    assert not await carrier.wait_bound(0.5)
    await carrier.stop()


async def test_stopping_waits_for_answers(smsc: Starter) -> None:
    centre = smsc({"answer_delay_ms": 300})
    async with bound(centre.port) as carrier:
        task = asyncio.create_task(carrier.submit_many([part(one) for one in range(20)]))
        await until(lambda: carrier.counters.written == 20)
    assert {type(one) for one in await task} == {Accepted}
    assert await carrier.submit(part()) == Refused(SendError.NOT_SENT)


async def test_a_silent_bind_is_left_for_a_new_one(smsc: Starter) -> None:
    centre = smsc()
    async with bound(centre.port, enquire_link_s=0.1, response_timeout_s=0.4) as carrier:
        await asyncio.sleep(0.6)
        assert carrier.counters.lost_binds == 0, "enquire_link keeps a quiet bind"
        with frozen(centre.process.pid):
            await until(lambda: carrier.counters.lost_binds == 1)
        await until(lambda: carrier.bound)
        assert isinstance(await carrier.submit(part()), Accepted)
