"""Single calls to intake at a steady pace, each seen as it was answered: no retry hides it."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from loadtests.ledger import Truth
from services.local.system import token
from services.runtime import rpc
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

    def codes(self) -> Counter[str]:
        """How often which code was answered."""
        return Counter(answer.code for answer in self.answers)

    def first_ok_after(self, at_s: float) -> float | None:
        """Seconds from `at_s` to the end of the first OK asked after it."""
        ends = [a.asked_s + a.seconds for a in self.answers if a.code == "OK" and a.asked_s >= at_s]
        return min(ends) - at_s if ends else None

    def answered(self, code: str, since_s: float, until_s: float) -> int:
        """How many were answered with `code` in [since, until)."""
        return sum(
            a.code == code and since_s <= a.asked_s + a.seconds < until_s for a in self.answers
        )

    def run(self) -> None:
        """Probes until `stop`, whether the last one has been answered or not."""
        metadata = rpc.bearer(token(self.stage.system.keys, SOURCE, Role.LOAD_TESTER))
        # No retry: what the service answers is what counts.
        options = [("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500)]
        with grpc.insecure_channel(self.stage.system.target("intake"), options=options) as channel:
            stub = service_pb2_grpc.IntakeServiceStub(channel)
            calls: list[grpc.Future[service_pb2.SubmitContactResponse]] = []
            while not self._stopping.wait(self.every_s):
                calls.append(self._ask(stub, metadata, len(calls)))
            for call in calls:
                # Ended by its deadline at the latest; `_answered` has told why.
                with contextlib.suppress(grpc.RpcError):
                    call.result()

    def _ask(
        self,
        stub: service_pb2_grpc.IntakeServiceStub,
        metadata: tuple[tuple[str, str], ...],
        number: int,
    ) -> "grpc.Future[service_pb2.SubmitContactResponse]":
        key = f"{self.stage.order.home.name}/{number}"
        contact = service_pb2.Contact(
            source=SOURCE,
            idempotency_key=key,
            kind=common_pb2.CONTACT_KIND_ENQUIRY,
            channel=common_pb2.CHANNEL_SMS,
            # A range of its own: no person of the surge has such a number.
            number=f"+9996{number:08d}",
            party=common_pb2.PARTY_PERSON,
            text=f"the water in street {number} is off since this morning",
            event_ms=now_ms() - 1_000,
            drill=True,
        )
        asked_s = self.stage.elapsed_s
        call = stub.SubmitContact.future(
            service_pb2.SubmitContactRequest(contact=contact),
            metadata=metadata,
            timeout=_DEADLINE_S,
        )
        call.add_done_callback(lambda ended: self._answered(ended, contact, asked_s))
        return call

    def _answered(self, ended: Any, contact: service_pb2.Contact, asked_s: float) -> None:
        code = ended.code().name
        retry_after_s = None
        if code == "OK":
            assert self.stage.run is not None
            ledger = self.stage.run.ledger
            contact_id = ended.result().contact_id
            person = f"probe/{contact.number}"
            ledger.expect(contact_id, Truth(contact.number, person, person))
            ledger.acknowledge(contact_id)
        else:
            retry_after_s = _retry_after_s(ended)
        seconds = self.stage.elapsed_s - asked_s
        self.answers.append(Answer(asked_s, code, seconds, retry_after_s))

    def stop(self) -> None:
        """Ends it when the calls under way have been answered."""
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
