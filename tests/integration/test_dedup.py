"""The dedup room as a process on real Kafka and Valkey: what it decides and survives."""

import asyncio
import random
from collections import Counter
from pathlib import Path

from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, service_pb2

from loadtests.steps import Submit
from loadtests.surge import script
from services.dedup.cases import Decision
from services.runtime import clock, ids, topics, trace
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import EPOCH, LogReader
from services.runtime.produce import acknowledged
from services.runtime.topics import CALL_EVENT, CASE, CONTACT_ACCEPTED, DEDUP_COMMAND
from tests.dedup_rig import (
    calling,
    check_log_and_tallies,
    committed_of,
    log_of,
    worked_through,
    writing,
)
from tests.room_process import Room, room

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_surge_survives_kill_after_kill(settings: Settings, tmp_path: Path) -> None:
    pick = random.Random(7)
    contacts, calls = [], []
    start = clock.now_ms() - 3_600_000
    people = {}
    states = {"offered": 1, "queued": 2, "answered": 3, "abandoned": 4, "ended": 5}
    async with writing(settings) as intake:
        for step in script("covid-78k", calls=1_500, seed=5):
            at_ms = start + int(step.at * 10)
            if isinstance(step, Submit):
                people[ids.contact_id("test", step.key)] = step
                contacts.append(
                    intake.contact(
                        step.key,
                        step.number or "",
                        step.text or "",
                        agency=step.agency or "",
                        channel=common_pb2.Channel.Value(f"CHANNEL_{step.channel.upper()}"),
                        event_ms=at_ms,
                    )
                )
            else:
                calls.append(
                    intake.call(step.key, states[step.event], step.number or "", at_ms=at_ms)
                )
        # Some come twice, and calls overtake their contacts.
        contacts += pick.sample(contacts, 100)
        calls += pick.sample(calls, 100)
        pick.shuffle(calls)
        for part in range(3):
            killed = Room("dedup", settings, tmp_path)
            await intake.send(CALL_EVENT, calls[part::4])
            await intake.send(CONTACT_ACCEPTED, contacts[part::4])
            await asyncio.to_thread(killed.target)
            await asyncio.sleep(pick.random())
            killed.kill()
        with room("dedup", settings, tmp_path) as running:
            await intake.send(CALL_EVENT, calls[3::4])
            await intake.send(CONTACT_ACCEPTED, contacts[3::4])
            await asyncio.to_thread(running.target)
            await worked_through(settings, running)
    states_by_partition = await check_log_and_tallies(settings)

    taken = [
        cases.link(n).contact_id
        for cases in states_by_partition.values()
        for n in range(len(cases.contacts.id))
    ]
    assert sorted(taken) == sorted(people)
    assert all(cases.waiting == 0 for cases in states_by_partition.values())
    log = await log_of(settings)
    assert sum(len(d) for d in log.values()) == len(contacts) + len(calls)
    needs: dict[tuple[str, str], set[str]] = {}
    for decisions in log.values():
        for _, decision, _ in decisions:
            if decision.change in (1, 2):
                step = people[decision.link.contact_id]
                if step.number and not step.shared_number and not step.organisation:
                    case = decision.case.case_id
                    needs.setdefault((step.number, step.need), set()).add(case)
    assert Counter(len(found) for found in needs.values()) == {1: len(needs)}


async def test_a_group_set_back_to_the_start_decides_nothing_again(
    settings: Settings, tmp_path: Path
) -> None:
    before = await log_of(settings)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        admin.delete_groups(["dedup"])
    finally:
        admin.close()
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        await worked_through(settings, running)
    after = await log_of(settings)
    assert {p: len(found) for p, found in after.items()} == {
        p: len(found) for p, found in before.items()
    }
    await check_log_and_tallies(settings)


async def test_poison_is_set_aside_and_the_rest_goes_on(settings: Settings, tmp_path: Path) -> None:
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        async with writing(settings) as intake:
            good = intake.contact("p1", "+999502000001")
            person = intake.keyring.person("+999502000001")
            partition = topics.partition_of(person, settings.partitions)
            bad = [
                b"\xff\xff",
                intake.contact("p2", "", contact_id="x"),
                random.Random(1).randbytes(300),
            ]
            await intake.send(CONTACT_ACCEPTED, [*bad, good], partition=partition)
            await intake.send(CALL_EVENT, bad[:1], partition=partition)
            await intake.send(DEDUP_COMMAND, bad[:1], partition=partition)
            await intake.send(
                CONTACT_ACCEPTED,
                [intake.contact("p3", "+999502000001")],
                headers=[(trace.HEADER, TRACE.encode())],
            )
            await worked_through(settings, running)
        depth = await LogReader(settings.kafka, "test").depth(topics.DEDUP_DEAD, [partition])
        assert depth[partition] == 5
        decided = (await log_of(settings))[partition]
        by_contact = {d.link.contact_id: (d, record) for _, d, record in decided}
        assert ids.contact_id("test", "p1") in by_contact
        decision, record = by_contact[ids.contact_id("test", "p3")]
        assert decision.case.contacts == 2
        passed_on = trace.of(record.headers)
        assert passed_on is not None
        assert passed_on.split("-")[1] == TRACE.split("-")[1]


async def test_at_the_limit_of_dead_letters_it_stops_and_commits_nothing_past_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with writing(settings) as intake:
        await intake.send(CONTACT_ACCEPTED, [b"\xff"] * 3, partition=1)
        end = (await LogReader(settings.kafka, "test").end(CONTACT_ACCEPTED, [1]))[1]
    stopped = Room("dedup", settings, tmp_path, MAWJA_DEAD_LETTER_LIMIT="1")
    try:
        assert await asyncio.to_thread(stopped.process.wait, 60) == 1
    finally:
        stopped.kill()
    assert "the limit (MAWJA_DEAD_LETTER_LIMIT)" in stopped.said
    committed = await asyncio.to_thread(committed_of, settings)
    assert committed[CONTACT_ACCEPTED.name, 1] <= end - 3
    # With the limit raised it goes on.
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        await worked_through(settings, running)


async def test_a_past_owners_late_decision_is_void_for_watchers_too(
    settings: Settings, tmp_path: Path
) -> None:
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        async with (
            calling(target, settings, Role.AGENT) as (stub, token),
            writing(settings) as intake,
        ):
            watching = stub.WatchCases(service_pb2.WatchCasesRequest(), metadata=token)
            await asyncio.sleep(1)
            partition = topics.partition_of(
                intake.keyring.person("+999503000001"), settings.partitions
            )
            late = Decision(
                change=events_pb2.CASE_CHANGE_OPENED,
                case=events_pb2.Case(case_id=ids.case_id("late")),
                input=common_pb2.Input(topic=CONTACT_ACCEPTED.name, offset=10**6),
            )
            future = await intake.producer.send(
                CASE,
                partition,
                late.SerializeToString(),
                headers=[(EPOCH, (0).to_bytes(8, "big"))],
            )
            await acknowledged([future])
            await intake.send(CONTACT_ACCEPTED, [intake.contact("z1", "+999503000001")])
            change = await asyncio.wait_for(watching.read(), 15)
            assert change.case.case_id == ids.case_id(ids.contact_id("test", "z1"))
            watching.cancel()
        await worked_through(settings, running)
