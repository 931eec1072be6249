"""What reaches the system from outside while a page is performed: people, senders, telephone lines.

A thread here goes on until it is ended: what a page's fault breaks must break under way.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc

from services.runtime import rpc
from services.runtime.identity import Role
from tests.runbooks.local import Local

SOURCE = "runbooks"
_AREAS = (201, 202, 203, 205, 206, 207, 208, 209, 210, 212)
_REFUSED_S = 6.0
"""After a failure a sender waits so long before it tries again."""


class Intake:
    """Intake as a sender sees it. Raises grpc.RpcError."""

    def __init__(self, on: Local, channel: grpc.Channel) -> None:
        self._stub: Any = service_pb2_grpc.IntakeServiceStub(channel)
        self._bearer = rpc.bearer(on.as_(SOURCE, Role.GATEWAY))

    def submit(self, contact: service_pb2.Contact) -> None:
        """One contact."""
        request = service_pb2.SubmitContactRequest(contact=contact)
        self._stub.SubmitContact(request, metadata=self._bearer, timeout=20)

    def report(self, calls: Sequence[service_pb2.ReportedCall]) -> None:
        """What became of calls: one batch."""
        batch = service_pb2.ReportCallsRequest(sequence=1, calls=calls)
        for _ in self._stub.ReportCalls(iter([batch]), metadata=self._bearer, timeout=20):
            pass


@contextlib.contextmanager
def intake(on: Local) -> Iterator[Intake]:
    """Calls intake."""
    with grpc.insecure_channel(on.target("intake"), options=rpc.CHANNEL_OPTIONS) as channel:
        yield Intake(on, channel)


def enquiry(key: str, text: str, **given: Any) -> service_pb2.Contact:
    """Somebody writes to us, now; who, they withhold where no number is given."""
    return service_pb2.Contact(
        source=SOURCE,
        idempotency_key=key,
        kind=common_pb2.CONTACT_KIND_ENQUIRY,
        channel=given.pop("channel", common_pb2.CHANNEL_WEB),
        withheld="number" not in given,
        text=text,
        event_ms=int(time.time() * 1000),
        **given,
    )


def number(at: int) -> str:
    """One of 1,000 numbers that nobody has: 555-0100 to 555-0199, which North America keeps for
    fiction in each area. A rehearsal's (+999) is not written to in earnest, and where these are no
    hour is quiet."""
    return f"+1{_AREAS[at // 100]}55501{at % 100:02d}"


def hang_up(on: Local, people: Sequence[int], line: str) -> None:
    """People call a line, and hang up before anybody answers."""
    calls = []
    with intake(on) as stub:
        for at in people:
            key = f"call-{at}"
            voice = {"channel": common_pb2.CHANNEL_VOICE, "number": number(at), "line": line}
            stub.submit(enquiry(key, "", **voice))
            calls += [
                service_pb2.ReportedCall(
                    source=SOURCE,
                    contact_key=key,
                    state=state,
                    number=number(at),
                    line=line,
                    event_ms=int(time.time() * 1000),
                )
                for state in (
                    events_pb2.CALL_STATE_OFFERED,
                    events_pb2.CALL_STATE_QUEUED,
                    events_pb2.CALL_STATE_ABANDONED,
                )
            ]
        stub.report(calls)


class _Goes:
    """Does something in a thread of its own, again and again, until it is ended."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends it, and waits for that."""
        self._ending.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        raise NotImplementedError


class Sender(_Goes):
    """Sends one contact after the other, and waits where it is refused, as a sender should."""

    def __init__(self, on: Local, every_s: float = 0.0) -> None:
        self._on = on
        self._every_s = every_s
        self.taken = 0
        super().__init__()

    def _run(self) -> None:
        began = int(time.time())
        # As the counter of failures counts: a try is a call.
        options = [*rpc.CHANNEL_OPTIONS, ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(self._on.target("intake"), options=options) as channel:
            stub = Intake(self._on, channel)
            for at in itertools.count():
                contact = enquiry(f"steady-{began}-{at}", "When does the office open?")
                while not self._ending.is_set():
                    try:
                        stub.submit(contact)
                    except grpc.RpcError:
                        self._ending.wait(_REFUSED_S)
                    else:
                        self.taken += 1
                        break
                if self._ending.wait(self._every_s):
                    return


class Lines(_Goes):
    """Our telephone system: a call for an agency comes in twice a second, and asks where to go."""

    def __init__(self, on: Local, agency: str) -> None:
        self._on = on
        self._agency = agency
        super().__init__()

    def _run(self) -> None:
        bearer = rpc.bearer(self._on.as_(SOURCE, Role.GATEWAY))
        began = int(time.time())
        with grpc.insecure_channel(self._on.target("wave"), options=rpc.CHANNEL_OPTIONS) as channel:
            stub = contracts_pb2_grpc.ContractServiceStub(channel)
            for at in itertools.count():
                request = contracts_pb2.RouteCallRequest(
                    source=SOURCE, contact_key=f"routed-{began}-{at}", agency=self._agency
                )
                with contextlib.suppress(grpc.RpcError):
                    stub.RouteCall(request, metadata=bearer, timeout=10)
                if self._ending.wait(0.5):
                    return
