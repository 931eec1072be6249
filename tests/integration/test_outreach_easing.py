"""While agents have no room, what would bring calls back waits, over the death of its owner, and is
said once: outreach as a process, wave's levels and queue as wave states them."""

import asyncio
from pathlib import Path

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.wave.v1.contracts_pb2 import QUEUE_HOLDER_CENTRE, QueueState
from mawja.wave.v1.events_pb2 import DIMENSION_ALL, Counts, Level

from services.runtime import topics
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.own import LogReader, OwnedLog
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from tests.outreach_rig import Case, Dedup, records, requested, until
from tests.room_process import Room, room

WIDTH, HOP = 900_000, 60_000


async def test_a_question_waits_for_room_while_owners_die_and_is_asked_once(
    settings: Settings, folder: Path
) -> None:
    producer, reader = Producer(settings.kafka, "test-easing"), LogReader(settings.kafka, "easing")
    await producer.start()
    logs = [OwnedLog(producer, reader, topics.CASE, p) for p in range(settings.partitions)]
    for log in logs:
        await log.acquire("test-easing")
    told = Dedup(producer, Keyring(settings.keys), logs, people=7_000)

    async def queue(waiting: int) -> None:
        state = QueueState(
            holder=QUEUE_HOLDER_CENTRE, queue_length=waiting, accepted_ms=now_ms(), drill=True
        )
        sent = await producer.send(topics.QUEUE_STATE, 0, state.SerializeToString(), key=b"centre")
        await acknowledged([sent])

    async def resolved(name: str) -> Case:
        case = told.case(name, channel=common_pb2.CHANNEL_SMS)
        opened = case.opened()
        case.case.state, case.case.resolved_ms = dedup.CASE_STATE_RESOLVED, now_ms()
        await case.tell(opened, case.decision(dedup.CASE_CHANGE_RESOLVED))
        return case

    async def steps(case: Case) -> list[str]:
        return sorted(one.step for one in await requested(reader, settings, case))

    async def stated(case: Case) -> list[outreach.Watch]:
        found = await records(reader, topics.WATCH, settings.partitions)
        all_of_it = [outreach.Watch.FromString(r.value or b"") for r in found]
        return [one for one in all_of_it if one.case_id == case.case.case_id and one.asks]

    start_ms = now_ms() - now_ms() % HOP - WIDTH
    level = Level(
        dimension=DIMENSION_ALL,
        start_ms=start_ms,
        width_ms=WIDTH,
        counts=Counts(offered=300, handled=300, handling_ms=300 * 240_000),
        drill=True,
    )
    key = f"{DIMENSION_ALL}||{start_ms}|{WIDTH}".encode()
    sent = await producer.send(topics.LEVEL, 0, level.SerializeToString(), key=key)
    await acknowledged([sent])
    await queue(80)
    dies = Room("outreach", settings, folder, "dies")
    try:
        await asyncio.to_thread(dies.target)
        # Those before it has read how full agents are go as ever.
        tried: list[Case] = []

        async def waits() -> bool:
            tried.append(await resolved(f"eased {len(tried)}"))

            async def decided() -> bool:
                return bool(await stated(tried[-1])) or len(await steps(tried[-1])) == 2

            await until(decided)
            return bool(await stated(tried[-1]))

        await until(waits)
        case = tried[-1]
        [watch] = await stated(case)
        [ask] = watch.asks
        assert ask.held_for == "80 people wait, room for 0 calls/min"
        assert await steps(case) == ["acknowledge"]
    finally:
        dies.kill()
    with room("outreach", settings, folder, "next") as running:
        await asyncio.to_thread(running.target)
        other = await resolved("another")

        async def acknowledged_too() -> bool:
            return "acknowledge" in await steps(other)

        await until(acknowledged_too)
        assert await steps(case) == ["acknowledge"], "its new owner lets it wait too"
        # Nobody waits any more, and nobody says how many agents there are.
        await queue(0)

        async def asked() -> bool:
            return "satisfaction" in await steps(case)

        await until(asked)
    assert await steps(case) == ["acknowledge", "satisfaction"]
    [message] = [
        one for one in await requested(reader, settings, case) if one.step != "acknowledge"
    ]
    assert (message.rule, message.lane) == ("satisfaction@2", common_pb2.LANE_BULK)
    assert message.expires_ms == ask.held_until_ms
    assert case.number not in dies.said + running.said
    await producer.stop()
