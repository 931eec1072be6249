"""Appends that a person was erased.

It holds once Kafka has it: whoever opens what is sealed follows the list, so it needs neither Redis
nor an owner's decision.
"""

from mawja.dedup.v1.erasures_pb2 import PersonErased

from services.runtime import ids, log
from services.runtime.clock import now_ms
from services.runtime.erasures import Erasures
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import ERASED, partition_of

_log = log.get("dedup.erasing")


class Erasing:
    """The list of one installation, to be appended to."""

    def __init__(self, erasures: Erasures, producer: Producer, partitions: int) -> None:
        self._erasures = erasures
        self._producer = producer
        self._partitions = partitions

    async def erase(self, person: bytes, subject: str, request_id: str) -> int:
        """Erases a person (keyed hash), as `subject` asked. Gives until when, Unix ms: of a repeat
        what the request had been told, so that it takes nothing that came since. Raises Away; asked
        again it is done once."""
        erasure_id = ids.command_id(subject, "ErasePerson", f"{person.hex()}/{request_id}")
        # What another replica was asked before.
        await self._erasures.current()
        known = self._erasures.erased.last(person)
        if known is not None and known.erasure_id == erasure_id:
            return known.at_ms
        record = PersonErased(
            person=person,
            erasure_id=erasure_id,
            # Never before the last one, by whatever clock: the log keeps the last that is written.
            erased_ms=max(now_ms(), known.at_ms + 1 if known else 0),
            subject=subject,
        )
        sent = await self._producer.send(
            ERASED, partition_of(person, self._partitions), record.SerializeToString(), key=person
        )
        await acknowledged([sent])
        self._erasures.erased.take(record)
        _log.info("a person was erased")
        return record.erased_ms
