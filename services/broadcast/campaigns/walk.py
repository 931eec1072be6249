"""The recipients of an audience in one partition, in the order of its files.

Files never change, so a walk that begins again meets the same people. Those of a file are read a
few slices at a time: a million recipients take no more memory than a thousand.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile, AudienceSlice, Recipient

from services.broadcast.campaigns.plans import uploads
from services.runtime.own import LogReader, Record
from services.runtime.topics import AUDIENCE

_SPAN = 16
"""Offsets that are read at once."""
People = frozenset[bytes]


class Gone(Exception):
    """Some of an audience is not there: not yet, or not any more."""


class Walk:
    """Goes through `audience` as it stands in `partition`. Raises Gone when one of its files is not
    among `files`."""

    def __init__(
        self,
        audience: Audience,
        files: Mapping[str, AudienceFile],
        partition: int,
        reader: LogReader,
    ) -> None:
        self._audience = audience
        self._partition = partition
        self._reader = reader
        names = dict.fromkeys(uploads(audience))
        if any(name not in files for name in names):
            raise Gone("a file of recipients is not known")
        self._files = {name: files[name] for name in names}

    async def recipients(self) -> AsyncIterator[Sequence[Recipient]]:
        """Its recipients, some at a time; a person who stands in it several times comes so often.

        Raises Away; Gone at the end of a file of which less is there than was taken.
        """
        async for _, some in self.by_file():
            yield some

    async def by_file(self) -> AsyncIterator[tuple[str, Sequence[Recipient]]]:
        """The same, with the id of the file in which they stand."""
        # Of one file everybody is meant; of several it takes knowing who stands in the others.
        alone = self._audience.WhichOneof("of") == "upload"
        people = {} if alone else {name: await self._people(name) for name in self._files}
        for name in self._files:
            async for recipients in self._read(name):
                yield (
                    name,
                    [
                        one
                        for one in recipients
                        if alone or meant(self._audience, one.person, people)
                    ],
                )

    async def _people(self, name: str) -> People:
        return frozenset([one.person async for some in self._read(name) for one in some])

    async def _read(self, name: str) -> AsyncIterator[list[Recipient]]:
        file = self._files[name]
        of_here = [span for span in file.spans if span.partition == self._partition]
        for span in of_here:
            numbers, count = set[int](), 0
            for start in range(span.first, span.end, _SPAN):
                found: list[Record] = []
                await self._reader.read(
                    AUDIENCE, self._partition, start, min(span.end, start + _SPAN), found.append
                )
                some = [one for record in found for one in _recipients(record, file, numbers)]
                count += len(some)
                yield some
            if count != span.recipients:
                raise Gone("of a file of recipients not all that was taken can be read")


def meant(audience: Audience, person: bytes, people: Mapping[str, People]) -> bool:
    """Whether a person is in an audience, by who stands in each of its files. Pure."""
    of = audience.WhichOneof("of")
    if of == "upload":
        return person in people[audience.upload]
    if of is None:
        return False
    within = (meant(one, person, people) for one in getattr(audience, of).audiences)
    if of == "all_of":
        return all(within)
    if of == "any_of":
        return any(within)
    return next(within) and not any(within)


def _recipients(record: Record, file: AudienceFile, numbers: set[int]) -> Iterator[Recipient]:
    try:
        piece = AudienceSlice.FromString(record.value or b"")
    except DecodeError:
        # Nobody who may write here wrote it.
        return
    # Sent twice it stands twice; what another attempt left may be of another file.
    ours = piece.audience_id == file.audience_id and piece.attempt == file.attempt
    if ours and piece.number not in numbers:
        numbers.add(piece.number)
        yield from piece.recipients
