"""Intake as a process on real Kafka and Valkey, and the callers that tests play.

What the tests believe is the topic, read from outside.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.local.ports import free_ports
from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CONTACT_ACCEPTED, Topic
from tests.room_process import environment, wait_serving

NUMBER = "+999512345678"
NOW = clock.now_ms()
_ALIKE: dict[str, Any] = {"source": "gw", "number": NUMBER, "event_ms": NOW, "drill": True}
"""What every contact and every call here has in common."""


class Intake:
    """One `python -m services.intake`, at ports that stay its own when it is started again."""

    def __init__(self, settings: Settings, folder: Path, name: str, **env: str) -> None:
        self.grpc, self.metrics, self.webhook = free_ports(3)
        self.ready_file = folder / f"{name}.json"
        self.log = folder / f"{name}.log"
        self._folder = folder
        places = {
            "MAWJA_LISTEN": f"127.0.0.1:{self.grpc}",
            "MAWJA_METRICS": f"127.0.0.1:{self.metrics}",
            "MAWJA_WEBHOOK": f"127.0.0.1:{self.webhook}",
        }
        self.env = environment(settings, self.ready_file, **{**places, **env})
        self.process: subprocess.Popen[bytes]

    def start(self) -> Intake:
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.intake"],
                env=self.env,
                stderr=said,
                cwd=self._folder,
            )
        return self

    def ready(self) -> Intake:
        wait_serving(self.process, self.ready_file, self.log)
        return self

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc}"


@contextmanager
def intake(settings: Settings, folder: Path, name: str, **env: str) -> Iterator[Intake]:
    """One that serves."""
    started = Intake(settings, folder, name, **env).start()
    try:
        yield started.ready()
    finally:
        started.end()


def shown(settings: Settings, subject: str, *roles: Role, agency: str = "") -> Any:
    """The metadata of a caller."""
    token = issue(settings.keys, subject, frozenset(roles), now=clock.now_ms(), agency=agency)
    return rpc.bearer(token)


@asynccontextmanager
async def stub(target: str) -> AsyncIterator[service_pb2_grpc.IntakeServiceAsyncStub]:
    """The service as the shipped channel reaches it."""
    async with rpc.channel(target) as channel:
        made: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(channel)
        yield made


def contact(key: str, **changes: Any) -> service_pb2.Contact:
    """A good contact of the source "gw"."""
    own = {"idempotency_key": key, "channel": common_pb2.CHANNEL_VOICE}
    return service_pb2.Contact(**{**_ALIKE, **own, **changes})


def reported(key: str, **changes: Any) -> service_pb2.ReportedCall:
    """A good report of a call of the contact with that key: it was offered."""
    own = {"contact_key": key, "state": events_pb2.CALL_STATE_OFFERED}
    return service_pb2.ReportedCall(**{**_ALIKE, **own, **changes})


def ask(key: str, **changes: Any) -> service_pb2.SubmitContactRequest:
    """The same as a unary request."""
    return service_pb2.SubmitContactRequest(contact=contact(key, **changes))


def stored(settings: Settings, topic: Topic = CONTACT_ACCEPTED) -> list[Record]:
    """Everything that stands in a topic."""
    records: list[Record] = []
    with Scan(settings.kafka, [topic]) as scan:
        scan.advance(records.append)
    return records


def contacts(settings: Settings) -> list[events_pb2.ContactAccepted]:
    """Every contact that stands in Kafka, repeats included."""
    found = []
    for record in stored(settings):
        # The garbage that a test writes begins like this.
        if not (record.value or b"").startswith(b"\xff"):
            found.append(events_pb2.ContactAccepted.FromString(record.value or b""))
    return found


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """The error of a call that must have one."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def outcome(call: Any) -> Any:
    """The answer, or the status code of the error."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return error.code()


def details(error: Any) -> Any:
    """The first detail (google.rpc) of an error."""
    status = rpc_status.from_call(error)
    assert status is not None
    return status.details[0]


async def until_taken(
    intake_stub: service_pb2_grpc.IntakeServiceAsyncStub,
    request: service_pb2.SubmitContactRequest,
    gateway: Any,
    timeout_s: float = 60,
) -> service_pb2.SubmitContactResponse:
    """The answer of an intake that says UNAVAILABLE for a while."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = await outcome(intake_stub.SubmitContact(request, metadata=gateway, timeout=15))
        if isinstance(answer, service_pb2.SubmitContactResponse):
            return answer
        assert answer in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def through(
    target: str, gateway: Any, requests: Sequence[service_pb2.SubmitContactsRequest]
) -> dict[int, service_pb2.SubmitContactsResponse]:
    """The answers of one stream, by sequence."""
    answers: dict[int, service_pb2.SubmitContactsResponse] = {}
    async with stub(target) as intake_stub:
        async for response in intake_stub.SubmitContacts(iter(requests), metadata=gateway):
            for answer in response.bundle or (response,):
                assert answer.sequence not in answers, "one answer for each contact"
                answers[answer.sequence] = answer
    return answers


def signed(
    secret: bytes, delivery: str, body: bytes, timestamp: str | None = None
) -> dict[str, str]:
    """The headers of a webhook's delivery (Standard Webhooks 1.0), signed now if nothing else is
    said."""
    at = timestamp if timestamp is not None else str(int(time.time()))
    digest = hmac.digest(secret, f"{delivery}.{at}.".encode() + body, "sha256")
    return {
        "webhook-id": delivery,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
