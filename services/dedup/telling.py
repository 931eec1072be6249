"""Tells those who look at the cases of many people what decisions say of a case.

Told once the decisions stand in the log, and again by a new owner for what its predecessor did not
commit: a statement names its case and version, so that the second one changes nothing.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from mawja.dedup.v1 import events_pb2, needs_pb2

from services.dedup import stating
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.levels import Levels
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import NEED, partition_of


class Teller:
    """States cases to `dedup.need.v1`, of `partitions` partitions."""

    def __init__(self, ear: Ear, levels: Levels, producer: Producer, partitions: int) -> None:
        self._ear = ear
        self._levels = levels
        self._producer = producer
        self._partitions = partitions

    def put(
        self, decision: events_pb2.CaseDecision, said: Sequence[str] = (), sealed_text: bytes = b""
    ) -> None:
        """Puts into a decision what will be told because of it. `said`: the tokens of the text."""
        heard = stating.NOTHING_HEARD
        if said and stating.hears(decision):
            heard = self._ear.hear(said)
        stating.state(decision, heard, sealed_text)

    async def tell(self, needs: Iterable[needs_pb2.NeedStated]) -> None:
        """Tells. Done when Kafka has it. Raises Away."""
        futures = []
        for need in needs:
            key = field_key(self._levels, need)
            partition = partition_of(sha256(key).digest(), self._partitions)
            futures.append(
                await self._producer.send(NEED, partition, need.SerializeToString(), key=key)
            )
        await acknowledged(futures)


def field_key(levels: Levels, need: needs_pb2.NeedStated) -> bytes:
    """What cases that may be of one event share: drill or not, and the field of work."""
    return f"{'drill' if need.drill else 'real'}/{levels.field_of(need.agency)}".encode()
