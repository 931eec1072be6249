"""Garbage at both ends of SMPP: neither the SMS centre nor our carrier session is harmed."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Iterator

import pytest
import smpp34
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.broadcast.carriers.smpp import SmppCarrier
from services.local.smsc.record import read_record
from services.runtime import smpp
from tests.smpp_rig import Centre, Got, Starter, configured, part, until

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
