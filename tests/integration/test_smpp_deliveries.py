"""What comes from a carrier: acknowledged when it is stored and not before; and what the SMS centre
keeps on record."""

import asyncio
import os
import sys
import time
from typing import Any

from services.broadcast import segments
from services.broadcast.carriers.base import Accepted, Receipt, Refused
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.smpp import SmppCarrier
from services.runtime.smpp_text import join_payloads
from tests.smpp_rig import ARABIC, ROOT, Got, Starter, asked, bound, configured, part, until


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
    assert join_payloads([one.payload for one in ordered], 8, True) == ARABIC
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
