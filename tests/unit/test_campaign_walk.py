"""A walk meets the people of whole files, and nobody else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    AudienceSet,
    AudienceSlice,
    AudienceSpan,
    Recipient,
)

from services.broadcast.campaigns.walk import Gone, Walk
from services.runtime import ids
from services.runtime.own import LogReader
from services.runtime.topics import Topic


@dataclass
class Stored:
    """What stands in a partition."""

    values: list[bytes | None] = field(default_factory=list)

    async def read(
        self, topic: Topic, partition: int, start: int, end: int, each: Callable[[Any], object]
    ) -> None:
        for offset, value in enumerate(self.values[start:end], start=start):
            each(SimpleNamespace(offset=offset, value=value))

    def add(self, name: str, number: int, people: str, attempt: bytes = b"1") -> None:
        piece = AudienceSlice(
            audience_id=name,
            number=number,
            attempt=attempt,
            recipients=[Recipient(person=one.encode()) for one in people],
        )
        self.values.append(piece.SerializeToString())

    def file(self, name: str, recipients: int, attempt: bytes = b"1") -> AudienceFile:
        span = AudienceSpan(partition=0, first=0, end=len(self.values), recipients=recipients)
        return AudienceFile(audience_id=name, spans=[span], attempt=attempt)


ONE, OTHER = ids.derive("audience", "one"), ids.derive("audience", "other")


async def met(stored: Stored, audience: Audience, *files: AudienceFile) -> str:
    walk = Walk(audience, {one.audience_id: one for one in files}, 0, cast(LogReader, stored))
    return "".join([one.person.decode() async for some in walk.recipients() for one in some])


async def test_what_is_no_slice_or_anothers_is_passed_over() -> None:
    stored = Stored()
    stored.add(ONE, 0, "ab")
    stored.values += [b"\xff\xff", b"", None]
    stored.add(OTHER, 1, "xy")
    stored.add(ONE, 1, "c")
    stored.add(ONE, 1, "c")
    assert await met(stored, Audience(upload=ONE), stored.file(ONE, 3)) == "abc"


async def test_another_attempt_of_the_same_request_may_be_another_file() -> None:
    stored = Stored()
    stored.add(ONE, 0, "xy", b"broke off")
    stored.add(ONE, 0, "ab")
    stored.add(ONE, 1, "z", b"broke off")
    stored.add(ONE, 1, "c")
    assert await met(stored, Audience(upload=ONE), stored.file(ONE, 3)) == "abc"


async def test_a_file_of_which_some_is_gone_is_no_audience() -> None:
    stored = Stored()
    stored.add(ONE, 0, "ab")
    file = stored.file(ONE, 3)
    with pytest.raises(Gone):
        await met(stored, Audience(upload=ONE), file)
    # Nor of what is left when it is taken away: those who must not get it would not be known.
    stored.add(OTHER, 0, "abcd")
    sets: dict[str, Any] = {
        "except": AudienceSet(audiences=[Audience(upload=OTHER), Audience(upload=ONE)])
    }
    with pytest.raises(Gone):
        await met(stored, Audience(**sets), file, stored.file(OTHER, 4))


async def test_a_file_that_nobody_knows_is_no_audience() -> None:
    with pytest.raises(Gone):
        await met(Stored(), Audience(upload=ONE))
