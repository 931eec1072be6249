"""What the HTTP carrier asks of servers that answer, refuse, fail after taking, or say nothing."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.broadcast.carriers.base import (
    Accepted,
    LateAnswer,
    OutMessage,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.http import HttpCarrier
from services.runtime.clock import now_ms
from tests.smpp_rig import Got, until
from tests.web_peers import (
    AUTHORIZATION,
    SECRET,
    Act,
    Peer,
)
from tests.web_rig import ARABIC, config, message


@contextlib.asynccontextmanager
async def serving(peer: Peer, got: Got | None = None, **changes: Any) -> AsyncIterator[HttpCarrier]:
    await peer.start()
    url = f"http://127.0.0.1:{peer.port}{peer.path}"
    carrier = HttpCarrier(config(url, **changes), SECRET, now_ms)
    got = got or Got()
    await carrier.start(got.on_receipts, got.on_inbound, got.on_late)
    try:
        assert await carrier.wait_bound(10)
        yield carrier
    finally:
        await carrier.stop()
        await peer.stop()


async def sent(carrier: HttpCarrier, one: OutMessage, within_s: float = 5.0) -> SubmitOutcome:
    return await carrier.submit(one, write_by=time.monotonic() + within_s)


async def test_a_message_goes_whole_with_its_key_and_comes_back_with_its_id() -> None:
    peer = Peer()
    async with serving(peer) as carrier:
        assert await sent(carrier, message(7, validity_s=3600)) == Accepted("a1")
    [asked] = peer.asked
    assert asked.body == {
        "to": "+999500000007",
        "from": "MAWJA",
        "text": ARABIC,
        "reference": "8",
        "validity_s": 3600,
    }
    assert asked.headers["Idempotency-Key"] == "key-7-1"
    assert asked.headers["Authorization"] == AUTHORIZATION


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (Act(take=False, status=400), Refused(SendError.MALFORMED, 400)),
        (Act(take=False, status=401), Refused(SendError.NOT_BOUND, 401)),
        (Act(take=False, status=402), Refused(SendError.NO_CREDIT, 402)),
        (Act(take=False, status=418), Refused(SendError.REFUSED, 418)),
        (Act(take=False, status=429), Refused(SendError.THROTTLED, 429)),
        (Act(take=False, status=307, headers={"Location": "/"}), Refused(SendError.NOT_BOUND, 307)),
        (
            Act(take=False, status=422, body={"error": "invalid_to"}),
            Refused(SendError.INVALID_DESTINATION, 422),
        ),
        (
            Act(take=False, status=503, body={"error": "unavailable"}),
            Refused(SendError.SYSTEM_ERROR, 503),
        ),
        # It took the message, and failed after that: nobody may send it again.
        (Act(status=500, body="oops"), Unknown(UnknownReason.SERVER_ERROR)),
        (Act(status=502, body={"error": "no such word"}), Unknown(UnknownReason.SERVER_ERROR)),
        (Act(status=409), Unknown(UnknownReason.SERVER_ERROR)),
        (Act(status=200, body="<html>hotel wifi</html>"), Unknown(UnknownReason.NO_ID)),
        (Act(status=200, body={"id": ""}), Unknown(UnknownReason.NO_ID)),
        (Act(status=0), Unknown(UnknownReason.TIMEOUT)),
        (Act(status=-1), Unknown(UnknownReason.BIND_LOST)),
    ],
)
async def test_what_an_answer_says_of_the_message(act: Act, outcome: SubmitOutcome) -> None:
    peer = Peer()
    peer.plan.append(act)
    async with serving(peer) as carrier:
        assert await sent(carrier, message()) == outcome
    assert len(peer.asked) == 1, "whatever it said, it was asked once"


async def test_nobody_there_is_not_sent_and_found_again() -> None:
    peer = Peer()
    async with serving(peer) as carrier:
        port = peer.port
        await peer.stop()
        first = await sent(carrier, message(1))
        # An idle connection was there to be closed, or there was none: never an answer.
        assert first in (Refused(SendError.NOT_SENT), Unknown(UnknownReason.BIND_LOST))
        assert await sent(carrier, message(2)) == Refused(SendError.NOT_SENT)
        assert not carrier.bound
        again = Peer()
        await again.start(port)
        try:
            assert await carrier.wait_bound(10)
            assert isinstance(await sent(carrier, message(3)), Accepted)
        finally:
            await again.stop()


async def test_nothing_is_written_after_the_claim_has_aged() -> None:
    peer = Peer()
    peer.plan.append(Act(after_s=0.3))
    async with serving(peer, window=1) as carrier:
        slow = asyncio.create_task(sent(carrier, message(1)))
        await until(lambda: len(peer.asked) == 1)
        assert await sent(carrier, message(2), within_s=0.1) == Refused(SendError.NOT_SENT)
        assert isinstance(await sent(carrier, message(3)), Accepted)
        assert isinstance(await slow, Accepted)
    assert [one.headers["Idempotency-Key"] for one in peer.asked] == ["key-1-1", "key-3-1"]


async def test_a_process_that_stands_still_before_the_write_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = Peer()
    async with serving(peer) as carrier:
        # An idle connection is there: nothing is waited for any more.
        assert isinstance(await sent(carrier, message(1)), Accepted)
        usual = carrier.request

        def stands_still(one: OutMessage) -> Any:
            time.sleep(0.3)
            return usual(one)

        monkeypatch.setattr(carrier, "request", stands_still)
        assert await sent(carrier, message(2), within_s=0.1) == Refused(SendError.NOT_SENT)
    assert len(peer.asked) == 1


async def test_a_connection_that_comes_too_late_writes_nothing() -> None:
    # Nobody accepts: the connection is made by the kernel for a while, then not any more.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(0)
        port = held.getsockname()[1]
        carrier = HttpCarrier(config(f"http://127.0.0.1:{port}/"), SECRET, now_ms)
        got = Got()
        await carrier.start(got.on_receipts, got.on_inbound)
        fill = [socket.socket() for _ in range(8)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        outcome = await sent(carrier, message(), within_s=0.3)
        took_s = time.monotonic() - started
        await carrier.stop()
        for one in fill:
            one.close()
    assert outcome == Refused(SendError.NOT_SENT)
    assert took_s < 2


async def test_a_cancelled_call_writes_nothing_further() -> None:
    peer = Peer()
    peer.plan.append(Act(after_s=0.2))
    async with serving(peer, window=1) as carrier:
        first = asyncio.create_task(sent(carrier, message(1)))
        await until(lambda: len(peer.asked) == 1)
        second = asyncio.create_task(sent(carrier, message(2)))
        await asyncio.sleep(0.05)
        second.cancel()
        assert isinstance(await first, Accepted)
        await asyncio.sleep(0.2)
        assert len(peer.asked) == 1
        assert isinstance(await sent(carrier, message(3)), Accepted), "its room is free again"


async def test_a_call_that_is_cancelled_while_it_connects_writes_nothing() -> None:
    peer = Peer()
    async with serving(peer) as carrier:
        asked = asyncio.create_task(sent(carrier, message(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.sleep(0.2)
        assert not peer.asked
        assert isinstance(await sent(carrier, message(2)), Accepted)


async def test_an_answer_after_its_time_is_handed_over_late() -> None:
    peer, got = Peer(), Got()
    peer.plan.append(Act(after_s=0.8))
    async with serving(peer, got) as carrier:
        assert await sent(carrier, message(5)) == Unknown(UnknownReason.TIMEOUT)
        await until(lambda: bool(got.late))
    assert got.late == [LateAnswer(message(5), Accepted("a1"))]


async def test_a_pause_that_the_carrier_asks_for_is_kept() -> None:
    peer = Peer()
    peer.plan.append(Act(take=False, status=429, headers={"Retry-After": "1"}))
    async with serving(peer) as carrier:
        assert await sent(carrier, message(1)) == Refused(SendError.THROTTLED, 429)
        assert not carrier.bound
        assert await sent(carrier, message(2)) == Refused(SendError.NOT_SENT)
        assert len(peer.asked) == 1
        await until(lambda: carrier.bound)
        assert isinstance(await sent(carrier, message(3)), Accepted)


async def test_no_more_is_under_way_than_the_window() -> None:
    peer = Peer()
    peer.usual = Act(after_s=0.05)
    most = 0
    async with serving(peer, window=5) as carrier:

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, len(carrier._tasks))
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        outcomes = await asyncio.gather(*(sent(carrier, message(n)) for n in range(40)))
        watching.cancel()
    assert all(isinstance(one, Accepted) for one in outcomes)
    assert most == 5
    assert len({one.headers["Idempotency-Key"] for one in peer.asked}) == 40


async def test_a_stop_says_unknown_of_what_was_asked_and_sends_no_more() -> None:
    peer = Peer()
    peer.plan.append(Act(status=0))
    async with serving(peer, response_timeout_s=30.0) as carrier:
        asked = asyncio.create_task(sent(carrier, message(1)))
        await until(lambda: len(peer.asked) == 1)
        await carrier.stop()
        assert await asked == Unknown(UnknownReason.STOPPED)
        assert await sent(carrier, message(2)) == Refused(SendError.NOT_SENT)
    assert len(peer.asked) == 1


async def test_a_drill_reaches_no_live_carrier() -> None:
    peer = Peer()
    async with serving(peer, declared="live") as carrier:
        assert await sent(carrier, message(1)) == Refused(SendError.DRILL_ON_LIVE)
        assert isinstance(await sent(carrier, message(2, drill=False)), Accepted)
    assert len(peer.asked) == 1


async def test_random_failures_never_make_it_send_twice() -> None:
    rng, peer = random.Random(5), Peer()
    acts = [
        Act(),
        Act(status=500, body="oops"),
        Act(status=-1),
        Act(take=False, status=400),
        Act(take=False, status=503, body={"error": "queue_full"}),
    ]
    peer.plan.extend(rng.choice(acts) for _ in range(150))
    async with serving(peer, window=20) as carrier:
        outcomes = await asyncio.gather(*(sent(carrier, message(n)) for n in range(150)))
    keys = [one.headers["Idempotency-Key"] for one in peer.asked]
    assert len(keys) == len(set(keys))
    taken = {one.headers["Idempotency-Key"] for one in peer.taken}
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Accepted):
            assert f"key-{number}-1" in taken
        elif isinstance(outcome, Refused):
            assert f"key-{number}-1" not in taken
    assert {type(one) for one in outcomes} == {Accepted, Refused, Unknown}
