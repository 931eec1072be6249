"""A service that crashes right after its effects, each kind of effect once: see `points.POINTS`.

Run as a script this file is one of the services with adapters in its libraries that end the process
when an effect has just been done, before anybody in the process knows of it; the shipped code knows
nothing of it. Each point crashes once in the life of its folder, at a seeded occurrence; a service
whose points have all crashed is left alone.
"""

import hashlib
import inspect
import os
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from services.runtime import smpp
from services.runtime.own import MARKER
from tests.faults.points import (
    CALL,
    COMMIT,
    EVERY,
    MARK,
    PDU,
    POINTS,
    RECORD,
    REDIS,
    SCRIPTED,
    Point,
)

CODE = 137
GO = "go"
"""The file in the folder that lets the crashes begin."""


class Crash:
    """Ends the process at a point, once in the life of the flag."""

    def __init__(self, point: Point, folder: Path, seed: str) -> None:
        chance = random.Random(f"{seed}/{point.flag}")
        self._point = point
        self._flag = folder / point.flag
        self._go = folder / GO
        self._going = False
        self._left = chance.randint(1, point.most)

    def after(self, what: Any) -> None:
        """An effect of the point's kind and key has been done."""
        if not self._going:
            self._going = self._go.exists()
        if self._going and self._point.when(what):
            self._left -= 1
            if not self._left:
                self._flag.touch()
                os._exit(CODE)


def arm(crashes: dict[Point, Crash]) -> None:
    """Puts the adapters into place: one for each kind of effect."""
    by_key: dict[tuple[str, str], list[Crash]] = {}
    for point, crash in crashes.items():
        by_key.setdefault((point.kind, point.key), []).append(crash)

    def done(kind: str, key: str, what: Any) -> None:
        for crash in by_key.get((kind, key), ()):
            crash.after(what)

    _after_records(done)
    _after_commits(done)
    _after_redis(done)
    _after_pdus(done)
    for kind, key in by_key:
        if kind == CALL:
            _after_calls(key, done)


_Done = Callable[[str, str, Any], None]


def _after_records(done: _Done) -> None:
    from aiokafka import AIOKafkaProducer

    inner = AIOKafkaProducer.send

    async def send(self: Any, topic: str, value: bytes, **more: Any) -> Any:
        future = await inner(self, topic, value, **more)
        marker = any(name == MARKER for name, _ in more["headers"])

        def acknowledged(future: Any) -> None:
            # The first to be told: nobody in this process knows yet.
            if not future.cancelled() and future.exception() is None:
                done(MARK if marker else RECORD, topic, value)

        future.add_done_callback(acknowledged)
        return future

    AIOKafkaProducer.send = send


def _after_commits(done: _Done) -> None:
    from aiokafka import AIOKafkaConsumer

    inner = AIOKafkaConsumer.commit

    async def commit(self: Any, offsets: Any = None) -> None:
        await inner(self, offsets)
        done(COMMIT, self._group_id, offsets)

    AIOKafkaConsumer.commit = commit


def scripts(module: Any) -> dict[str, str]:
    """The Redis scripts of a module, by their name there; not the pieces that they are made of."""
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, str) and "redis.call(" in value
    }
    return {
        name: value
        for name, value in found.items()
        if not any(value in other for other in found.values() if other != value)
    }


def _after_redis(done: _Done) -> None:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

    # By their digest; with the module, since two may have one name.
    names = {
        hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest(): f"{module}:{name}"
        for module in SCRIPTED
        for name, script in scripts(import_module(module)).items()
    }
    inner: Any = Redis.execute_command
    inner_pipeline: Any = Pipeline.execute

    async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        result = await inner(self, *args, **options)
        # What answers so has done nothing.
        refused = result in (0, b"LOST", b"NEWER", b"WAIT") or (args[0] == "SET" and not result)
        if not refused:
            done(REDIS, names[args[1]] if args[0] == "EVALSHA" else args[0], args)
        return result

    async def execute(self: Any, *args: Any, **options: Any) -> Any:
        commands = [command for command, _ in self.command_stack]
        result = await inner_pipeline(self, *args, **options)
        if any(command[0] in ("SET", "EXPIRE") for command in commands):
            done(REDIS, "PIPELINE", commands)
        return result

    Redis.execute_command = execute_command  # type: ignore[method-assign]
    Pipeline.execute = execute  # type: ignore[method-assign]


def _after_pdus(done: _Done) -> None:
    from services.broadcast.carriers.link import Link

    inner = Link.write

    def write(self: Any, octets: bytes) -> None:
        # A link writes at once what the socket takes: it lets nothing gather.
        inner(self, octets)
        command = int.from_bytes(octets[4:8], "big")
        for name in ("SUBMIT_SM", "DELIVER_SM_RESP"):
            if command == getattr(smpp, name):
                done(PDU, name, octets)

    Link.write = write  # type: ignore[method-assign]


def named(key: str) -> tuple[Any, str]:
    """The owner of a function given as module:qualified.name, and its name there."""
    module, _, path = key.partition(":")
    owner: Any = import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    return owner, name


def _after_calls(key: str, done: _Done) -> None:
    owner, name = named(key)
    inner = getattr(owner, name)

    async def awaited(*args: Any, **more: Any) -> Any:
        result = await inner(*args, **more)
        done(CALL, key, args)
        return result

    async def each(*args: Any, **more: Any) -> Any:
        async for item in inner(*args, **more):
            yield item
            # Whoever takes the items has come back for the next one: this one is away.
            done(CALL, key, args)

    def called(*args: Any, **more: Any) -> Any:
        result = inner(*args, **more)
        done(CALL, key, args)
        return result

    if inspect.isasyncgenfunction(inner):
        setattr(owner, name, each)
    else:
        setattr(owner, name, awaited if inspect.iscoroutinefunction(inner) else called)


def bury(kafka: str, group: str) -> None:
    """Tells the group that its members are dead, which it would find out by itself after 10 s."""
    from kafka.admin import KafkaAdminClient, MemberToRemove

    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        members = admin.describe_groups([group])[group]["members"]
        dead = [MemberToRemove(member_id=member["member_id"]) for member in members]
        if dead:
            admin.remove_group_members(group, dead)
    finally:
        admin.close()


def command(room: str, folder: Path, seed: int, points: Iterable[Point]) -> list[str]:
    """The command line of a room that crashes at those of `points` that are its own."""
    own = [point.name for point in points if point.room == room]
    return [sys.executable, __file__, room, str(folder), str(seed), *own]


def main(room: str, folder: Path, seed: str, names: Sequence[str]) -> None:
    """Runs a room until its next crash, or for ever."""
    points = [point for point in EVERY if point.room == room and point.name in names]
    crashed = [point for point in points if (folder / point.flag).exists()]
    left = [point for point in points if point not in crashed]
    if crashed:
        for group in {point.key for point in POINTS if (point.room, point.kind) == (room, COMMIT)}:
            bury(os.environ["MAWJA_KAFKA"], group)
    if left:
        arm({point: Crash(point, folder, seed) for point in left})
    from services.runtime.service import main as serve

    serve(room, import_module(f"services.{room}.__main__").build)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
