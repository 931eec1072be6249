"""States bursts on `wave.burst.v1`: absolute, by subject and start; replicas may all do it."""

import zlib

from mawja.wave.v1.events_pb2 import Burst

from services.runtime import log, metrics
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BURST
from services.wave.bursts import Bursts

_log = log.get("wave.burst")


def key_of(burst: Burst) -> bytes:
    """The Kafka key of a burst: dimension|subject|start."""
    return f"{burst.dimension}|{burst.subject}|{burst.start_ms}".encode()


class Raiser:
    """Looks for bursts and states those that changed."""

    def __init__(
        self, bursts: Bursts, producer: Producer, partitions: int, clock: Millis = now_ms
    ) -> None:
        self._bursts = bursts
        self._producer = producer
        self._partitions = partitions
        self._clock = clock
        self._due: dict[bytes, Burst] = {}

    async def state(self) -> int:
        """Looks once, and returns how many Kafka has taken; what it does not take stays due."""
        for burst in self._bursts.look(self._clock()):
            self._due[key_of(burst)] = burst
        metrics.BURSTS.set(sum(not burst.ended for burst in self._bursts.all()))
        now = dict(self._due)
        try:
            await acknowledged(
                [
                    await self._producer.send(
                        BURST,
                        zlib.crc32(key) % self._partitions,
                        burst.SerializeToString(),
                        key=key,
                    )
                    for key, burst in now.items()
                ]
            )
        except Away as error:
            _log.warning("bursts wait: Kafka does not take them", why=str(error))
            return 0
        for key in now:
            del self._due[key]
        return len(now)
