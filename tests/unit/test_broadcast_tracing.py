"""Which spans a traced message makes, whatever becomes of it."""

import pytest
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast import messages, tracing
from services.runtime import trace

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []

    def past(name: str, traceparent: str, _began_ns: int) -> str:
        made.append((name, traceparent))
        return f"after-{name}"

    monkeypatch.setattr(trace, "past", past)
    return made


def change(state: int) -> MessageChange:
    return MessageChange(message_id="m", state=state)  # type: ignore[arg-type]


def test_sending_and_receipt_are_a_span_each(spans: list[tuple[str, str]]) -> None:
    traces = tracing.Traces()
    traces.begin("m", TRACE)
    for state in (messages.CLAIMED, messages.SUBMITTED, messages.SUBMITTED, messages.DELIVERED):
        traces.changed(change(state))
    assert spans == [("broadcast.send", TRACE), ("broadcast.receipt", "after-broadcast.send")]
    traces.changed(change(messages.DELIVERED))
    assert len(spans) == 2


def test_what_is_unknown_waits_for_its_receipt(spans: list[tuple[str, str]]) -> None:
    traces = tracing.Traces()
    traces.begin("m", TRACE)
    for state in (messages.SUBMITTED, messages.UNKNOWN, messages.FAILED):
        traces.changed(change(state))
    assert [name for name, _ in spans] == ["broadcast.send", "broadcast.receipt"]


def test_what_was_never_sent_has_no_receipt(spans: list[tuple[str, str]]) -> None:
    traces = tracing.Traces()
    traces.begin("m", TRACE)
    traces.changed(change(messages.EXPIRED))
    assert spans == [("broadcast.end", TRACE)]


def test_others_make_no_span_and_many_are_forgotten(
    spans: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_MOST", 2)
    traces = tracing.Traces()
    traces.changed(change(messages.DELIVERED))
    for message_id in ("m", "n", "o"):
        traces.begin(message_id, TRACE)
    traces.changed(change(messages.DELIVERED))
    assert spans == []
