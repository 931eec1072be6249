"""The bare floors that `mawja bench` holds the services against, each a process of its own.

`echo` speaks IntakeService and keeps nothing: what grpc.aio itself costs for the same messages.
`smpp` submits given parts as fast as a window allows and remembers nothing: what the SMS centre and
an SMPP client cost. Both do what nobody should do in production.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import smpp34
import uvloop
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.local.ports import LOOPBACK
from services.runtime.clock import now_ms
from services.runtime.stop import on_signals

_SOMEBODY = "00000000-0000-5000-8000-000000000000"


class Echo(service_pb2_grpc.IntakeServiceServicer):
    """Answers everything at once, with an answer of the size that intake gives."""

    async def SubmitContact(
        self, request: service_pb2.SubmitContactRequest, context: Any
    ) -> service_pb2.SubmitContactResponse:
        """An answer, and nothing kept."""
        return service_pb2.SubmitContactResponse(contact_id=_SOMEBODY, accepted_ms=now_ms())

    async def SubmitContacts(
        self, request_iterator: AsyncIterator[service_pb2.SubmitContactsRequest], context: Any
    ) -> AsyncIterator[service_pb2.SubmitContactsResponse]:
        """An answer for each, and nothing kept."""
        async for request in request_iterator:
            if request.bundle:
                yield service_pb2.SubmitContactsResponse(
                    bundle=[_answer(one.sequence) for one in request.bundle]
                )
            else:
                yield _answer(request.sequence)

    async def ReportCalls(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[service_pb2.ReportCallsResponse]:
        """Not measured."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "a floor takes contacts only")
        yield service_pb2.ReportCallsResponse()

    async def GetContact(self, request: Any, context: Any) -> Any:
        """Nothing was kept."""
        await context.abort(grpc.StatusCode.NOT_FOUND, "a floor keeps nothing")

    async def RevealContact(self, request: Any, context: Any) -> Any:
        """Nothing was kept."""
        await context.abort(grpc.StatusCode.NOT_FOUND, "a floor keeps nothing")


def _answer(sequence: int) -> service_pb2.SubmitContactsResponse:
    return service_pb2.SubmitContactsResponse(
        sequence=sequence,
        accepted=service_pb2.SubmitContactResponse(contact_id=_SOMEBODY, accepted_ms=now_ms()),
    )


async def echo(port: int) -> int:
    """Serves on `port` until it is told to stop."""
    stopping = on_signals()
    server = grpc.aio.server()
    service_pb2_grpc.add_IntakeServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(f"{LOOPBACK}:{port}")
    await server.start()
    await stopping.wait()
    await server.stop(1.0)
    return 0


async def smpp(port: int, rows: Sequence[dict[str, Any]], window: int) -> int:
    """Submits every part (to, dc, udhi, hex) once, `window` unanswered at a time, with receipts
    asked for and answered. Returns 0 when all were accepted."""
    # Room for every receipt: a full inbox would be answered, and what it answers is not SMPP.
    client = smpp34.Client(
        LOOPBACK, port, "bare", "bare", window_size=window, inbound_capacity=len(rows) + window
    )
    session = await client.connect()
    following: Iterator[dict[str, Any]] = iter(rows)
    refused: Counter[str] = Counter()

    async def receipts() -> None:
        while not isinstance(await session.next(), smpp34.Disconnected):
            pass

    async def submit() -> None:
        for row in following:
            try:
                await session.submit_sm(
                    row["to"],
                    bytes.fromhex(row["hex"]),
                    source_addr="Mawja",
                    source_addr_ton=5,
                    esm_class=0x40 if row["udhi"] else 0,
                    registered_delivery=1,
                    data_coding=row["dc"],
                )
            except smpp34.SmppError as error:
                refused[type(error).__name__] += 1

    hearing = asyncio.create_task(receipts())
    await asyncio.gather(*(submit() for _ in range(window)))
    # Exiting right after the last answer would leave receipts undelivered.
    await asyncio.sleep(0.5)
    hearing.cancel()
    await session.unbind()
    await client.stop()
    await asyncio.sleep(0.3)
    if refused:
        print(f"not accepted: {dict(refused)}", file=sys.stderr)
    return 1 if refused else 0


def main() -> int:
    """`python -m services.tools.bench.floor echo|smpp`."""
    parser = argparse.ArgumentParser(
        prog="python -m services.tools.bench.floor",
        description="A bare floor for `mawja bench`; not for anything else.",
    )
    floors = parser.add_subparsers(dest="floor", required=True)
    one = floors.add_parser("echo", help="a gRPC server that answers and keeps nothing")
    one.add_argument("--port", type=int, required=True)
    other = floors.add_parser("smpp", help="a windowed SMPP loop that remembers nothing")
    other.add_argument("--port", type=int, required=True, help="of the SMS centre")
    other.add_argument("--parts", type=Path, required=True, help="JSON lines: to, dc, udhi, hex")
    other.add_argument("--window", type=int, default=200)
    options = parser.parse_args()
    if options.floor == "echo":
        return uvloop.run(echo(options.port))
    rows = [json.loads(line) for line in options.parts.read_text().splitlines()]
    return uvloop.run(smpp(options.port, rows, options.window))


if __name__ == "__main__":
    sys.exit(main())
