"""Reads dedup's log for a scorecard, from where it can tell of the span that is asked for."""

from contextlib import suppress

from google.protobuf.message import DecodeError
from mawja.dedup.v1.events_pb2 import CaseDecision

from services.runtime.errors import ConfigError
from services.runtime.own import Record
from services.runtime.scan import Progress, Scan
from services.runtime.topics import CASE
from services.tools.scorecards.calls import Calls

_EARLY_MS = 10 * 60_000
"""A source's clock may be 5 minutes ahead, so a contact can be decided on before it came."""


def read(bootstrap: str, drill: bool, since_ms: int, progress: Progress | None = None) -> Calls:
    """The contacts that came at `since_ms` (Unix ms; 0: all that are kept) or later, and some of
    before, from Kafka at `bootstrap`. Raises Away, ConfigError."""
    calls = Calls(drill)

    def take(record: Record) -> None:
        # What is no decision nobody wrote who may: it says nothing of a call.
        with suppress(DecodeError):
            calls.take(CaseDecision.FromString(record.value or b""))

    with Scan(bootstrap, (CASE,), max(0, since_ms - _EARLY_MS)) as scan:
        if not scan.beginnings():
            raise ConfigError(f"Kafka at {bootstrap} has no topics of Mawja: none runs there")
        scan.advance(take, progress)
    return calls
