"""Finds the people that a query means, a partition at a time, and packs them.

A person's cases and subscriptions stand in the partition number in which their messages will, so
nobody is moved. Numbers go as they are sealed there; they are opened only to see that they can be,
and for the samples.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from mawja.broadcast.v1.audiences_pb2 import AudienceQuery
from mawja.broadcast.v1.campaigns_pb2 import AudienceFile, Recipient

from services.broadcast.campaigns.packing import Packing
from services.broadcast.gathering.callers import OTHER_AGENCY, WITHHELD, Person
from services.broadcast.gathering.reading import YIELD_EVERY, Reading
from services.broadcast.gathering.sources import Cases, Source, Subscriptions
from services.runtime.errors import Poison
from services.runtime.numbers import is_synthetic
from services.runtime.own import LogReader
from services.runtime.privacy import Erased, Keyring


class Gathering:
    """One query that is being answered.

    `drill`: only who took part in a rehearsal, and nobody of one else. `scope`: the agency that the
    asker speaks for, empty for all. Nothing counts before the owner of the list's partition has
    taken up what `run` gives.
    """

    def __init__(
        self,
        query: AudienceQuery,
        *,
        drill: bool,
        scope: str,
        reader: LogReader,
        keyring: Keyring,
        packing: Packing,
        partitions: int,
    ) -> None:
        self.reading = Reading(reader)
        self._source: Source
        if query.WhichOneof("of") == "subscribers":
            self._source = Subscriptions(self.reading, query.subscribers, partitions)
        else:
            self._source = Cases(self.reading, query.callers, partitions, drill=drill, scope=scope)
        self._drill = drill
        self._scope = scope
        self._keyring = keyring
        self._packing = packing
        self._partitions = partitions
        self._left_out: Counter[str] = Counter()
        self._people = sha256()

    @property
    def found(self) -> int:
        """People so far."""
        return self._packing.count

    async def run(self) -> AudienceFile:
        """The list, all of it in Kafka, without name, author and agency. Raises NotFound for an
        incident that is not there, NotInState when a log no longer holds what it takes, Away."""
        await self._source.prepare()
        for partition in range(self._partitions):
            people, left_out = await self._source.of(partition)
            self._left_out.update(left_out)
            await self._pack(people)
        file = await self._packing.packed()
        if self._scope and not file.recipients:
            # How many others there are is shown to who has a part in it.
            self._left_out.pop(OTHER_AGENCY, None)
        file.MergeFrom(AudienceFile(sha256=self._people.digest(), exclusions=self._left_out))
        return file

    async def _pack(self, people: Sequence[Person]) -> None:
        for count, one in enumerate(people, start=1):
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            number = self._number(one)
            if number:
                self._people.update(one.person)
                recipient = Recipient(
                    person=one.person,
                    language=one.language,
                    sealed_number=one.sealed_number,
                    line=self._packing.count + 1,
                )
                await self._packing.add(recipient, number)

    def _number(self, one: Person) -> str:
        """The person's number; empty, with the reason counted, when they can't be in the list."""
        try:
            number = self._keyring.unseal("number", one.sealed_number)
        except Erased:
            self._left_out["erased"] += 1
        except Poison:
            self._left_out["damaged"] += 1
        else:
            if number and is_synthetic(number) is self._drill:
                return number
            self._left_out["drill" if number else WITHHELD] += 1
        return ""
