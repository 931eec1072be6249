"""Broadcast killed while it finds people: what it left counts for nothing, and the same request
again is one list of everybody, once."""

import time
from collections.abc import Iterator

import grpc
import pytest
from mawja.broadcast.v1 import audiences_pb2, campaigns_pb2
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, Callers
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceSlice

from services.local.parts import Parts
from services.local.supervised import RestartPolicy
from services.runtime import topics
from services.runtime.own import Record
from services.runtime.scan import Scan
from tests import burying
from tests.audiences_rig import Dedup, Finder, people_of
from tests.broadcast_rig import PARTITIONS, Rig, numbers, running, wait_until
from tests.campaigns_rig import MAKER, again

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
PEOPLE = 45_000


@pytest.fixture
def rig(parts: Parts) -> Iterator[Rig]:
    routes = [{"prefix": "+", "carrier": "fast"}]
    with running(parts, "audience-kill", {"fast": ({}, {})}, routes) as made:
        for replica in made.system.running:
            replica.process.policy = RestartPolicy(factor=1.0)
        yield made


def slices(rig: Rig, audience_id: str) -> set[bytes]:
    """The attempts that have left slices of a list."""
    found: set[bytes] = set()

    def take(record: Record) -> None:
        piece = AudienceSlice.FromString(record.value or b"")
        if piece.audience_id == audience_id:
            found.add(piece.attempt)

    with Scan(rig.parts.kafka, [topics.AUDIENCE]) as scan:
        scan.advance(take)
    return found


def written(rig: Rig) -> int:
    """How many records the lists have."""
    with Scan(rig.parts.kafka, [topics.AUDIENCE]) as scan:
        return scan.advance(lambda _: None)


def test_kill_9_while_people_are_found(rig: Rig) -> None:
    people = numbers("35", PEOPLE)
    dedup = Dedup(rig.parts.kafka, rig.keyring, PARTITIONS)
    for place, number in enumerate(people):
        dedup.contact(f"k{place}", number, agency="water")
    dedup.flush()
    dedup.close()
    finder = Finder(rig.system, MAKER)
    request = audiences_pb2.MakeAudienceRequest(
        request_id="once",
        name="callers",
        drill=True,
        query=AudienceQuery(callers=Callers(agency="water")),
    )

    def ask() -> campaigns_pb2.AudienceFile:
        made: campaigns_pb2.AudienceFile
        for answer in finder.stub.MakeAudience(request, timeout=120):
            if answer.HasField("audience"):
                made = answer.audience
        return made

    before = written(rig)

    def killed() -> None:
        for answer in finder.stub.MakeAudience(request, timeout=120):
            assert not answer.HasField("audience"), "too fast to be killed: give it more people"
            if answer.found:
                # People who were found stand there a moment later.
                wait_until(lambda: written(rig) > before, 10, 0.01)
                burying.kill(rig.parts.kafka, rig.replica)
                # Nothing of it reaches the owner any more.
                time.sleep(0.2)

    with pytest.raises(grpc.RpcError):
        killed()
    made = again(ask)
    assert made.recipients == PEOPLE
    assert people_of(rig.parts.kafka, made, rig.keyring) == people
    assert len(slices(rig, made.audience_id)) == 2, "nothing was left by the kill"
    # Killed again: it is what it was, and a campaign meets everybody once.
    burying.kill(rig.parts.kafka, rig.replica)
    assert again(ask) == made
    seen = again(lambda: finder.preview(Audience(upload=made.audience_id)))
    assert (seen.people, dict(seen.exclusions)) == (PEOPLE, {})
