"""People who look at the wave page, as many as are asked for, in a process of their own.

    python -m services.tools.bench.viewers HOST:PORT COUNT < cookie

Reads the session's cookie from the first line of standard input, says "ready" when everybody has
heard something, and when the input ends one line of JSON: `viewers` who are still connected,
`events` and `bytes` that came, `silent_s` the longest that anybody heard nothing.
"""

import asyncio
import json
import sys
from dataclasses import dataclass

import uvloop

from services.runtime.clock import monotonic_s

_PATH = "/wave/live?drill=1"
_AT_ONCE = 50


@dataclass(slots=True)
class Viewer:
    """One who looks."""

    events: int = 0
    octets: int = 0
    heard_s: float = 0.0
    silent_s: float = 0.0
    looks: bool = True

    async def look(self, host: str, port: int, cookie: str, room: asyncio.Semaphore) -> None:
        """Asks, and hears until the other side ends it."""
        async with room:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(
                f"GET {_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n"
                f"Cookie: {cookie}\r\n\r\n".encode()
            )
            self._hear(await reader.read(65_536))
        while told := await reader.read(65_536):
            self._hear(told)
        self.looks = False
        writer.close()

    def _hear(self, told: bytes) -> None:
        now = monotonic_s()
        if self.heard_s:
            self.silent_s = max(self.silent_s, now - self.heard_s)
        self.heard_s = now
        self.octets += len(told)
        self.events += told.count(b"event: ")


async def main() -> None:
    """Runs until the input ends."""
    host, _, port = sys.argv[1].partition(":")
    cookie = (await asyncio.to_thread(sys.stdin.readline)).strip()
    viewers = [Viewer() for _ in range(int(sys.argv[2]))]
    room = asyncio.Semaphore(_AT_ONCE)
    looking = [asyncio.create_task(one.look(host, int(port), cookie, room)) for one in viewers]
    while not all(one.events for one in viewers):
        await asyncio.sleep(0.05)
        for task in looking:
            if task.done():
                task.result()
                raise SystemExit("the console ended a stream before anything was heard")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    told = {
        "viewers": sum(one.looks for one in viewers),
        "events": sum(one.events for one in viewers),
        "bytes": sum(one.octets for one in viewers),
        "silent_s": round(max(one.silent_s for one in viewers), 2),
    }
    print(json.dumps(told), flush=True)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
