"""Single calls to intake, one after the other, each seen as it was answered: no retry hides it."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from loadtests.ledger import Truth
from services.local.system import token
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from tests.faults.stage import Stage

SOURCE = "probe"
_DEADLINE_S = 25.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: gRPC's code (or "OK"), asked at a second of the surge, after so many more."""

    asked_s: float
    code: str
    seconds: float
    retry_after_s: float | None = None


@dataclass(slots=True)
class Probe:
    """Submits a contact of its own every `every_s` seconds until it is stopped.

    Contacts that were acknowledged are put into the surge's ledger; the others may have been kept
    or not, and are not held against anybody.
    """

    stage: Stage
    every_s: float = 0.25
    answers: list[Answer] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def codes(self, since_s: float = 0.0, until_s: float = float("inf")) -> Counter[str]:
        """How often which code was answered to what was asked in [since, until)."""
        return Counter(a.code for a in self.answers if since_s <= a.asked_s < until_s)

    def first_ok_after(self, at_s: float) -> float | None:
        """Seconds from `at_s` to the end of the first OK asked after it."""
        for answer in self.answers:
            if answer.code == "OK" and answer.asked_s >= at_s:
                return answer.asked_s + answer.seconds - at_s
        return None

    def run(self) -> None:
        """Probes until `stop`."""
        metadata = rpc.bearer(token(self.stage.system.keys, SOURCE, Role.LOAD_TESTER))
        # No retry: what the service answers is what counts.
        options = [("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500)]
        with grpc.insecure_channel(self.stage.system.target("intake"), options=options) as channel:
            stub = service_pb2_grpc.IntakeServiceStub(channel)
            while not self._stopping.wait(self.every_s):
                self._ask(stub, metadata)

    def _ask(
        self, stub: service_pb2_grpc.IntakeServiceStub, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        number = len(self.answers)
        key = f"{self.stage.order.home.name}/{number}"
        contact = service_pb2.Contact(
            source=SOURCE,
            idempotency_key=key,
            kind=common_pb2.CONTACT_KIND_ENQUIRY,
            channel=common_pb2.CHANNEL_SMS,
            # 9 of the 12 digits after +999 tell the probes of one surge apart.
            number=f"+99950{number:07d}",
            party=common_pb2.PARTY_PERSON,
            text=f"the water in street {number} is off since this morning",
            event_ms=now_ms() - 1_000,
            drill=True,
        )
        asked_s = self.stage.elapsed_s
        started = time.monotonic()
        retry_after_s = None
        try:
            answer = stub.SubmitContact(
                service_pb2.SubmitContactRequest(contact=contact),
                metadata=metadata,
                timeout=_DEADLINE_S,
            )
        except grpc.RpcError as error:
            # grpcio's stubs do not say that what is raised is the call.
            call = cast(grpc.Call, error)
            code = call.code().name
            retry_after_s = _retry_after_s(call)
        else:
            code = "OK"
            assert self.stage.run is not None
            ledger = self.stage.run.ledger
            assert answer.contact_id == ids.contact_id(SOURCE, key)
            ledger.expect(
                answer.contact_id, Truth(contact.number, f"probe-{number}", f"probe-{number}")
            )
            ledger.acknowledge(answer.contact_id)
        self.answers.append(Answer(asked_s, code, time.monotonic() - started, retry_after_s))

    def stop(self) -> None:
        """Ends it after the call under way."""
        self._stopping.set()


def _retry_after_s(call: grpc.Call) -> float | None:
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return info.retry_delay.ToTimedelta().total_seconds()
    return None


@contextmanager
def probing(stage: Stage, every_s: float = 0.25) -> Iterator[Probe]:
    """Probes beside what happens inside."""
    probe = Probe(stage, every_s)
    thread = threading.Thread(target=probe.run, name="probe")
    thread.start()
    try:
        yield probe
    finally:
        probe.stop()
        thread.join()
