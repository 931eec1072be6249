"""States bursts on `wave.burst.v1`: absolute, by subject and start; replicas may all do it.

All stand in one partition: one event shows as a burst of its topic, its agency, its line and the
whole centre, and whoever decides what is one event must see all of them.
"""

from mawja.wave.v1.events_pb2 import Burst

from services.runtime import log, metrics
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BURST
from services.wave.bursts import Bursts

_log = log.get("wave.burst")
_PARTITION = 0


def key_of(burst: Burst) -> bytes:
    """The Kafka key of a burst: dimension|subject|start, and |drill of one of a drill."""
    mark = "|drill" if burst.drill else ""
    return f"{burst.dimension}|{burst.subject}|{burst.start_ms}{mark}".encode()


class Raiser:
    """Looks for bursts, of real contacts and of drills, and states those that changed."""

    def __init__(
        self, bursts: Bursts, drills: Bursts, producer: Producer, clock: Millis = now_ms
    ) -> None:
        self._bursts = bursts
        self._drills = drills
        self._producer = producer
        self._clock = clock
        self._due: dict[bytes, Burst] = {}

    async def state(self) -> int:
        """Looks once, and returns how many Kafka has taken; what it does not take stays due."""
        for bursts, gauge in (
            (self._bursts, metrics.BURSTS),
            (self._drills, metrics.DRILL_BURSTS),
        ):
            for burst in bursts.look(self._clock()):
                self._due[key_of(burst)] = burst
            gauge.set(sum(not burst.ended for burst in bursts.all()))
        now = dict(self._due)
        try:
            await acknowledged(
                [
                    await self._producer.send(BURST, _PARTITION, burst.SerializeToString(), key=key)
                    for key, burst in now.items()
                ]
            )
        except Away as error:
            _log.warning("bursts wait: Kafka does not take them", why=str(error))
            return 0
        for key in now:
            del self._due[key]
        return len(now)
