"""One contact's trace, from intake to the receipt of its message, as a collector gets it."""

import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.local.progress import Progress
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.identity import Role
from services.tools.local import make_parts, make_system

NUMBER = "+999512345678"
TEXT = "The street lamp in front of my house is broken"
WANTED = {
    "intake.submit",
    "dedup.decide",
    "outreach.decide",
    "broadcast.admit",
    "broadcast.send",
    "broadcast.receipt",
}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span, and all bytes that it was sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bytes = b""

    def Export(
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self.bytes += request.SerializeToString()
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    kept = Collector()
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add(kept, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept, f"http://127.0.0.1:{port}"
    server.stop(None)


def submit(system: System) -> None:
    contact = service_pb2.Contact(
        source="traces",
        idempotency_key="one",
        kind=common_pb2.CONTACT_KIND_ENQUIRY,
        channel=common_pb2.CHANNEL_SMS,
        number=NUMBER,
        text=TEXT,
        event_ms=int(time.time() * 1000),
        drill=True,
    )
    bearer = rpc.bearer(token(system.keys, "traces", Role.LOAD_TESTER))
    with grpc.insecure_channel(system.target("intake"), options=rpc.CHANNEL_OPTIONS) as channel:
        service_pb2_grpc.IntakeServiceStub(channel).SubmitContact(
            service_pb2.SubmitContactRequest(contact=contact), metadata=bearer, timeout=10
        )


def test_a_contact_is_one_trace_up_to_its_receipt(
    tmp_path: Path, collector: tuple[Collector, str]
) -> None:
    kept, address = collector
    with make_parts(tmp_path, brokers=1, profile="default", progress=Progress()) as parts:
        system = make_system(parts)
        system.env = {**system.env, "MAWJA_OTLP": address, "MAWJA_TRACE_SHARE": "1"}
        try:
            system.start()
            submit(system)
            deadline = time.monotonic() + 60
            while not {span.name for span in kept.spans} >= WANTED:
                seen = sorted({span.name for span in kept.spans})
                assert time.monotonic() < deadline, f"after 60 s there are {seen}"
                time.sleep(0.2)
        finally:
            system.stop()
    ours = [span for span in kept.spans if span.name in WANTED]
    assert len({span.trace_id for span in ours}) == 1
    ids = {span.span_id for span in ours}
    roots = [span.name for span in ours if span.parent_span_id not in ids]
    assert roots == ["intake.submit"]
    for span in ours:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    for personal in (NUMBER, NUMBER[1:], TEXT, "lamp"):
        assert personal.encode() not in kept.bytes
