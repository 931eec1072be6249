"""Our carrier session and the SMS centre, each as it is, for tests that let nothing else run."""

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.broadcast import segments
from services.broadcast.carriers.account import SmppConfig
from services.broadcast.carriers.base import InboundMessage, LateAnswer, OutPart, Receipt
from services.broadcast.carriers.smpp import SmppCarrier
from services.local.smsc.record import Submit, read_record

ROOT = Path(__file__).parents[1]
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
    """An account at an SMS centre of these tests."""
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
    """A carrier session that is bound; what comes goes to `got`."""
    carrier = SmppCarrier(configured(port, **changes), jitter=random.Random(1))
    got = got or Got()
    await carrier.start(got.on_receipts, got.on_inbound, got.on_late)
    try:
        assert await carrier.wait_bound(10)
        yield carrier
    finally:
        await carrier.stop()


def part(number: int = 0, text: str = "case 17", **changes: Any) -> OutPart:
    """A message of one part to a synthetic mobile."""
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
    """The parts of a text."""
    cut = segments.split(text)
    return [
        OutPart(destination, "MAWJA", payload, cut.data_coding, cut.udhi, reference, True)
        for payload in segments.with_udh(cut.parts, reference % 256)
    ]


async def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)


async def asked(centre: Centre, key: str) -> int:
    """One figure of the SMS centre's."""
    return int((await asyncio.to_thread(centre.ask, op="stats")).get(key, 0))
