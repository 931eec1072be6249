"""What nobody should send: broken copies, wild requests and events, noise, and an SMS centre that
has gone mad. All of it comes from the chance that is given, so a seed brings it again."""

import contextlib
import random
import socketserver
import threading
import time
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from smpp34 import DeliverSm

from services.runtime import smpp
from services.runtime.topics import Topic
from tests.fixtures.events_v1.make import EVENTS

SEED = 4711


def spoilt(draw: random.Random, whole: bytes) -> bytes:
    """A broken copy: an octet changed, cut off, put in, or a piece of it twice."""
    at = draw.randrange(len(whole) + 1)
    kind = draw.randrange(4)
    if kind == 0:
        return whole[:at] + draw.randbytes(1) + whole[at + 1 :]
    if kind == 1:
        return whole[:at]
    if kind == 2:
        return whole[:at] + draw.randbytes(draw.randrange(1, 9)) + whole[at:]
    return whole[:at] + whole[at // 2 :]


WORDS = (
    "",
    "\0",
    "a" * 70_000,
    "'; DROP",
    "../../etc",
    "+",
    "+999",
    "مرحبا\u202e",
    "{}",
    "%s%n",
    "-1",
)
NUMBERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**64 - 1, 999)


def wild(draw: random.Random, message: Message, depth: int = 0) -> None:
    """Sets some fields of `message` to what nobody would."""
    for one in message.DESCRIPTOR.fields:
        if draw.random() < 0.3:
            continue
        for _ in range(draw.randrange(1, 4) if one.is_repeated else 1):
            with contextlib.suppress(ValueError, TypeError):
                _set(draw, message, one, depth)


def _set(draw: random.Random, message: Message, one: Any, depth: int) -> None:
    if one.message_type is not None and one.message_type.GetOptions().map_entry:
        held = getattr(message, one.name)
        held[draw.choice(WORDS)] = draw.choice([*WORDS, *NUMBERS])
        return
    if one.message_type is not None:
        if depth < 3:
            held = getattr(message, one.name)
            element = held.add() if one.is_repeated else held
            element.SetInParent()
            wild(draw, element, depth + 1)
        return
    value: object = draw.choice(NUMBERS)
    if one.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        value = draw.choice(WORDS)
        if one.type == FieldDescriptor.TYPE_BYTES:
            value = draw.randbytes(draw.randrange(40))
    elif one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        value = draw.random() < 0.5
    if one.is_repeated:
        getattr(message, one.name).append(value)
    else:
        setattr(message, one.name, value)


def mad_pdus(draw: random.Random) -> bytes:
    """What no SMS centre should send to a client."""
    kind = draw.randrange(5)
    if kind == 0:
        return draw.randbytes(draw.randrange(1, 100))
    if kind == 1:
        text = draw.choice([b"id:1 stat:DELIVRD", draw.randbytes(60), b""])
        whole = DeliverSm("999512345678", "2", text, esm_class=draw.choice([0, 4, 64])).encode()
        return spoilt(draw, whole)
    if kind == 2:
        command = draw.choice([*range(0x10), 0x15, 0x102, *range(0x80000000, 0x80000016)])
        return smpp.pdu(command, draw.randrange(256), draw.randrange(300), draw.randbytes(30))
    if kind == 3:
        return smpp.pdu(smpp.SUBMIT_SM_RESP, 0, draw.randrange(300), draw.randbytes(5))
    payload = draw.randbytes(draw.randrange(140))
    number = f"9995{draw.randrange(10**8):08}"
    return DeliverSm(
        number,
        draw.choice(["Mawja", "", "1099"]),
        payload,
        esm_class=draw.choice([0, 0x40, 4, 0x20, 0xFF]),
        data_coding=draw.choice([0, 4, 8, 0xF5, 255]),
        source_addr_ton=1,
        sequence_number=draw.randrange(1, 2**31),
    ).encode()


class MadCentre(socketserver.ThreadingTCPServer):
    """An SMS centre that lets a client bind and then says anything."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MadSession)
        self.draw = random.Random(SEED)
        self.sessions = 0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.1,))
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class MadSession(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, MadCentre)
        draw = self.server.draw
        self.server.sessions += 1
        with contextlib.suppress(OSError):
            self.request.settimeout(2)
            self.request.recv(4096)
            self.request.sendall(smpp.pdu(smpp.BIND_TRANSCEIVER_RESP, 0, 1, b"mad\0"))
            for _ in range(draw.randrange(1, 30)):
                self.request.sendall(mad_pdus(draw))
                time.sleep(0.002)


def wild_event(draw: random.Random, topic: Topic) -> bytes:
    """An event that decodes, of fields that no owner would write."""
    event = EVENTS[topic.name]()
    wild(draw, event)
    return event.SerializeToString()


def noise(draw: random.Random) -> bytes:
    """What is no call: any bytes, the beginning of HTTP/2, half a request."""
    return draw.choice(
        [
            draw.randbytes(draw.randrange(300)),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(200),
            b"POST /v1/webhooks/door HTTP/1.1\r\ncontent-length: 99999\r\n\r\n{",
            b"POST /v1/webhooks/\xff HTTP/1.1\r\nhost: \x00\r\n\r\n",
            b"POST /v1/webhooks/door HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"GET /metrics HTTP/9.9\r\n" + draw.randbytes(50) + b"\r\n\r\n",
            b"GET " + b"/" * 70_000,
        ]
    )
