"""Playbooks on real Kafka and Valkey: satisfaction through both rooms, a callback that resolves its
case, who waits and who is in danger while owners are killed, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1 import service_pb2
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import playbooks_pb2, playbooks_pb2_grpc
from typer.testing import CliRunner

from services.outreach import shelf
from services.runtime import clock, ids, rpc, topics
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import Entry, LogReader, OwnedLog
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.topics import CALL_EVENT, CASE_REQUEST, CONTACT_ACCEPTED, WATCH
from services.tools.__main__ import app
from tests.callbacks_rig import Agent
from tests.dedup_rig import calling, writing
from tests.outreach_rig import records, until
from tests.room_process import Room, room

SMS = common_pb2.CHANNEL_SMS
MOBILE: dict[str, Any] = {"number_line": common_pb2.LINE_MOBILE}
HOUR_MS = 3_600_000
OPEN, RESOLVED = dedup.CASE_STATE_OPEN, dedup.CASE_STATE_RESOLVED


@pytest.fixture(scope="module")
def playbooks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shipped ones at any hour, and a wrong one among them."""
    folder = tmp_path_factory.mktemp("playbooks")
    for file in (Path(shelf.__file__).parent / "playbooks").glob("*.yaml"):
        text = file.read_text("utf-8").replace('  hours: "08:00-21:00"\n', "")
        (folder / file.name).write_text(text, "utf-8")
    (folder / "broken.yaml").write_text("name: broken\nversion: 1\nwhen: {event: dance}\n", "utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def reader(settings: Settings) -> LogReader:
    return LogReader(settings.kafka, "test-reader")


async def said(
    reader: LogReader, settings: Settings, case_id: str
) -> list[outreach.MessageRequested]:
    found = await records(reader, topics.MESSAGE_REQUESTED, settings.partitions)
    all_of_it = [outreach.MessageRequested.FromString(r.value or b"") for r in found]
    return [message for message in all_of_it if message.case_id == case_id]


async def test_the_answer_to_how_it_went_is_no_need_and_a_no_opens_the_case_again(
    settings: Settings, folder: Path, reader: LogReader, playbooks: str
) -> None:
    number, caller = "+999500007701", "+999500007702"
    case_id = ids.case_id(ids.contact_id("test", "asks"))
    called_id = ids.case_id(ids.contact_id("test", "calls"))
    with (
        room("dedup", settings, folder) as cases,
        room("outreach", settings, folder, MAWJA_RULES=playbooks) as messages,
    ):
        at = await asyncio.to_thread(cases.target)
        outreach_at = await asyncio.to_thread(messages.target)
        assert "broken.yaml: line 3, when.event: must be" in messages.said
        async with (
            writing(settings) as gateway,
            calling(at, settings, Role.AGENT) as (stub, token),
            rpc.channel(outreach_at) as channel,
        ):

            async def case(which: str = case_id) -> dedup.Case:
                request = service_pb2.GetCaseRequest(case=which)
                found: dedup.Case = (await stub.GetCase(request, metadata=token)).case
                return found

            async def writes(name: str, text: str) -> None:
                contact = gateway.contact(name, number, text, channel=SMS, agency="", **MOBILE)
                await gateway.send(CONTACT_ACCEPTED, [contact])

            asks = gateway.contact("asks", number, "متى موعد الفحص رقم 77?", channel=SMS, **MOBILE)
            calls = gateway.contact("calls", caller, **MOBILE)
            await gateway.send(CONTACT_ACCEPTED, [asks, calls])
            hung_up = gateway.call("calls", intake.CALL_STATE_ABANDONED, caller)
            await gateway.send(CALL_EVENT, [hung_up])

            async def acknowledged() -> bool:
                return bool(await said(reader, settings, case_id))

            await until(acknowledged)
            resolve = service_pb2.ResolveCaseRequest(case_id=case_id, request_id="1")
            await stub.ResolveCase(resolve, metadata=token)

            async def asked() -> bool:
                return (await case()).score_until_ms > 0

            await until(asked)
            await writes("reply", "٤")

            async def scored() -> bool:
                return (await case()).score == 4

            await until(scored)
            assert (await case()).state == RESOLVED
            await writes("denial", "لا")

            async def again() -> bool:
                return (await case()).state == OPEN

            await until(again)
            assert (await case()).contacts == 3
            steps = [message.step for message in await said(reader, settings, case_id)]
            assert sorted(steps) == ["acknowledge", "satisfaction"]

            # A completed callback.
            agent = Agent(settings, channel, "amal")

            async def claimed() -> bool:
                return (await agent.claim()).HasField("callback")

            await until(claimed)
            held = (await agent.claim()).callback
            assert held.case_id == called_id
            await agent.does("CompleteCallback", held, outcome=1)

            async def met() -> bool:
                return (await case(called_id)).state == RESOLVED

            await until(met)
            # Why, from a terminal.
            shown = await asyncio.to_thread(
                CliRunner().invoke,
                app,
                ["playbook", "explain", (await case(called_id)).case_number],
                env={
                    "MAWJA_DEDUP": at,
                    "MAWJA_OUTREACH": outreach_at,
                    "MAWJA_KEYS": str(settings.keys),
                    "MAWJA_HOME": str(folder / "none"),
                    "MAWJA_TOKEN": issue(
                        settings.keys, "a", frozenset({Role.AGENT}), now=clock.now_ms()
                    ),
                },
            )
            assert shown.exit_code == 0, shown.output
            assert "callback-offer@1" in shown.output
            assert "callback, completed" in shown.output
            assert "they came by voice, not sms" in shown.output
            assert caller[1:] not in shown.output
        assert number not in cases.said + messages.said


async def asking(
    target: str, settings: Settings, method: str, request: Any, *, role: Role, agency: str = ""
) -> Any:
    token = issue(settings.keys, "badr", frozenset({role}), now=clock.now_ms(), agency=agency)
    async with rpc.channel(target) as channel:
        stub: Any = playbooks_pb2_grpc.PlaybookServiceStub(channel)
        return await getattr(stub, method)(request, metadata=rpc.bearer(token), timeout=20)


async def test_a_playbook_that_is_switched_off_is_off_at_every_replica(
    settings: Settings, folder: Path, reader: LogReader, playbooks: str
) -> None:
    numbers = [f"+9995000077{n}" for n in range(20, 24)]
    with (
        room("dedup", settings, folder, "of-switches") as cases,
        room("outreach", settings, folder, "one", MAWJA_RULES=playbooks) as one,
        room("outreach", settings, folder, "two", MAWJA_RULES=playbooks) as two,
    ):
        targets = [await asyncio.to_thread(at.target) for at in (one, two)]
        await asyncio.to_thread(cases.target)

        async def switch(at: int, on: bool, name: str, role: Role = Role.COORDINATOR) -> None:
            request = playbooks_pb2.SwitchPlaybookRequest(
                request_id=name, playbook="acknowledge", on=on, reason="the text is wrong"
            )
            await asking(targets[at], settings, "SwitchPlaybook", request, role=role)

        async def states() -> list[bool]:
            request = playbooks_pb2.ListPlaybooksRequest()
            told = [
                await asking(at, settings, "ListPlaybooks", request, role=Role.AGENT)
                for at in targets
            ]
            return [s.on for each in told for s in each.playbooks if s.name == "acknowledge"]

        async def write(name: str, agency: str) -> list[str]:
            async with writing(settings) as gateway:
                contacts = [
                    gateway.contact(
                        f"{name}{n}", at, f"موعد {name}", channel=SMS, agency=agency, **MOBILE
                    )
                    for n, at in enumerate(numbers)
                ]
                await gateway.send(CONTACT_ACCEPTED, contacts)
            return [ids.case_id(ids.contact_id("test", f"{name}{n}")) for n in range(4)]

        async def acknowledged(which: list[str]) -> int:
            return sum([len(await said(reader, settings, case_id)) for case_id in which])

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await switch(0, False, "0", Role.AGENT)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await switch(0, False, "1")
        await switch(0, False, "1")

        async def off() -> bool:
            return await states() == [False, False]

        await until(off)
        silent = await write("4711", "education")
        # Calls behind them in the same partitions: who is owed a callback was read after them.
        async with writing(settings) as gateway:
            calls = [
                gateway.contact(f"hung{n}", at, agency="water", **MOBILE)
                for n, at in enumerate(numbers)
            ]
            await gateway.send(CONTACT_ACCEPTED, calls)
            ended = [
                gateway.call(f"hung{n}", intake.CALL_STATE_ABANDONED, at)
                for n, at in enumerate(numbers)
            ]
            await gateway.send(CALL_EVENT, ended)
        people = {Keyring(settings.keys).person(number) for number in numbers}

        async def owed() -> bool:
            found = await records(reader, topics.CALLBACK, settings.partitions)
            return people <= {outreach.Callback.FromString(r.value or b"").person for r in found}

        await until(owed)
        await switch(1, True, "2")

        async def on() -> bool:
            return await states() == [True, True]

        await until(on)
        told = await write("8822", "transport")

        async def all_told() -> bool:
            return await acknowledged(told) == 4

        await until(all_told)
        steps = [one.step for case in silent for one in await said(reader, settings, case)]
        assert "acknowledge" not in steps
        request = playbooks_pb2.ListPlaybooksRequest()
        answer = await asking(targets[0], settings, "ListPlaybooks", request, role=Role.AUDITOR)
        [shown] = [one for one in answer.playbooks if one.name == "acknowledge"]
        assert [(s.subject, s.on) for s in shown.switches] == [("badr", True), ("badr", False)]


async def test_owners_that_are_killed_leave_nobody_waiting_and_tell_nothing_twice(
    settings: Settings, folder: Path, reader: LogReader, playbooks: str
) -> None:
    # What an owner had stated before it died: a time that has come since.
    keyring, now = Keyring(settings.keys), clock.now_ms()
    number = "+999500007703"
    case_id = ids.case_id("watched")
    watch = outreach.Watch(
        case_id=case_id,
        case_number=ids.case_number(case_id),
        person=keyring.person(number),
        waiting_since_ms=now - 3 * HOUR_MS,
        hand_over=outreach.HandOver(
            state=outreach.HAND_OVER_STATE_OPEN,
            playbook="life-safety@1",
            since_ms=now - HOUR_MS,
            told=1,
            told_to="duty-supervisor",
            next_ms=now - HOUR_MS + 120_000,
        ),
        agency="police",
        language="ur",
        channel=SMS,
        confidence=1,
        drill=True,
        mobile=True,
        version=1,
        decided_ms=now - HOUR_MS,
        sealed_number=keyring.seal("number", number, now),
    )
    producer = Producer(settings.kafka, "test-past")
    await producer.start()
    partition = topics.partition_of(watch.person, settings.partitions)
    log = OwnedLog(producer, reader, WATCH, partition)
    await log.acquire("past")
    await log.append([Entry(watch.SerializeToString(), watch.person)])
    await producer.stop()

    async def watches() -> list[outreach.Watch]:
        found = await records(reader, WATCH, settings.partitions)
        all_of_it = [outreach.Watch.FromString(r.value or b"") for r in found]
        return [one for one in all_of_it if one.case_id == case_id]

    async def told() -> bool:
        return bool(await said(reader, settings, case_id))

    dies = Room("outreach", settings, folder, "dies", MAWJA_RULES=playbooks)
    try:
        await asyncio.to_thread(dies.target)
        await until(told)
    finally:
        dies.kill()
    assert [one.hand_over.told_to for one in await watches()] == [
        "duty-supervisor",
        "shift-manager",
    ]
    with room("outreach", settings, folder, "next", MAWJA_RULES=playbooks) as running:
        target = await asyncio.to_thread(running.target)

        async def listed(role: Role = Role.COORDINATOR, agency: str = "") -> list[str]:
            request = playbooks_pb2.ListHandOversRequest()
            answer = await asking(
                target, settings, "ListHandOvers", request, role=role, agency=agency
            )
            return [one.case_id for one in answer.hand_overs]

        async def shown() -> bool:
            try:
                return case_id in await listed()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False

        await until(shown, 60)
        assert case_id in await listed(Role.LIAISON, "police")
        assert await listed(Role.LIAISON, "moh") == []
        confirm = playbooks_pb2.ConfirmHandOverRequest(request_id="1", case_id=case_id)
        for _ in range(2):
            answer = await asking(
                target, settings, "ConfirmHandOver", confirm, role=Role.COORDINATOR
            )
            assert answer.hand_over.hand_over.confirmed_by == "badr"
        assert case_id not in await listed()
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await asking(target, settings, "ConfirmHandOver", confirm, role=Role.LIAISON)
        assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    states = [one.hand_over.state for one in await watches()]
    assert states == [outreach.HAND_OVER_STATE_OPEN] * 2 + [outreach.HAND_OVER_STATE_CONFIRMED]
    [message] = await said(reader, settings, case_id)
    assert (message.rule, message.language) == ("waiting-status@1", "ur")
    # Two were asked how it went, and one case was resolved: asked again, it is the same.
    asked = [
        dedup.CaseCommand.FromString(r.value or b"").envelope.command_id
        for r in await records(reader, CASE_REQUEST, settings.partitions)
    ]
    assert len(set(asked)) == 3
