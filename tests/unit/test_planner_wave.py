"""`mawja plan --live` asks the real WaveService, behind its guard, of a book of tallies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1 import service_pb2_grpc
from typer.testing import CliRunner

from services.local.system import make_keys, token
from services.runtime import clock, rpc
from services.runtime.identity import Role, Verifier
from services.runtime.produce import Producer
from services.tools.__main__ import app
from services.wave.book import Book
from services.wave.bursts import Bursts
from services.wave.publish import Publisher
from services.wave.server import WaveServicer

MINUTES = 15
NOW = clock.now_ms()
BEGAN = NOW - NOW % 60_000 - (MINUTES + 2) * 60_000


def tallies(*, drill: bool = False) -> list[Tally]:
    """A wave of 15 minutes that doubles every 10, some of it given up and dialled again."""
    return [
        Tally(
            partition=bucket % 2,
            bucket_ms=BEGAN + bucket * 10_000,
            bucket_width_ms=10_000,
            through_offset=bucket + 1,
            rows=[
                TallyRow(
                    line="109",
                    contacts=round(10 * 2 ** (bucket / 60)),
                    offered=round(10 * 2 ** (bucket / 60)),
                    abandoned=1,
                    handled=2,
                    handling_ms=2 * 210_000,
                    drill=drill,
                )
            ],
        )
        for bucket in range(MINUTES * 6 + 1)
    ]


def asked(target: str, shown: str, *options: str) -> Any:
    arguments = ["plan", "--live", "--wave", target, "--token", shown, "--patience", "120"]
    return CliRunner().invoke(app, [*arguments, "--redial", "0.6", *options])


@asynccontextmanager
async def wave(keys: Path, tallies: list[Tally], *, read: bool = True) -> AsyncIterator[str]:
    """Where WaveService listens that has these tallies; `read`: whether all of its history."""
    book = Book()
    for one in tallies:
        book.take(one, NOW)
    # It appends nothing here, so there is no Kafka behind it.
    producer = Producer("127.0.0.1:1", "test-plan")
    publisher = Publisher(book, producer, 2)
    server = rpc.server(Verifier(keys))
    service_pb2_grpc.add_WaveServiceServicer_to_server(
        WaveServicer(
            book,
            publisher,
            Bursts(book),
            Bursts(book, drill=True),
            lambda: read,
            asyncio.Event(),
        ),
        server,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
        await producer.stop()


async def test_a_plan_from_the_first_quarter_of_an_hour(tmp_path: Path) -> None:
    make_keys(tmp_path)
    shown = token(tmp_path, "coordinator", Role.COORDINATOR)
    async with wave(tmp_path, tallies()) as target:
        result = await asyncio.to_thread(asked, target, shown, "--json")
        assert result.exit_code == 0, result.output
        told = await asyncio.to_thread(asked, target, shown, "--over", "1h")
    found = json.loads(result.stdout)
    live = found["live"]
    assert live["minutes"] == MINUTES
    assert live["until_ms"] == BEGAN + MINUTES * 60_000
    assert 480 < live["doubles_in_s"] < 720
    assert live["aht_s"] == found["aht_s"] == 210.0
    assert len(found["agents"]) == len(live["agents_high"]) == 4
    assert found["agents"][0] < found["agents"][-1] < live["agents_high"][-1]
    assert "double in" in " ".join(told.stdout.split())


async def test_it_says_in_one_line_why_wave_tells_nothing(tmp_path: Path) -> None:
    make_keys(tmp_path)
    shown = token(tmp_path, "coordinator", Role.COORDINATOR)
    source = token(tmp_path, "switch", Role.GATEWAY)
    async with wave(tmp_path, tallies()) as target:
        refused = [await asyncio.to_thread(asked, target, bad) for bad in ("no token", source)]
    async with wave(tmp_path, [], read=False) as target:
        refused.append(await asyncio.to_thread(asked, target, shown))
    async with wave(tmp_path, []) as target:
        refused.append(await asyncio.to_thread(asked, target, shown))
    async with wave(tmp_path, tallies(drill=True)) as target:
        refused.append(await asyncio.to_thread(asked, target, shown))
        planned = await asyncio.to_thread(asked, target, shown, "--drill")
        assert planned.exit_code == 0, planned.output
    async with wave(tmp_path, tallies()[:20]) as target:
        refused.append(await asyncio.to_thread(asked, target, shown))
    refused.append(await asyncio.to_thread(asked, target, shown))
    for result, says in zip(
        refused,
        (
            "token",
            "may",
            "history is being read",
            "no call yet",
            "no call yet",
            "ask again",
            f"wave at {target}",
        ),
        strict=True,
    ):
        assert result.exit_code == 1
        # The service's own log may stand before it, as they share a process here.
        told = result.output.splitlines()[-1]
        assert told.startswith("mawja: ")
        assert says in told
