"""The Faust app: an agent that follows `dedup.tally.v1`, and a timer that states levels.

How Faust is used, and why so:

- **No Faust table.** A windowed table counts by adding (`table[key] += 1`); fed at least once it
  counts twice after a kill. Tallies are absolute, so the state is the last statement of each
  bucket, and `dedup.tally.v1`, kept 30 days, already is its log: a changelog would be a second
  copy with a second way to be wrong. The windows are pure code over absolute buckets (`book`),
  held against Faust's own `HoppingWindow` by a test.
- **Every replica reads every partition.** A window needs all of them, and the topic is small. So
  each process is a Faust group of its own, named anew at each start: it waits for no dead member,
  and loses no partition. Replicas answer alike; all state levels, which replace each other.
- **Nothing is committed** (`acks=False`). Where to go on is known from what was counted.
- **First follow, then read up.** Faust joins at the end of the topic. When its positions are known,
  what stands before them is read through `LogReader`, many times faster than through a stream.
  What comes both ways is counted once. The same is done after each rebalance.
- Faust writes nothing, makes no topic, serves nothing (no producer, leader, web), leaves signals
  and logging alone, and takes its settings from here only: not from the environment, nor from the
  command line.
"""

import asyncio
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.types import TP, StreamT

from services.runtime import kafka_tls, log
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away, MawjaError, Stop
from services.runtime.own import LogReader, Record
from services.runtime.topics import LEVEL, TALLY
from services.wave.behind import Behind
from services.wave.count import Count
from services.wave.publish import Publisher
from services.wave.raising import Raiser

STATE_EVERY_S = 1.0
_POSITION_S = 30.0
# Levels of this much time before the last one stated are stated again at a start: longer than
# levels wait to be stated, and than the clocks of two machines differ.
_AGAIN_MS = 2 * 60_000
# What was never stated is stated for this long back; GetLevels answers all of it.
_STATED_MS = 24 * 3600_000
_log = log.get("wave.stream")


class _Boot(BootStrategy):
    enable_kafka_producer = False


class _App(faust.App):
    BootStrategy = _Boot


def faust_app(name: str, bootstrap: str, partitions: int, folder: Path) -> faust.App:
    """A Faust app that only follows topics. `name` becomes the name of its consumer group; `folder`
    is where Faust makes folders for tables, of which there are none."""
    tls = kafka_tls.context()
    return _App(
        name,
        env={},
        broker=[f"kafka://{address}" for address in bootstrap.split(",")],
        broker_client_id=name,
        broker_credentials=None if tls is None else faust.SSLCredentials(tls),
        datadir=folder,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="latest",
        consumer_metadata_max_age_ms=60_000,
        # Nobody takes over from this group: only the broker's patience with a member that died.
        broker_session_timeout=30.0,
        broker_request_timeout=40.0,
        # Not acknowledged to anyone, so nothing to wait for.
        stream_wait_empty=False,
    )


class Follower:
    """Runs the app: reads up, follows, states."""

    def __init__(
        self,
        app: faust.App,
        reader: LogReader,
        partitions: int,
        count: Count,
        behind: Behind,
        publisher: Publisher,
        raiser: Raiser,
        now_ms: int,
    ) -> None:
        self._app = app
        self._reader = reader
        self._partitions = range(partitions)
        self._count = count
        self._behind = behind
        self._publisher = publisher
        self._raiser = raiser
        self._started_ms = now_ms
        self._assigned = asyncio.Event()
        self._failure: BaseException | None = None
        self.caught_up = False
        """Whether everything that stood in the topic at the start is counted."""
        tallies = app.topic(TALLY.name, value_type=bytes, key_type=bytes, acks=False)
        app.agent(tallies, name="tallies")(self._follow)
        app.timer(STATE_EVERY_S, name="levels")(self._state)
        app.on_partitions_assigned.connect(self._on_assigned)

    async def _follow(self, tallies: StreamT[bytes]) -> None:
        try:
            async for event in tallies.events():
                message = event.message
                if message.value is not None:
                    written_ms = round(message.timestamp * 1000)
                    self._count.take(message.partition, message.offset, written_ms, message.value)
                    self._behind.counted(message.partition, message.offset, written_ms)
        except Exception as error:
            # Faust would start the agent anew, behind the record that it failed on.
            self._failure = error
            await self._app.crash(error)
            raise

    async def _state(self) -> None:
        # Sums that lack a part of the past are nobody's levels.
        if self.caught_up:
            await self._publisher.state()
            await self._raiser.state()

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self._assigned.set()

    async def run(self) -> None:
        """Follows until cancelled. Raises Away or Stop when the app cannot go on."""
        stopped = asyncio.ensure_future(self._app.wait_until_stopped())
        try:
            await self._app.start()
            self._count.state_since_ms = await self._stated_until() - _AGAIN_MS
            while not self._app.should_stop:
                self._assigned.clear()
                await self._read_up()
                again = asyncio.ensure_future(self._assigned.wait())
                await asyncio.wait([stopped, again], return_when=asyncio.FIRST_COMPLETED)
                again.cancel()
        finally:
            stopped.cancel()
            await self._app.stop()
        reason = self._failure or self._app.crash_reason
        raise Stop(f"Faust has ended: {type(reason).__name__}") from reason

    async def _stated_until(self) -> int:
        """When the last level was stated: Unix ms, at most a day before the start."""
        ends = await self._reader.end(LEVEL, self._partitions)
        last = self._started_ms - _STATED_MS

        def note(record: Record) -> None:
            nonlocal last
            last = max(last, record.timestamp)

        await self._reader.read_many({(LEVEL, p): (end - 1, end) for p, end in ends.items()}, note)
        return last

    async def _read_up(self) -> None:
        started = monotonic_s()
        try:
            async with asyncio.timeout(_POSITION_S):
                for partition in self._partitions:
                    await self._app.consumer.position(TP(TALLY.name, partition))
            # Faust has stood at or before these ends since the last line.
            ends = await self._reader.end(TALLY, self._partitions)
            spans = {(TALLY, p): (self._count.next.get(p, 0), end) for p, end in ends.items()}
            await self._reader.read_many(spans, self._take)
        except MawjaError:
            raise
        except Exception as error:
            if self._assigned.is_set():
                _log.info("assigned anew while reading up", error=type(error).__name__)
                return
            raise Away(f"the tallies could not be read: {type(error).__name__}") from error
        for (_, partition), (_, end) in spans.items():
            self._behind.read(partition, end)
        self.caught_up = True
        _log.info(
            "read up",
            records=sum(end - start for start, end in spans.values()),
            seconds=round(monotonic_s() - started, 3),
        )

    def _take(self, record: Record) -> None:
        if record.value is not None:
            self._count.take(record.partition, record.offset, record.timestamp, record.value)
            self._behind.counted(record.partition, record.offset, record.timestamp)
