"""The headers of stored v1 records are read for ever as they were meant, and written as they are.

Beside each form (hex) stands what it says; the file was written by hand, not by the code.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.runtime import trace
from services.runtime.errors import Poison
from services.runtime.own import Entry, Epochs, OwnedLog, epoch_of
from services.runtime.topics import CASE, Topic
from tests.model.world import Stored

STORED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "events_v1" / "headers.json").read_text("utf-8")
)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Headers = list[tuple[str, bytes]]


def headers_of(name: str) -> Headers:
    return [(key, bytes.fromhex(value)) for key, value in STORED[name]["headers"]]


def admitted_after(marker: int, headers: Headers) -> bool:
    epochs = Epochs()
    epochs.start(0, marker)
    return epochs.admits(0, 10**6, headers)


@pytest.mark.parametrize("name", STORED)
def test_stored_headers_are_read_as_they_were_meant(name: str) -> None:
    said, headers = STORED[name], headers_of(name)
    assert trace.of(headers) == said.get("traceparent")
    if "counts_below_marker" in said:
        assert admitted_after(said["counts_below_marker"], headers)
        assert not admitted_after(said["void_above_marker"], headers)
        assert epoch_of(Stored(CASE.name, 0, b"", headers)) == said["counts_below_marker"]
    elif "marker" in said:
        epochs = Epochs()
        assert not epochs.admits(0, 41, headers)
        assert epochs.epoch(0) == 41
    else:
        assert said["foreign_in_a_log"]
        with pytest.raises(Poison):
            admitted_after(-1, headers)


class Written:
    """Keeps what a log writes, and gives the offset that is asked for."""

    def __init__(self, marker: int) -> None:
        self.next = marker
        self.headers: list[Headers] = []

    async def send(
        self, topic: Topic, partition: int, value: bytes, *, headers: Sequence[Any], **_: object
    ) -> "asyncio.Future[Any]":
        self.headers.append(list(headers))
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(SimpleNamespace(offset=self.next))
        self.next += 1
        return done


@pytest.mark.parametrize(
    ("name", "marker", "traceparent"),
    [("decision", 123456, None), ("decision that is traced", 7, TRACEPARENT)],
)
async def test_what_is_written_now_has_the_stored_form(
    name: str, marker: int, traceparent: str | None
) -> None:
    written = Written(marker)
    log = OwnedLog(cast(Any, written), cast(Any, None), CASE, 0)
    await log.acquire("outreach@-0")
    await log.append([Entry(b"", traceparent=traceparent)])
    assert written.headers == [headers_of("owner marker"), headers_of(name)]


def test_no_form_is_missing() -> None:
    """A form that leaves this file is no longer held; one that comes is to be added."""
    assert STORED.keys() >= {
        "decision",
        "decision that is traced",
        "owner marker",
        "event that is traced",
        "event",
    }
