"""`mawja rebuild`: the views in Redis are taken away and written again from the log, in sight."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, cast

import redis.asyncio as redis
import typer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from redis.exceptions import RedisError

from services.intake import index
from services.local.progress import Progress
from services.runtime import kafka_tls, rebuild, store
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError, NotInState
from services.runtime.rebuild import View
from services.tools import where
from services.tools.take_away import take_away
from services.tools.told import told

ROOMS = ("dedup", "incidents", "outreach", "broadcast", "intake")
GROUPS = {"incidents": "dedup-incidents"}
"""The consumer group of who writes a view, where it is not named like it."""
_LOOK_S = 0.2
_PATIENCE_S = 60.0
"""Without anything new for so long, nobody is at it."""


def command(
    rooms: Annotated[
        list[str] | None,
        typer.Argument(help=f"Of {', '.join(ROOMS)}; none: all of them.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: where.Home = None,
) -> None:
    """Write the views in Redis again from the log, one room after the other, and wait for it.

    Nothing is lost by it: Redis holds nothing that the log does not. The owner of each partition
    writes its view again; intake reads its index of keys back from its topic. Until a room's view
    is whole its readers answer UNAVAILABLE, and intake takes nothing.

    Works on the local run (`mawja up`), or on the system that MAWJA_KAFKA, MAWJA_REDIS_URL and
    MAWJA_KEYS name.

    Examples:

    - `mawja rebuild dedup`

    - `mawja rebuild --yes`
    """
    with told():
        chosen = list(dict.fromkeys(rooms or ROOMS))
        unknown = [room for room in chosen if room not in ROOMS]
        if unknown:
            raise ConfigError(f"{unknown[0]} has no view; rooms that have: {', '.join(ROOMS)}")
        settings = where.system(home)
        check_owners(settings.kafka, chosen)
        if not yes:
            _ask(chosen)
        asyncio.run(run(settings, chosen, Progress()))


def _ask(rooms: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: give --yes")
    typer.confirm(
        f"Readers of {', '.join(rooms)} will answer UNAVAILABLE until it is done. Go on?",
        abort=True,
    )


def check_owners(kafka: str, rooms: Sequence[str]) -> None:
    """Raises NotInState when a room has no process that would write its view again; Away."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=kafka, **kafka_tls.options())
        try:
            groups = admin.describe_groups([GROUPS.get(room, room) for room in rooms])
        finally:
            admin.close()
    except KafkaError as error:
        raise Away(f"Kafka at {kafka} does not answer: {type(error).__name__}") from error
    for room in rooms:
        if not groups[GROUPS.get(room, room)]["members"]:
            raise NotInState(
                f"no {room} runs there, so nobody would write its view again: start it first"
            )


@dataclass(slots=True)
class Sight:
    """What is seen of a room's view while it is written again."""

    room: str
    total: int
    entries: dict[int, int] = field(default_factory=dict)
    whole: dict[int, rebuild.Progress] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """Entries so far."""
        return sum(self.entries.values())

    def take(self, sentinels: Sequence[bytes | None], told_of: Sequence[bytes | None]) -> list[str]:
        """Takes up what Redis says, by partition; gives a line for each that has become whole."""
        lines = []
        for partition, (sentinel, said) in enumerate(zip(sentinels, told_of, strict=True)):
            progress = rebuild.Progress.unpack(said) if said else rebuild.Progress(0, 0.0)
            self.entries[partition] = progress.entries
            if sentinel is not None and partition not in self.whole:
                self.whole[partition] = progress
                lines.append(
                    f"{self.room} partition {partition}: {progress.entries:,} items in "
                    f"{progress.seconds:.1f} s"
                )
        return lines

    def line(self, partitions: int, seconds: float) -> str:
        """How far it is, and about how long it still takes."""
        return (
            f"{self.room}: {len(self.whole)} of {partitions} partitions, {self.written:,} of about "
            f"{max(self.total, self.written):,} items, {seconds:.0f} s"
            + left(self.written, self.total, seconds)
        )


def left(written: int, total: int, seconds: float) -> str:
    """About how long `total` items take when `written` took `seconds`; "" when nobody can say."""
    if not 0 < written < total:
        return ""
    return f", about {seconds / written * (total - written):.0f} s left"


async def run(settings: Settings, rooms: Sequence[str], progress: Progress) -> None:
    """Writes the views of `rooms` again. Raises NotInState when somebody else is at it, Away when a
    part is away or nobody writes."""
    client = store.connect(settings.redis_url)
    try:
        for room in rooms:
            view = index.VIEW if room == "intake" else store.view_of(room, settings.partitions)
            await _one(client, view, progress)
    except RedisError as error:
        raise Away(f"Redis does not answer: {type(error).__name__}") from error
    finally:
        await client.aclose()


async def _one(client: "redis.Redis", view: View, progress: Progress) -> None:
    started = monotonic_s()
    total = 0
    async with aclosing(take_away(client, view, f"mawja:{now_ms()}")) as gone:
        async for total in gone:
            progress.update(f"{view.room}: taking away what is there, {total:,} items")
    sight = Sight(view.room, total)
    partitions = len(view.sentinels)
    moved, before = monotonic_s(), (0, 0)
    while len(sight.whole) < partitions:
        found = cast(list[bytes | None], await client.mget([*view.sentinels, *view.progress]))
        for line in sight.take(found[:partitions], found[partitions:]):
            progress.say(line)
        now = monotonic_s()
        if (sight.written, len(sight.whole)) != before:
            moved, before = now, (sight.written, len(sight.whole))
        elif now - moved > _PATIENCE_S:
            missing = [str(p) for p in range(partitions) if p not in sight.whole]
            raise Away(
                f"{view.room}: nobody writes partition {', '.join(missing)}; its owner does when "
                "it can, and until then readers answer UNAVAILABLE: look at its log"
            )
        progress.update(sight.line(partitions, now - started))
        await asyncio.sleep(_LOOK_S)
    progress.say(
        f"{view.room}: whole again, {sight.written:,} items in {monotonic_s() - started:.1f} s"
    )
