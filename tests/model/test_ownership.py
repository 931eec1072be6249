"""Ownership and claims, every interleaving: nobody gets a message twice, and none is forgotten.

The search drives the shipped code (see `process`), so it has no description of the protocol that
could part from it; that is why no checker with a language of its own stands here. Each world is
explored to its end, within bounds that are said; each mutation of the protocol is found out.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast import admission, changes, messages, status_log
from services.broadcast.messages import CLAIMED, RELEASED, UNKNOWN
from services.broadcast.status_log import StatusLog
from services.runtime.own import OwnedLog
from tests.model.process import SHIPPED, Shipped
from tests.model.search import Search
from tests.model.state import Bounds, Broken
from tests.model.world import World

# A minute at most by itself; a processor that is shared with other tests gives it less.
pytestmark = pytest.mark.timeout(600)
WORLDS = {
    "a carrier that refuses and loses": (Bounds(refusals=1, losses=1), 1),
    "receipts come twice": (Bounds(receipts=2), 1),
    "receipts that carry no reference of ours": (Bounds(references=False), 1),
    "appends that nobody acknowledges": (Bounds(silence=True), 1),
    "frozen for longer than a claim lives": (Bounds(frozen=True), 1),
    "asked to go": (Bounds(revoked=True), 1),
}


def explored(folder: Path, bounds: Bounds, parts: int = 1, shipped: Shipped = SHIPPED) -> Search:
    search = Search(World.make(folder / "keys", parts), bounds, shipped)
    search.run()
    return search


@pytest.mark.parametrize("name", WORLDS)
def test_every_interleaving_keeps_the_promises(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds, parts = WORLDS[name]
    started = time.process_time()
    search = explored(tmp_path, bounds, parts)
    with capsys.disabled():
        print(
            f"\n  {name}: {search.states:,} states, {search.steps:,} steps, {search.ends:,} ends, "
            f"{search.histories:,} owners in {time.process_time() - started:.1f} s of a processor"
        )
    # A search that came nowhere would find nothing.
    assert search.states > 5_000
    assert search.ends > 500


# The model can fail: the protocol with a piece taken out is found out.


class NoReadBack(OwnedLog):
    """Does not look at what stands between its records."""

    async def _confirm_alone(self, last: int) -> None:
        return


def resend_unknown(patch: pytest.MonkeyPatch) -> None:
    """What may be with the carrier is claimed again, as if a person had decided so."""
    usual = changes.claim

    def claim(
        known: messages.Messages, queued: QueuedMessage, carrier: str, parts: int, until_ms: int
    ) -> MessageChange:
        change = usual(known, queued, carrier, parts, until_ms)
        if known.state(queued.message_id) == UNKNOWN:
            change.resend += 1
        return change

    patch.setattr("services.broadcast.sending.claim", claim)
    for module in (messages, admission):
        patch.setattr(module, "MAY_BE_CLAIMED", messages.MAY_BE_CLAIMED | {UNKNOWN})


def release_orphans(patch: pytest.MonkeyPatch) -> None:
    """A new owner takes the claims that it finds in the log for unused."""
    usual = changes.next_change

    def released(
        message: messages.Message, state: messages.State, reason: str = ""
    ) -> MessageChange:
        return usual(message, RELEASED if reason == "takeover" else state, reason)

    patch.setattr("services.broadcast.worker.next_change", released)


def claims_stay_out_of_the_log(patch: pytest.MonkeyPatch) -> None:
    """Claims are known to their owner alone."""
    usual = StatusLog._write

    async def write(self: StatusLog, batch: status_log._Batch) -> None:
        kept = [one for one in batch.changes if one.change.state != CLAIMED]
        await usual(self, dataclasses.replace(batch, changes=kept))

    patch.setattr(StatusLog, "_write", write)


def claims_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """The carrier is called while the claim is on its way to the log."""
    usual = StatusLog.put

    def put(
        self: StatusLog, changes: Iterable[MessageChange], *, hurry: bool = False
    ) -> "asyncio.Future[None]":
        done = usual(self, changes, hurry=hurry)
        if not hurry:
            return done
        at_once: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_once.set_result(None)
        return at_once

    patch.setattr(StatusLog, "put", put)


def nothing(patch: pytest.MonkeyPatch) -> None:
    """The mutation is in what the process is made of."""


MUTATIONS: dict[str, tuple[Shipped, Callable[[pytest.MonkeyPatch], None], str]] = {
    "no read-back after a gap": (Shipped(log=NoReadBack), nothing, "no reader knows a claim"),
    "unknown is sent again": (SHIPPED, resend_unknown, "the carrier may have"),
    "claims that stand are taken for unused": (SHIPPED, release_orphans, "the carrier may have"),
    "claims stay out of the log": (SHIPPED, claims_stay_out_of_the_log, "no reader knows a claim"),
    "claims are not waited for": (SHIPPED, claims_are_not_waited_for, "no reader knows a claim"),
    "the marker is not waited for": (
        Shipped(fold_first=True),
        nothing,
        "shows what the log does not say",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_found_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, mutate, says = MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises(Broken, match=says) as found:
        explored(tmp_path, Bounds(), 1, shipped)
    way = str(found.value).splitlines()[1:]
    assert 5 <= len(way) <= 25, "the shortest way there"
