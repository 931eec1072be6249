"""What makes the rarer effects of a surge happen: records that nobody can read, views that Redis
has lost, a carrier that throttles. Also the SMS centre's control socket."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import redis.asyncio as redis
from kafka import KafkaProducer

from services.runtime import topics
from services.runtime.store import sentinel_key
from tests.faults.stage import Stage

UNREADABLE = b"\xff\xff"
"""A record that no room can read."""
_PARTITIONS = 8
_VIEWS = ("intake", "dedup", "outreach", "broadcast")
_UNREADABLE = {
    "intake": topics.INBOUND_MESSAGE,
    "dedup": topics.CALL_EVENT,
    # A record of a decision log that carries no epoch: nobody who may write there wrote it.
    "outreach": topics.CASE,
    "broadcast": topics.BROADCAST_COMMAND,
}


class Damaging:
    """`wanted(room.point)`: whether what leads to that effect is still to be made."""

    def __init__(self, on: Stage, wanted: Callable[[str], bool]) -> None:
        self._on = on
        self._wanted = wanted
        self.unreadable = 0
        """Records that nobody can read."""

    async def damage(self, index: int) -> None:
        """Some of it, another some each time."""
        for room, topic in _UNREADABLE.items():
            if self._wanted(f"{room}.dead-letter"):
                await asyncio.to_thread(self._spoil, topic, index % _PARTITIONS)
        if index % 2 == 0:
            await self.lose(_VIEWS[index // 2 % len(_VIEWS)])
        refused = {"ESME_RTHROTTLED": 0.3} if self._wanted("broadcast.claim-released") else {}
        await self.carrier(op="set", profile={"refuse": refused})

    async def lose(self, room: str) -> None:
        """Redis has lost what a room had written, if that is still to be seen. One room at a time,
        so that each has the time to write it again."""
        if room == "intake":
            lost, parts = ["intake:whole"], ("locked", "read-back", "whole", "unlocked")
            flags = [*(f"intake.index-{part}" for part in parts), "intake.claim-renewed"]
        else:
            lost = [sentinel_key(room, partition) for partition in range(_PARTITIONS)]
            flags = [f"{room}.view-rebuilding", f"{room}.view-rebuilt"]
        if any(map(self._wanted, flags)):
            client = redis.Redis.from_url(self._on.parts.redis_url)
            await client.delete(*lost)
            await client.aclose()

    def _spoil(self, topic: topics.Topic, partition: int) -> None:
        producer = KafkaProducer(bootstrap_servers=self._on.parts.kafka, acks="all")
        try:
            producer.send(topic.name, partition=partition, value=UNREADABLE).get(10)
            self.unreadable += 1
        finally:
            producer.close()

    async def carrier(self, **request: Any) -> dict[str, Any]:
        """Asks the SMS centre's control socket."""
        ports = json.loads((self._on.parts.home / "smsc" / "ports.json").read_text())
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["control_port"])
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.close()
        assert answer["ok"], answer
        return answer

    async def deliveries_waiting(self) -> int:
        """What the SMS centre still has for us."""
        waiting: int = (await self.carrier(op="stats"))["deliveries_waiting"]
        return waiting
