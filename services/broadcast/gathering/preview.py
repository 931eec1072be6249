"""Goes through an audience and tells who is in it: deciding nothing, sending nothing.

What is told of opt-outs is so at this moment; whoever is written to is asked about again then.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile, Recipient
from mawja.broadcast.v1.events_pb2 import OptOut

from services.broadcast.campaigns.packing import Samples
from services.broadcast.campaigns.walk import Gone, Walk
from services.broadcast.gathering.callers import DUPLICATE
from services.broadcast.gathering.query import written
from services.runtime.errors import NotInState, Poison
from services.runtime.own import LogReader, Record
from services.runtime.privacy import Keyring
from services.runtime.topics import OPT_OUT

_YIELD_EVERY = 200


class Preview:
    """One audience that is being looked at. `read`: recipients of its lists, `of` so many."""

    def __init__(
        self,
        audience: Audience,
        files: Sequence[AudienceFile],
        reader: LogReader,
        keyring: Keyring,
        partitions: int,
    ) -> None:
        self.read = 0
        self.of = sum(one.recipients for one in files)
        self._audience = audience
        self._files = {one.audience_id: one for one in files}
        self._reader = reader
        self._keyring = keyring
        self._partitions = range(partitions)
        self._languages: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._opted_out = 0
        self._samples = Samples()

    async def run(self) -> AudiencePreview:
        """Who is in it. Raises NotInState when a list is no longer there whole, Away."""
        for partition in self._partitions:
            out = await self._who_opted_out(partition)
            met = set[bytes]()
            try:
                walk = Walk(self._audience, self._files, partition, self._reader)
                async for some in walk.recipients():
                    for count, one in enumerate(some):
                        self._meet(one, met, out)
                        if count % _YIELD_EVERY == 0:
                            await asyncio.sleep(0)
            except Gone as gone:
                raise NotInState(f"{gone}: bring the list again, or ask for it anew") from None
            self.read += sum(
                span.recipients
                for file in self._files.values()
                for span in file.spans
                if span.partition == partition
            )
        for file in self._files.values():
            self._left_out.update(file.bad_rows)
            self._left_out.update(file.exclusions)
        return AudiencePreview(
            query=written(self._audience, self._files),
            people=sum(self._languages.values()),
            exclusions=self._left_out,
            opted_out=self._opted_out,
            languages=self._languages,
            samples=self._samples.chosen(),
            lists=self._files.values(),
        )

    def _meet(self, one: Recipient, met: set[bytes], out: set[bytes]) -> None:
        if one.person in met:
            self._left_out[DUPLICATE] += 1
            return
        met.add(one.person)
        self._languages[one.language] += 1
        self._opted_out += one.person in out
        if self._samples.wanted(one.language):
            try:
                number = self._keyring.unseal("number", one.sealed_number)
            except Poison:
                return
            self._samples.add(number, one.language)

    async def _who_opted_out(self, partition: int) -> set[bytes]:
        out = set[bytes]()

        def take(record: Record) -> None:
            person = record.key or b""
            try:
                wants_none = record.value is not None and OptOut.FromString(record.value).opted_out
            except DecodeError:
                # As at sending: not writing is the safe side.
                wants_none = True
            if wants_none:
                out.add(person)
            else:
                out.discard(person)

        held = await self._reader.held(OPT_OUT, [partition])
        await self._reader.read(OPT_OUT, partition, *held[partition], take)
        return out
