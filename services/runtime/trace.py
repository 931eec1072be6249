"""Trace context across gRPC and Kafka (W3C traceparent), for a share of contacts.

A contact is traced or not once, at the door; what is not traced carries no header and costs
nothing. Finished spans are written as log lines with their ids and durations, and go to a collector
(OTLP) where one is named.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.runtime import log

HEADER = "traceparent"
Headers = Sequence[tuple[str, bytes]]
_PROPAGATOR = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("mawja")
_share = 0.0


class _LogExporter(SpanExporter):
    def __init__(self) -> None:
        self._log = log.get("trace")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            context, parent = span.context, span.parent
            if context is None or span.start_time is None or span.end_time is None:
                continue
            self._log.info(
                "span",
                span=span.name,
                trace_id=f"{context.trace_id:032x}",
                span_id=f"{context.span_id:016x}",
                parent_id=f"{parent.span_id:016x}" if parent else "",
                duration_us=(span.end_time - span.start_time) // 1000,
            )
        return SpanExportResult.SUCCESS


def configure(service: str, share: float, otlp: str = "") -> None:
    """Traces `share` (0 to 1) of the contacts that come without a trace of their own. `otlp`: the
    collector that gets the spans, http://host:4317 or https://…; empty: only the log has them."""
    global _tracer, _share
    _share = share
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),
        resource=Resource.create({"service.name": f"mawja-{service}"}),
    )
    provider.add_span_processor(SimpleSpanProcessor(_LogExporter()))
    if otlp:
        # Not imported where nobody collects: it costs a process 20 MB.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=otlp, insecure=otlp.startswith("http://"))
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    _tracer = provider.get_tracer("mawja")


def past(name: str, traceparent: str, began_ns: int) -> str:
    """A span, child of `traceparent`, that began at `began_ns` (Unix ns) and ends now. Gives the
    traceparent to pass on."""
    parent = _PROPAGATOR.extract({HEADER: traceparent})
    made = _tracer.start_span(name, context=parent, start_time=began_ns)
    made.end()
    return _format(made.get_span_context())


@contextmanager
def span(name: str, traceparent: str | None) -> Iterator[str | None]:
    """A span, child of `traceparent` if there is one. Yields the traceparent to pass on, or None
    when this contact is not traced."""
    parent = _PROPAGATOR.extract({HEADER: traceparent}) if traceparent else None
    if not trace.get_current_span(parent or Context()).get_span_context().is_valid:
        # Decided before a span is made: one that is not kept costs as much as taking the contact.
        if random.random() >= _share:
            yield None
            return
        parent = Context()
    with _tracer.start_as_current_span(name, context=parent) as current:
        context = current.get_span_context()
        yield _format(context) if context.trace_flags.sampled else None


def of(headers: Headers) -> str | None:
    """The traceparent in a Kafka record's headers."""
    for key, value in headers:
        if key == HEADER:
            return (value or b"").decode("ascii", "replace")
    return None


def _format(context: trace.SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
