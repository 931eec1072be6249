"""Our carrier session against the real SMS centre over loopback: every way a carrier can hurt."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import smpp34
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.broadcast import segments
from services.broadcast.carriers.account import SmppConfig
from services.broadcast.carriers.base import (
    Accepted,
    InboundMessage,
    LateAnswer,
    OutPart,
    Receipt,
    ReceiptState,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.deliver import Dialect, IdFormat
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.smpp import SmppCarrier
from services.local.smsc.record import Submit, duplicates, read_record, reassemble
from services.runtime import smpp

ROOT = Path(__file__).parents[2]
ARABIC = "السلام عليكم، استلمنا بلاغكم رقم ٤٥٧١ عن انقطاع المياه 💧 وسنعاود الاتصال بكم. " * 4
QUICK: dict[str, object] = {"answer_delay_ms": 0, "receipt_delay_ms": {"uniform": [1, 10]}}


@dataclass
class Centre:
    """A running SMS centre, its record and its control socket."""

    process: subprocess.Popen[bytes]
    port: int
    control_port: int
    record: Path

    def ask(self, **request: Any) -> dict[str, Any]:
        with socket.create_connection(("127.0.0.1", self.control_port), 5) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer

    def change(self, **profile: object) -> None:
        assert self.ask(op="set", profile=profile) == {"ok": True}

    def submits(self) -> list[Submit]:
        return list(read_record(self.record))


class Starter:
    """Starts SMS centres and stops what is left of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, profile: str | dict[str, object] | None = None, *, port: int = 0, seed: int = 1
    ) -> Centre:
        if profile is None or isinstance(profile, dict):
            path = self._folder / f"profile-{len(self._processes)}.yaml"
            path.write_text(yaml.safe_dump({**QUICK, **(profile or {})}))
            profile = str(path)
        record = self._folder / "record.jsonl"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "services.local.smsc", "--port", str(port)),
                *("--record", str(record), "--profile", profile, "--seed", str(seed)),
                *("--port-file", str(self._folder / "ports.json")),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == (self._folder / "ports.json").read_bytes()
        ready = json.loads(line)
        return Centre(process, ready["smpp_port"], ready["control_port"], record)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def smsc(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.stop()


@dataclass
class Got:
    """What the callbacks were given."""

    receipts: list[Receipt] = field(default_factory=list)
    inbound: list[InboundMessage] = field(default_factory=list)
    late: list[LateAnswer] = field(default_factory=list)

    async def on_receipts(self, batch: list[Receipt]) -> None:
        self.receipts.extend(batch)

    async def on_inbound(self, batch: list[InboundMessage]) -> None:
        self.inbound.extend(batch)

    async def on_late(self, batch: list[LateAnswer]) -> None:
        self.late.extend(batch)


def configured(port: int, **changes: Any) -> SmppConfig:
    values: dict[str, Any] = {
        "name": "smsc",
        "declared": "test",
        "host": "127.0.0.1",
        "port": port,
        "system_id": "mawja",
        "password": "secret",
        "reconnect_min_s": 0.02,
        "stop_within_s": 1.0,
    }
    return SmppConfig(**values | changes)


@contextlib.asynccontextmanager
async def bound(port: int, got: Got | None = None, **changes: Any) -> AsyncIterator[SmppCarrier]:
    carrier = SmppCarrier(configured(port, **changes), jitter=random.Random(1))
    got = got or Got()
    await carrier.start(got.on_receipts, got.on_inbound, got.on_late)
    try:
        assert await carrier.wait_bound(10)
        yield carrier
    finally:
        await carrier.stop()


def part(number: int = 0, text: str = "case 17", **changes: Any) -> OutPart:
    values: dict[str, Any] = {
        "destination": f"+9995{number:08d}",
        "sender": "MAWJA",
        "payload": segments.split(text).parts[0],
        "data_coding": 0,
        "udhi": False,
        "reference": number % 65_536,
        "drill": True,
    }
    return OutPart(**values | changes)


def message(text: str, destination: str, reference: int) -> list[OutPart]:
    cut = segments.split(text)
    return [
        OutPart(destination, "MAWJA", payload, cut.data_coding, cut.udhi, reference, True)
        for payload in segments.with_udh(cut.parts, reference % 256)
    ]


async def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)


async def asked(centre: Centre, key: str) -> int:
    return int((await asyncio.to_thread(centre.ask, op="stats")).get(key, 0))


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
    alphabet = segments.Alphabet.LATIN1 if profile == "slow" else segments.Alphabet.GSM7
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
        centre.process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: carrier.counters.lost_binds == 1)
        finally:
            centre.process.send_signal(signal.SIGCONT)
        await until(lambda: carrier.bound)
        assert isinstance(await carrier.submit(part()), Accepted)


# --- deliveries are acknowledged after the callback ----------------------------------------------


async def test_nothing_is_acknowledged_before_the_callback_returned(smsc: Starter) -> None:
    centre, got = smsc(), Got()
    stored = asyncio.Event()
    seen: list[Receipt] = []

    async def slow(batch: list[Receipt]) -> None:
        seen.extend(batch)
        await stored.wait()

    carrier = SmppCarrier(configured(centre.port))
    await carrier.start(slow, got.on_inbound)
    await carrier.submit_many([part(one) for one in range(5)])
    await until(lambda: bool(seen))
    await asyncio.sleep(0.3)
    assert await asked(centre, "receipts_acknowledged") == 0
    stored.set()
    await until(lambda: len(seen) == 5)
    await asyncio.sleep(0.2)
    assert await asked(centre, "receipts_acknowledged") == 5
    await carrier.stop()


async def test_a_failing_callback_gets_everything_again(smsc: Starter) -> None:
    centre, got = smsc({"redeliver_after_ms": 50}), Got()
    failures = 3

    async def failing(batch: list[Receipt]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionError("Kafka is away")
        await got.on_receipts(batch)

    carrier = SmppCarrier(configured(centre.port))
    await carrier.start(failing, got.on_inbound)
    await carrier.submit_many([part(one) for one in range(30)])
    await until(lambda: len({one.carrier_id for one in got.receipts}) == 30)
    await carrier.stop()
    assert carrier.counters.postponed > 0


async def test_beyond_the_inbox_the_carrier_is_asked_to_wait(smsc: Starter) -> None:
    centre, got = smsc({"redeliver_after_ms": 50}), Got()

    async def slow(batch: list[Receipt]) -> None:
        await asyncio.sleep(0.1)
        await got.on_receipts(batch)

    carrier = SmppCarrier(configured(centre.port, inbox_limit=10))
    await carrier.start(slow, got.on_inbound)
    await carrier.submit_many([part(one) for one in range(100)])
    await until(lambda: len({one.carrier_id for one in got.receipts}) == 100, 20)
    await carrier.stop()
    assert carrier.counters.postponed > 0


VICTIM = """
import asyncio, sys
from services.broadcast.carriers.account import SmppConfig
from services.broadcast.carriers.smpp import SmppCarrier

async def main():
    async def hang(batch):
        print("arrived", len(batch), flush=True)
        await asyncio.Event().wait()
    carrier = SmppCarrier(
        SmppConfig("smsc", "test", "127.0.0.1", int(sys.argv[1]), "mawja", "secret")
    )
    await carrier.start(hang, hang)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_killed_between_a_stops_arrival_and_its_storage_it_comes_again(
    smsc: Starter,
) -> None:
    centre, got = smsc(), Got()
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", VICTIM, str(centre.port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert victim.stdout is not None
    sent = centre.ask(op="inbound", **{"from": "+999512345678", "to": "2021", "text": "إيقاف"})
    assert await victim.stdout.readline() == b"arrived 1\n"
    await asyncio.sleep(0.2)  # time enough for an acknowledgement that must not come
    victim.kill()
    await victim.wait()
    async with bound(centre.port, got):
        await until(lambda: bool(got.inbound))
    (stop,) = got.inbound
    assert (stop.text, stop.sender, stop.carrier_id) == ("إيقاف", "+999512345678", sent["id"])


async def test_inbound_in_parts_and_long_and_for_one_account(smsc: Starter) -> None:
    centre, got, other = smsc(), Got(), Got()
    cut = segments.split(ARABIC)
    async with bound(centre.port, got), bound(centre.port, other, system_id="other"):
        for payload in reversed(segments.with_udh(cut.parts, 77)):
            answer = centre.ask(
                op="inbound",
                **{"from": "+999512345678", "to": "2021", "hex": payload.hex()},
                data_coding=8,
                udhi=True,
                system_id="mawja",
            )
            assert answer["ok"]
        centre.ask(
            op="inbound", **{"from": "+9995", "to": "1", "text": "x" * 400}, system_id="other"
        )
        await until(lambda: len(got.inbound) == len(cut.parts) and len(other.inbound) == 1)
    assert other.inbound[0].text == "x" * 400
    ordered = sorted(got.inbound, key=lambda one: one.concat.sequence if one.concat else 0)
    assert segments.join([one.payload for one in ordered], 8, True) == ARABIC
    assert len({one.identity for one in got.inbound}) == len(cut.parts)


def test_the_control_socket_explains_itself(smsc: Starter) -> None:
    centre = smsc()
    requests: list[tuple[dict[str, Any], str]] = [
        ({"op": "?"}, "op is inbound, stats, set or drop"),
        ({"op": "set", "profile": {"nothing": 1}}, "no key 'nothing'"),
        ({"op": "inbound", "to": "1", "text": "x"}, "from is missing"),
        ({"op": "inbound", "from": "1", "to": "1", "hex": "zz"}, "hexadecimal"),
    ]
    for request, error in requests:
        answer = centre.ask(**request)
        assert not answer["ok"]
        assert error in answer["error"]


# --- the record ----------------------------------------------------------------------------------


async def test_what_was_answered_is_on_record_after_a_kill_of_the_centre(smsc: Starter) -> None:
    centre = smsc({"answer_delay_ms": {"uniform": [0, 3]}})
    carrier = SmppCarrier(configured(centre.port, reconnect_min_s=5))
    got = Got()
    await carrier.start(got.on_receipts, got.on_inbound)
    assert await carrier.wait_bound(5)
    task = asyncio.create_task(
        carrier.submit_many([part(one) for one in range(4000)], write_by=time.monotonic() + 3)
    )
    await until(lambda: carrier.counters.accepted > 500)
    centre.process.kill()
    outcomes = await task
    await carrier.stop()
    accepted = {one.carrier_id for one in outcomes if isinstance(one, Accepted)}
    recorded = {one.carrier_id for one in centre.submits()}
    assert len(accepted) > 500
    assert accepted <= recorded
    not_sent = sum(one == Refused(SendError.NOT_SENT) for one in outcomes)
    assert len(recorded) <= 4000 - not_sent, "what is said not to be sent must not be on record"
    # Started again on the same record, it never gives an id twice.
    again = smsc()
    async with bound(again.port) as carrier:
        outcome = await carrier.submit(part())
    assert isinstance(outcome, Accepted)
    assert outcome.carrier_id not in recorded


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


# --- garbage at both doors -----------------------------------------------------------------------

BIND = smpp.pdu(smpp.BIND_TRANSCEIVER, 0, 1, smpp.bind_body("fuzz", "x", ""))
SUBMIT = smpp34.SubmitSm("A", "999512345678", b"hello", sequence_number=9).encode()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    starter = Starter(tmp_path_factory.mktemp("fuzzed"))
    yield starter()
    starter.stop()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.builds(
                smpp.pdu,
                st.sampled_from(
                    [*range(0x10), 0x15, 0x21, 0x102, 0x103, *range(1 << 31, 0x80000016)]
                ),
                st.integers(0, 0xFF),
                st.integers(0, 0xFFFFFFFF),
                st.binary(max_size=90),
            ),
            st.integers(0, len(SUBMIT)).map(lambda at: SUBMIT[:at] + b"\xff" + SUBMIT[at + 1 :]),
        ),
        max_size=6,
    ),
)
def test_garbage_never_harms_the_centre(fuzzed: Centre, bind: bool, pieces: list[bytes]) -> None:
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", fuzzed.port), 5) as connection,
    ):
        connection.sendall((BIND if bind else b"") + b"".join(pieces))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    with socket.create_connection(("127.0.0.1", fuzzed.port), 5) as connection:
        connection.sendall(BIND + SUBMIT)
        connection.settimeout(5)
        data = b""
        while len(data) < 16 + 6 + 5 + 16 + 2:
            more = connection.recv(65_536)
            assert more, "the centre closed on a good client"
            data += more
        frames, error = smpp.Framer().feed(data)
    assert error is None
    answers = {frame.command: frame.status for frame in frames}
    assert answers[smpp.BIND_TRANSCEIVER_RESP] == answers[smpp.SUBMIT_SM_RESP] == 0
    list(read_record(fuzzed.record))


def nonsense(draw: random.Random) -> bytes:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.randbytes(draw.randrange(1, 100))
    if kind == 1:
        whole = smpp34.DeliverSm("1", "2", b"id:1 stat:DELIVRD", esm_class=4).encode()
        at = draw.randrange(len(whole))
        return whole[:at] + draw.randbytes(1) + whole[at + 1 :]
    if kind == 2:
        command = draw.choice([*range(0x10), 0x15, 0x102, *range(0x80000000, 0x80000016)])
        return smpp.pdu(command, draw.randrange(256), draw.randrange(300), draw.randbytes(30))
    return smpp.pdu(smpp.SUBMIT_SM_RESP, 0, draw.randrange(300), draw.randbytes(5))


async def test_garbage_never_harms_the_carrier() -> None:
    draw = random.Random(2)
    connections = 0

    async def mad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if connections % 3:
                await reader.readexactly(16)
                writer.write(smpp.pdu(smpp.BIND_TRANSCEIVER_RESP, 0, 1, b"mad\0"))
            writer.write(b"".join(nonsense(draw) for _ in range(draw.randrange(1, 20))))
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.close()

    server = await asyncio.start_server(mad, "127.0.0.1", 0)
    got = Got()
    carrier = SmppCarrier(
        configured(server.sockets[0].getsockname()[1], reconnect_min_s=0.001, reconnect_max_s=0.002)
    )
    await carrier.start(got.on_receipts, got.on_inbound)
    submits = asyncio.create_task(
        carrier.submit_many([part(n) for n in range(500)], write_by=time.monotonic() + 2)
    )
    await until(lambda: connections > 150, 30)
    server.close()
    outcomes = await submits
    await carrier.stop()
    assert len(outcomes) == 500
    assert carrier.counters.unreadable > 0
