"""Packs recipients into slices in Kafka, each in the partition of their person, and says afterwards
where they stand.

Slices count for something only once the owner of the list's partition has taken up what `packed`
says: a list that broke off, or was begun anew, leaves slices that no list names. Each packing is an
attempt of its own, so that nothing of another one is taken for a part of it.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    AudienceSlice,
    AudienceSpan,
    Recipient,
    RecipientSample,
)

from services.runtime.privacy import mask
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import AUDIENCE, partition_of

SLICE = 250
"""Recipients of a slice: some 30 kB."""
SAMPLES = 6
_SAMPLED_LANGUAGES = 32
_ATTEMPT_BYTES = 16
_AT_ONCE = 200
"""Slices that may be under way to Kafka: some 6 MB."""


@dataclass(slots=True)
class _Bin:
    """What goes to one partition."""

    recipients: list[Recipient] = field(default_factory=list)
    slices: int = 0
    count: int = 0
    first: int = -1
    last: int = -1


class Samples:
    """Some recipients to look at, numbers masked: of every language some, the first ones."""

    def __init__(self) -> None:
        self._of: dict[str, list[RecipientSample]] = {}

    def wanted(self, language: str) -> bool:
        """Whether one more of this language would be kept."""
        if language in self._of:
            return len(self._of[language]) < SAMPLES
        return len(self._of) < _SAMPLED_LANGUAGES

    def add(self, number: str, language: str) -> None:
        """Keeps one that is wanted. `number` is E.164."""
        if self.wanted(language):
            sample = RecipientSample(masked_number=mask(number), language=language)
            self._of.setdefault(language, []).append(sample)

    def chosen(self) -> list[RecipientSample]:
        """At most SAMPLES, the languages by turns."""
        turns = (
            (turn, language, one)
            for language, some in self._of.items()
            for turn, one in enumerate(some)
        )
        ranked = sorted(turns, key=lambda one: one[:2])
        return [one for _, _, one in ranked[:SAMPLES]]


class Packing:
    """One list on its way in."""

    def __init__(self, audience_id: str, producer: Producer, partitions: int) -> None:
        self._audience_id = audience_id
        self._producer = producer
        self._attempt = os.urandom(_ATTEMPT_BYTES)
        self._bins = [_Bin() for _ in range(partitions)]
        self._languages: Counter[str] = Counter()
        self._samples = Samples()
        self._under_way: list[tuple[_Bin, asyncio.Future[Any]]] = []

    @property
    def count(self) -> int:
        """Recipients so far."""
        return sum(self._languages.values())

    async def add(self, recipient: Recipient, number: str) -> None:
        """Packs one, whose number (E.164) is also sealed in it. Raises Away."""
        partition = partition_of(recipient.person, len(self._bins))
        self._bins[partition].recipients.append(recipient)
        self._languages[recipient.language] += 1
        self._samples.add(number, recipient.language)
        if len(self._bins[partition].recipients) == SLICE:
            await self._send(partition)

    async def packed(self) -> AudienceFile:
        """All of it is in Kafka. Gives what is known of it by that: where, how many, languages,
        samples. Raises Away."""
        for partition in range(len(self._bins)):
            await self._send(partition)
        await self._settle()
        return AudienceFile(
            audience_id=self._audience_id,
            spans=[
                AudienceSpan(partition=p, first=b.first, end=b.last + 1, recipients=b.count)
                for p, b in enumerate(self._bins)
                if b.count
            ],
            recipients=self.count,
            languages=self._languages,
            attempt=self._attempt,
            samples=self._samples.chosen(),
        )

    async def _send(self, partition: int) -> None:
        bin_ = self._bins[partition]
        if not bin_.recipients:
            return
        piece = AudienceSlice(
            audience_id=self._audience_id,
            number=bin_.slices,
            recipients=bin_.recipients,
            attempt=self._attempt,
        )
        bin_.slices += 1
        bin_.count += len(bin_.recipients)
        bin_.recipients = []
        future = await self._producer.send(
            AUDIENCE,
            partition,
            piece.SerializeToString(),
            key=bytes.fromhex(self._audience_id.replace("-", "")),
        )
        self._under_way.append((bin_, future))
        if len(self._under_way) >= _AT_ONCE:
            await self._settle()

    async def _settle(self) -> None:
        """Waits until Kafka has what is under way, and notes where it stands."""
        under_way, self._under_way = self._under_way, []
        stand = await acknowledged([future for _, future in under_way])
        for (bin_, _), metadata in zip(under_way, stand, strict=True):
            bin_.first = metadata.offset if bin_.first < 0 else min(bin_.first, metadata.offset)
            bin_.last = max(bin_.last, metadata.offset)
