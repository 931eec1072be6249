"""The outcome of a command, told by the partition's owner to the replica where somebody waits."""

import asyncio
from collections import Counter

import redis.asyncio as redis
from redis.exceptions import RedisError

from services.runtime import log, rpc, stop
from services.runtime.errors import Away
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import Topic

_log = log.get("replies")
_PAUSE_S = 0.5


class Replies:
    """Carries the outcome of a command from the partition's owner to the replica that waits.

    Outcomes are kept in the log by the owner; a lost reply only makes the caller ask again with the
    same request_id.
    """

    def __init__(self, client: "redis.Redis", replica: str) -> None:
        self._client = client
        self.channel = f"reply:{replica}"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._askers: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def start(self) -> None:
        """Listens. Redis may be away; it is tried again."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stops listening."""
        if self._task is not None:
            await stop.cancelled([self._task])

    def expect(self, command_id: str) -> "asyncio.Future[bytes]":
        """A future of the outcome; call before the command is appended, and `forget` afterwards.

        Callers that ask for the same outcome share it: wait with asyncio.shield. Raises Away.
        """
        if not self._subscribed.is_set():
            raise Away("Redis is away, so the outcome could not be told; try again in a moment")
        self._askers[command_id] += 1
        return self._waiting.setdefault(command_id, asyncio.get_running_loop().create_future())

    def forget(self, command_id: str) -> None:
        """One caller that expected the outcome does not wait for it any more."""
        self._askers[command_id] -= 1
        if self._askers[command_id] <= 0:
            del self._askers[command_id]
            self._waiting.pop(command_id, None)

    async def ask(
        self,
        producer: Producer,
        topic: Topic,
        partition: int,
        command_id: str,
        command: bytes,
        key: bytes | None = None,
    ) -> bytes:
        """Appends a command for the partition's owner, and waits for the outcome until the caller
        gives up. Raises Away."""
        outcome = self.expect(command_id)
        try:
            await acknowledged([await producer.send(topic, partition, command, key=key)])
            # Shielded: the same request under way a second time waits for the same outcome.
            return await asyncio.wait_for(asyncio.shield(outcome), rpc.time_left_s())
        except TimeoutError:
            raise Away(
                "the change is under way, its outcome is not known yet; ask again with the same "
                "request_id"
            ) from None
        finally:
            self.forget(command_id)

    async def tell(self, channel: str, command_id: str, outcome: bytes) -> None:
        """Tells the replica at `channel` the outcome of a command; best effort."""
        try:
            await self._client.publish(channel, command_id.encode() + b"\n" + outcome)
        except RedisError as error:
            _log.warning("an outcome could not be told", error=type(error).__name__)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(self.channel)
                    while True:
                        message = await pubsub.get_message(timeout=1.0)
                        if message is None:
                            await pubsub.ping()
                            continue
                        if message["type"] == "subscribe":
                            self._subscribed.set()
                        elif message["type"] == "message":
                            command_id, _, outcome = message["data"].partition(b"\n")
                            future = self._waiting.get(command_id.decode(errors="replace"))
                            if future is not None and not future.done():
                                future.set_result(outcome)
            except RedisError:
                self._subscribed.clear()
                await asyncio.sleep(_PAUSE_S)
