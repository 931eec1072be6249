"""A service that crashes right after its effects, each kind of effect once: `POINTS` has them all.

Run as a script this file is one of the services with adapters in its libraries that end the process
when an effect has just been done, before anybody in the process knows of it; the shipped code knows
nothing of it. Each point crashes once in the life of its folder, at a seeded occurrence; a service
whose points have all crashed is left alone. `tests/contract/test_crash_points.py` holds the list
against the code.
"""

import hashlib
import inspect
import os
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.runtime import smpp, topics
from services.runtime.own import MARKER

RECORD, MARK, REDIS, COMMIT, PDU, CALL = "record", "marker", "redis", "commit", "pdu", "call"
CODE = 137
GO = "go"
"""The file in the folder that lets the crashes begin."""
_INDEX = "services.intake.entries"
_STORE = "services.runtime.store"
SCRIPTED = (_INDEX, _STORE)
"""The modules that hold scripts for Redis."""


def always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of effect of a room.

    `key` by `kind`: a topic's name (RECORD, MARK), a script as module:NAME or a command (REDIS), a
    consumer group (COMMIT), an SMPP command (PDU), a function as module:qualified.name (CALL).
    `when` narrows it: told the value of a record, else the arguments of what was called. The crash
    comes after 1 to `most` of them in one life of the process.
    """

    room: str
    name: str
    kind: str
    key: str
    when: Callable[[Any], bool] = always
    most: int = 4

    @property
    def flag(self) -> str:
        """The name of the file that tells that it has crashed."""
        return f"{self.room}.{self.name}"


def states(*wanted: "broadcast_pb2.MessageState.ValueType") -> Callable[[bytes], bool]:
    """Whether a status record holds a change to one of `wanted`."""
    return lambda value: any(
        change.state in wanted for change in broadcast_pb2.StatusRecord.FromString(value).changes
    )


def contact_from(source: str) -> Callable[[bytes], bool]:
    """Whether an accepted contact came from `source`, or below it."""
    return lambda value: intake_pb2.ContactAccepted.FromString(value).source.startswith(source)


def opt_out_by(source: "broadcast_pb2.OptOutSource.ValueType") -> Callable[[bytes], bool]:
    """Whether an opt-out was told in this way."""
    return lambda value: broadcast_pb2.OptOut.FromString(value).source == source


def changes(*wanted: "dedup_pb2.CaseChange.ValueType") -> Callable[[bytes], bool]:
    """Whether a decision changed its case in one of these ways."""
    return lambda value: dedup_pb2.CaseDecision.FromString(value).change in wanted


def _told(value: bytes) -> bool:
    return bool(dedup_pb2.CaseDecision.FromString(value).outcome.command_id)


def _writes(args: Sequence[Any]) -> bool:
    # EVALSHA, the script, one key, the epoch: a view that is only looked after has no more.
    return len(args) > 5


def _worker(room: str, dead: topics.Topic) -> tuple[Point, ...]:
    """What every room with a worker does."""
    return (
        Point(room, "committed", COMMIT, room),
        Point(room, "dead-letter", RECORD, dead.name, most=1),
    )


def _view(room: str) -> tuple[Point, ...]:
    """What every room with a view does to it."""
    return (
        Point(room, "view-taken-over", REDIS, f"{_STORE}:_CLAIM", most=8),
        Point(room, "view-written", REDIS, f"{_STORE}:_PUT", _writes),
        Point(room, "view-rebuilding", REDIS, f"{_STORE}:_BEGIN"),
        Point(room, "view-rebuilt", REDIS, f"{_STORE}:_END"),
    )


_STATUS = topics.MESSAGE_STATUS.name

POINTS: tuple[Point, ...] = (
    Point("intake", "key-claimed", REDIS, f"{_INDEX}:CLAIM"),
    Point("intake", "contact", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("load-test")),
    Point(
        "intake", "webhook", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("portal"), most=2
    ),
    Point("intake", "inbound", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("sms/"), most=2),
    Point("intake", "key-completed", REDIS, f"{_INDEX}:COMPLETE"),
    Point("intake", "call-event", RECORD, topics.CALL_EVENT.name),
    Point("intake", "answered", CALL, "services.intake.server:_Stream.answers"),
    Point("intake", "claim-renewed", REDIS, f"{_INDEX}:RENEW", most=1),
    Point("intake", "claim-settled", REDIS, f"{_INDEX}:SETTLE", most=1),
    Point("intake", "index-locked", REDIS, "SET", most=1),
    Point("intake", "index-read-back", REDIS, "PIPELINE", most=1),
    Point("intake", "index-whole", REDIS, f"{_INDEX}:WHOLE", most=1),
    Point("intake", "index-unlocked", REDIS, f"{_INDEX}:RELEASE", most=1),
    *_worker("intake", topics.INTAKE_DEAD),
    Point("dedup", "marker", MARK, topics.CASE.name, most=8),
    Point(
        "dedup",
        "contact-decided",
        RECORD,
        topics.CASE.name,
        changes(dedup_pb2.CASE_CHANGE_OPENED, dedup_pb2.CASE_CHANGE_LINKED),
    ),
    Point(
        "dedup",
        "call-decided",
        RECORD,
        topics.CASE.name,
        changes(dedup_pb2.CASE_CHANGE_CALL, dedup_pb2.CASE_CHANGE_RESOLVED),
    ),
    Point("dedup", "command-decided", RECORD, topics.CASE.name, _told, most=2),
    Point("dedup", "tally", RECORD, topics.TALLY.name),
    Point("dedup", "command", RECORD, topics.DEDUP_COMMAND.name, most=2),
    Point("dedup", "reply-told", REDIS, "PUBLISH", most=2),
    *_view("dedup"),
    *_worker("dedup", topics.DEDUP_DEAD),
    Point("outreach", "marker-of-messages", MARK, topics.MESSAGE_REQUESTED.name, most=8),
    Point("outreach", "marker-of-callbacks", MARK, topics.CALLBACK.name, most=8),
    Point("outreach", "callback", RECORD, topics.CALLBACK.name),
    Point("outreach", "message", RECORD, topics.MESSAGE_REQUESTED.name),
    *_view("outreach"),
    *_worker("outreach", topics.OUTREACH_DEAD),
    Point("broadcast", "marker", MARK, _STATUS, most=8),
    Point("broadcast", "command", RECORD, topics.BROADCAST_COMMAND.name, most=2),
    Point("broadcast", "lane-urgent", RECORD, topics.QUEUED_URGENT.name, most=2),
    Point("broadcast", "lane-normal", RECORD, topics.QUEUED_NORMAL.name),
    Point("broadcast", "lane-bulk", RECORD, topics.QUEUED_BULK.name, most=2),
    Point("broadcast", "claim", RECORD, _STATUS, states(broadcast_pb2.MESSAGE_STATE_CLAIMED)),
    Point("broadcast", "parts-written", PDU, "SUBMIT_SM"),
    Point(
        "broadcast",
        "carrier-answered",
        CALL,
        "services.broadcast.carriers.smpp:SmppCarrier.submit_many",
    ),
    Point("broadcast", "result", RECORD, _STATUS, states(broadcast_pb2.MESSAGE_STATE_SUBMITTED)),
    Point(
        "broadcast",
        "claim-released",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_RELEASED),
        most=1,
    ),
    Point(
        "broadcast",
        "unknown",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_UNKNOWN),
        most=1,
    ),
    Point(
        "broadcast",
        "suppressed",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_SUPPRESSED),
        most=1,
    ),
    Point(
        "broadcast",
        "receipt-applied",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_DELIVERED),
    ),
    Point("broadcast", "receipt-kept", RECORD, topics.RECEIPT.name),
    Point("broadcast", "inbound-kept", RECORD, topics.INBOUND_MESSAGE.name, most=2),
    Point("broadcast", "delivery-acknowledged", PDU, "DELIVER_SM_RESP"),
    Point(
        "broadcast",
        "stop-kept",
        RECORD,
        topics.OPT_OUT.name,
        opt_out_by(broadcast_pb2.OPT_OUT_SOURCE_REPLY),
        most=2,
    ),
    Point(
        "broadcast",
        "opt-out",
        RECORD,
        topics.OPT_OUT.name,
        opt_out_by(broadcast_pb2.OPT_OUT_SOURCE_AGENT),
        most=2,
    ),
    Point("broadcast", "reply-told", REDIS, "PUBLISH", most=2),
    *_view("broadcast"),
    *_worker("broadcast", topics.BROADCAST_DEAD),
    Point("wave", "read-up", CALL, "services.wave.stream:Follower._read_up", most=1),
    Point("wave", "tally-taken", CALL, "services.wave.count:Count.take", most=50),
    Point("wave", "level", RECORD, topics.LEVEL.name, most=50),
)
ALWAYS = frozenset(
    {
        "intake.key-claimed",
        "intake.contact",
        "intake.inbound",
        "dedup.contact-decided",
        "outreach.callback",
        "outreach.message",
        "broadcast.claim",
        "broadcast.parts-written",
        "broadcast.carrier-answered",
        "broadcast.result",
        "broadcast.receipt-applied",
        "broadcast.lane-normal",
        "broadcast.receipt-kept",
        "broadcast.inbound-kept",
        "broadcast.stop-kept",
        "broadcast.view-written",
        "broadcast.committed",
        "wave.level",
    }
)
"""What a choice of the points has at least: claiming, publishing, decisions, all about sending."""


def chosen(chance: random.Random, of_each: int) -> tuple[Point, ...]:
    """At most `of_each` points of each room, by chance; those of ALWAYS are among them."""
    found: list[Point] = []
    for room in dict.fromkeys(point.room for point in POINTS):
        of_room = [point for point in POINTS if point.room == room]
        chance.shuffle(of_room)
        of_room.sort(key=lambda point: point.flag not in ALWAYS)
        least = sum(point.flag in ALWAYS for point in of_room)
        found += of_room[: max(of_each, least)]
    return tuple(found)


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
    """The Redis scripts of a module, by their name there."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, str) and "redis.call(" in value
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
        refused = result in (0, b"LOST", b"NEWER") or (args[0] == "SET" and not result)
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
    points = [point for point in POINTS if point.room == room and point.name in names]
    crashed = [point for point in points if (folder / point.flag).exists()]
    left = [point for point in points if point not in crashed]
    if crashed and room != "wave":
        bury(os.environ["MAWJA_KAFKA"], room)
    if left:
        arm({point: Crash(point, folder, seed) for point in left})
    from services.runtime.service import main as serve

    serve(room, import_module(f"services.{room}.__main__").build)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
