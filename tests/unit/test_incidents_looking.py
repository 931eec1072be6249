"""The slow path beside a partition: what it finds it says once, also when it dies in between, and
nobody waits for it."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import get_native_id
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents.looking import Looking
from services.dedup.incidents.state import Decision
from services.dedup.meaning import slow
from services.dedup.meaning.slow import Meaning
from services.runtime.errors import Away, Poison
from services.runtime.topics import INCIDENT_COMMAND
from tests.incidents_desk import LEVELS, NOW, Desk, case_of, snapshot

JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED
REPEATED = incidents_pb2.INCIDENT_CHANGE_REPEATED
Command = incidents_pb2.IncidentCommand
BEES = {
    "a1": ("سرب نحل هجم علينا جنب النافورة ولسع ناس وايد", "ar"),
    "a2": ("النحل يلسع الناس جنب النافورة، السرب هجم مرة ثانية", "ar"),
    "h1": ("फव्वारे के पास मधुमक्खियों के झुंड ने सबको डंक मारे", "hi"),
    "h2": ("मधुमक्खियों का झुंड फव्वारे के पास डंक मार रहा है", "hi"),
}
# Whatever lies near is one: here it counts what becomes of a finding, not whether it is right.
ANYTHING = dataclasses.replace(LEVELS, refine_at=0.0)
ASKED_S = 10.0


@pytest.fixture(scope="module")
def meaning() -> Meaning:
    return Meaning()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    monkeypatch.setattr(slow, "_PAUSE_S", 0.01)
    yield
    assert "failed" not in "".join(capsys.readouterr())


class Kafka:
    """Keeps what is sent. `before`: called before a record is taken."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.records: list[tuple[int, Command]] = []
        self.told = asyncio.Event()
        self._before = before

    async def send(self, topic: Any, partition: int, value: bytes) -> "asyncio.Future[Any]":
        assert topic is INCIDENT_COMMAND
        self.told.set()
        self._before()
        self.records.append((partition, Command.FromString(value)))
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        place = TopicPartition(topic.name, partition)
        done.set_result(RecordMetadata(topic.name, partition, place, 0, 0, 0, 0))
        return done


def unseal(sealed: bytes) -> str:
    return sealed.decode()


@asynccontextmanager
async def running(
    meaning: Meaning, kafka: Kafka, unseal: Callable[[bytes], str] = unseal
) -> AsyncIterator[Looking]:
    """A slow path, as one process has it."""
    looking = Looking(meaning, unseal, cast(Any, kafka))
    task = asyncio.create_task(looking.run())
    try:
        yield looking
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def desk() -> Desk:
    found = Desk(ANYTHING)
    for minute, (name, (text, language)) in enumerate(BEES.items()):
        found.say(name, text, minute, language=language)
    assert found.together() == {frozenset({"a1", "a2"}), frozenset({"h1", "h2"})}
    return found


def decide(at: Desk, command: Command) -> Decision:
    place = common_pb2.Input(topic="command", offset=len(at.log))
    decision = at.state.command(command, place, NOW)
    at.log.append(Decision.FromString(decision.SerializeToString()))
    at.state.through = len(at.log) - 1
    return decision


async def found_by(meaning: Meaning, at: Desk) -> list[Command]:
    """What a new owner of the partition finds."""
    kafka = Kafka()
    async with running(meaning, kafka) as looking:
        looking.take(3, at.state)
        await asyncio.wait_for(kafka.told.wait(), ASKED_S)
        await asyncio.sleep(0.1)
    assert {partition for partition, _ in kafka.records} == {3}
    return [command for _, command in kafka.records]


async def test_what_is_found_is_said_in_the_log_and_says_nothing_personal(
    meaning: Meaning, capsys: pytest.CaptureFixture[str]
) -> None:
    at = desk()
    commands = await found_by(meaning, at)
    assert len({command.envelope.command_id for command in commands}) == 1
    command = commands[0]
    assert command.join.reason.startswith("the texts mean the same (0.")
    assert command.join.reason.endswith("min apart")
    assert decide(at, command).change == JOINED
    assert at.together() == {frozenset(BEES)}
    said = command.SerializeToString() + "".join(capsys.readouterr()).encode()
    for text, _ in BEES.values():
        assert not any(word.encode() in said for word in text.split() if len(word) > 3)


async def test_cases_that_come_later_are_looked_at_and_what_joined_is_not_again(
    meaning: Meaning,
) -> None:
    at, kafka = Desk(ANYTHING), Kafka()
    async with running(meaning, kafka) as looking:
        looking.take(0, at.state)
        for name in ("a1", "h1"):
            at.say(name, BEES[name][0], language=BEES[name][1])
            looking.changed(0, *at.state.changed)
        await asyncio.wait_for(kafka.told.wait(), ASKED_S)
        for _, command in list(kafka.records):
            decide(at, command)
            looking.changed(0, *at.state.changed)
        said = len(kafka.records)
        await asyncio.sleep(0.5)
    assert at.together() == {frozenset({"a1", "h1"})}
    assert len(kafka.records) == said


async def test_who_dies_before_the_finding_is_written_leaves_it_to_the_next_owner(
    meaning: Meaning,
) -> None:
    class Death(BaseException):
        pass

    def dies() -> None:
        raise Death

    at, kafka = desk(), Kafka(before=dies)
    looking = Looking(meaning, unseal, cast(Any, kafka))
    looking.take(0, at.state)
    with pytest.raises(Death):
        await asyncio.wait_for(looking.run(), ASKED_S)
    assert not kafka.records
    at.state = at.folded()
    assert decide(at, (await found_by(meaning, at))[0]).change == JOINED


async def test_who_dies_before_the_finding_is_decided_has_said_it_and_once(
    meaning: Meaning,
) -> None:
    at = desk()
    before = await found_by(meaning, at)
    # The command stands, no decision does: another owner folds the log, and finds it again.
    at.state = at.folded()
    again = await found_by(meaning, at)
    assert {c.envelope.command_id for c in again} == {c.envelope.command_id for c in before}
    changes = [decide(at, command).change for command in (*before, *again)]
    assert changes == [JOINED] + [REPEATED] * (len(changes) - 1)
    assert snapshot(at.folded()) == snapshot(at.state)


async def test_while_kafka_is_away_nothing_is_lost(meaning: Meaning) -> None:
    def away() -> None:
        if len(tries) < 2:
            tries.append(1)
            raise Away("Kafka does not answer")

    tries: list[int] = []
    at, kafka = desk(), Kafka(before=away)
    async with running(meaning, kafka) as looking:
        looking.take(0, at.state)
        async with asyncio.timeout(ASKED_S):
            while not kafka.records:  # noqa: ASYNC110 told at each try
                await asyncio.sleep(0.01)
    assert len(tries) == 2


async def test_what_can_not_be_read_or_is_not_owned_any_more_is_left_alone(
    meaning: Meaning,
) -> None:
    read: list[bytes] = []

    def erased(sealed: bytes) -> str:
        read.append(sealed)
        raise Poison("the key of its month is gone")

    kafka = Kafka()
    async with running(meaning, kafka, erased) as looking:
        looking.take(0, desk().state)
        await asyncio.sleep(0.3)
    assert len(read) == 2
    async with running(meaning, kafka) as looking:
        looking.take(0, desk().state)
        looking.give_up(0)
        await asyncio.sleep(0.3)
    assert not kafka.records


async def test_an_owner_who_gets_a_partition_back_looks_again(meaning: Meaning) -> None:
    at, kafka = desk(), Kafka()
    async with running(meaning, kafka) as looking:
        looking.take(0, at.state)
        await asyncio.wait_for(kafka.told.wait(), ASKED_S)
        looking.give_up(0)
        kafka.told.clear()
        looking.take(0, at.folded())
        await asyncio.wait_for(kafka.told.wait(), ASKED_S)
    assert case_of("a2") in {kafka.records[-1][1].case_id, kafka.records[-1][1].join.other_id}


async def test_a_text_of_a_megabyte_stops_nobody(meaning: Meaning) -> None:
    at = Desk(ANYTHING)
    at.say("long", BEES["a1"][0] * 20_000)
    at.say("h1", BEES["h1"][0], 1, language="hi")
    assert await found_by(meaning, at)


def test_the_thread_that_looksgives_way_and_nothing_else_does() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1, initializer=slow.gives_way) as thread:
        assert (
            thread.submit(lambda: os.getpriority(os.PRIO_PROCESS, get_native_id())).result() == 19
        )
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
