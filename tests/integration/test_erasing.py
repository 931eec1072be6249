"""One person is erased on real parts: their number and words are opened by nobody any more, what
waits for them ends, and what they say afterwards is new."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2
from mawja.dedup.v1.erasures_pb2 import PersonErased
from mawja.intake.v1 import service_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from typer.testing import CliRunner

from services.local.parts import Parts
from services.runtime import clock, ids, topics
from services.runtime.config import Settings
from services.runtime.erased import ErasedPersons
from services.runtime.erasures import Erasures
from services.runtime.identity import Role, issue
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CONTACT_ACCEPTED, DEDUP_DEAD, ERASED
from services.tools.__main__ import app
from tests import intake_rig
from tests.broadcast_rig import numbers, running
from tests.callbacks_rig import RULES, owed
from tests.dedup_rig import calling, log_of, records_of, seen, worked_through
from tests.outreach_rig import Dedup, deciding, logged, until
from tests.room_process import Room, room
from tests.runbooks.pages import FOLDER, steps

NUMBER, TEXT, NOTE = "+999573914711", "marked words 4711", "marked note 4711"
REASON = "request 4711 of 22/11"
DUE, WITHDRAWN = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_WITHDRAWN


async def erased(
    producer: Producer, settings: Settings, person: bytes, at_ms: int | None = None
) -> None:
    """The list says so, as dedup would."""
    record = PersonErased(
        person=person, erasure_id=ids.derive("test"), erased_ms=at_ms or clock.now_ms()
    )
    partition = topics.partition_of(person, settings.partitions)
    sent = await producer.send(ERASED, partition, record.SerializeToString(), key=person)
    await acknowledged([sent])


def code(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> grpc.StatusCode:
    return error.value.code()


def environment(settings: Settings, target: str, role: Role) -> dict[str, str]:
    """Of somebody with `role`."""
    return {
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
        "MAWJA_PARTITIONS": str(settings.partitions),
        "MAWJA_DEDUP": target,
        "MAWJA_TOKEN": issue(settings.keys, "ad-1", frozenset({role}), now=clock.now_ms()),
    }


def command(settings: Settings, target: str, role: Role, *words: str, said: str = "") -> Any:
    """What `mawja` prints to somebody with `role`."""
    env = environment(settings, target, role)
    return CliRunner().invoke(app, list(words), input=said, env=env)


def perform(settings: Settings, target: str) -> str:
    """Does what the runbook says, step by step; gives what was printed."""
    page = FOLDER / "erase-a-person.md"
    said = ""
    for step in steps(page.read_text("utf-8")):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step],
            env=os.environ
            | environment(settings, target, Role.ADMINISTRATOR)
            | {
                "NUMBER": NUMBER,
                "REASON": REASON,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
        said += done.stdout + done.stderr
    return said


async def test_no_reader_opens_what_was_told_before_and_all_what_is_told_after(
    settings: Settings, tmp_path: Path
) -> None:
    with (
        intake_rig.intake(settings, tmp_path, "intake") as intake,
        room("dedup", settings, tmp_path) as dedup,
    ):
        target = await asyncio.to_thread(dedup.target)
        gateway = intake_rig.shown(settings, "gw", Role.GATEWAY)

        async def submits(key: str) -> str:
            async with intake_rig.stub(intake.target) as stub:
                told = intake_rig.contact(
                    key, number=NUMBER, text=TEXT, agency="health", event_ms=clock.now_ms()
                )
                request = intake_pb2.SubmitContactRequest(contact=told)
                answer = await stub.SubmitContact(request, metadata=gateway, timeout=20)
                return answer.contact_id

        async def masked(contact_id: str) -> str:
            async with intake_rig.stub(intake.target) as stub:
                staff = intake_rig.shown(settings, "ag-1", Role.AGENT)
                request = intake_pb2.GetContactRequest(contact_id=contact_id)
                return (await stub.GetContact(request, metadata=staff, timeout=20)).masked_number

        async def told_words(contact_id: str) -> str:
            async with intake_rig.stub(intake.target) as stub:
                staff = intake_rig.shown(settings, "ag-1", Role.AGENT)
                request = intake_pb2.RevealContactRequest(
                    contact_id=contact_id, reason="to know what they need", request_id="w"
                )
                return (await stub.RevealContact(request, metadata=staff, timeout=20)).text

        before = await submits("before")
        await worked_through(settings, dedup)
        case_id = ids.case_id(before)
        assert await masked(before) == "+999•••••••11"
        assert await told_words(before) == TEXT
        async with calling(target, settings, Role.AGENT) as (stub, token):

            async def ask(method: str, **given: Any) -> Any:
                request = getattr(service_pb2, f"{method}Request")(**given)
                return await getattr(stub, method)(request, metadata=token, timeout=20)

            async def reveal(case_id: str, request_id: str) -> str:
                why = "to call them back"
                given = {"case_id": case_id, "reason": why, "request_id": request_id}
                return str((await ask("RevealPerson", **given)).number)

            await seen(lambda: ask("GetCase", case=case_id), lambda it: True)
            await ask("AddCaseNote", case_id=case_id, text=NOTE, request_id="n")
            assert await reveal(case_id, "1") == NUMBER
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask("ErasePerson", number=NUMBER, reason=REASON, request_id="1")
            assert code(refused) is grpc.StatusCode.PERMISSION_DENIED
            letter = await set_aside(settings, before)
            show = ("dlq", "show", "dedup", *letter, "--unmask", "--reason", REASON)
            opened = await asyncio.to_thread(command, settings, target, Role.AUDITOR, *show)
            assert NUMBER in opened.output
            assert TEXT in opened.output

            # Asked before, and not in a program.
            words = ("people", "erase", "--reason", REASON)
            unasked = await asyncio.to_thread(
                command, settings, target, Role.ADMINISTRATOR, *words, said=NUMBER
            )
            assert (unasked.exit_code, await masked(before)) == (1, "+999•••••••11")
            said = await asyncio.to_thread(perform, settings, target)
            assert "erased: what was told until" in said
            assert NUMBER[4:] not in said
            who = "--what", "ErasePerson", "--json"
            listed = await asyncio.to_thread(
                command, settings, target, Role.AUDITOR, "audit", "list", *who
            )
            denied, by = (json.loads(line) for line in listed.output.splitlines())
            assert (denied["subject"], by["subject"], by["reason"]) == ("ag-1", "ad-1", REASON)
            assert by["about"] == f"person:{Keyring(settings.keys).person(NUMBER).hex()}"

            # Every reader: calls, the story of a case, what a tool opens.
            async def hidden() -> bool:
                return await masked(before) == ""

            await until(hidden, 10)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await told_words(before)
            assert code(refused) is grpc.StatusCode.FAILED_PRECONDITION
            assert TEXT not in (refused.value.details() or "")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await reveal(case_id, "2")
            assert code(refused) is grpc.StatusCode.FAILED_PRECONDITION
            shown = await ask("GetCase", case=case_id)
            assert [note.text for note in shown.notes] == ["[erased]"]
            assert (shown.case.contacts, shown.case.agency) == (1, "health")
            opened = await asyncio.to_thread(command, settings, target, Role.AUDITOR, *show)
            assert opened.exit_code == 0, opened.output
            assert NUMBER[4:] not in opened.output
            assert TEXT not in opened.output

            # What comes afterwards is somebody new.
            after = await submits("after")
            await worked_through(settings, dedup)
            anew = ids.case_id(after)
            await seen(lambda: ask("GetCase", case=anew), lambda it: True)
            assert await reveal(anew, "3") == NUMBER
            assert await masked(after) == "+999•••••••11"
            assert await told_words(after) == TEXT
            assert (await ask("GetCase", case=case_id)).case.contacts == 1
        await the_same_request_takes_nothing_more(target, settings, anew)
        changes = [d for log in (await log_of(settings)).values() for _, d, _ in log]
        assert {d.case.case_id for d in changes if d.HasField("link")} == {case_id, anew}
        for said in (dedup.said, intake.said):
            assert NUMBER[4:] not in said
            assert REASON not in said
            assert TEXT not in said
    for record in await records_of(settings, ERASED):
        assert NUMBER[1:].encode() not in (record.value or b"") + (record.key or b"")


async def the_same_request_takes_nothing_more(
    target: str, settings: Settings, case_id: str
) -> None:
    """Whoever lost the answer asks again; another request is another erasure."""
    async with calling(target, settings, Role.ADMINISTRATOR) as (stub, token):

        async def erase(request_id: str) -> int:
            request = service_pb2.ErasePersonRequest(
                number=NUMBER, reason=REASON, request_id=request_id
            )
            answer = await stub.ErasePerson(request, metadata=token, timeout=20)
            return int(answer.erased_ms)

        first = await erase("one")
        assert await erase("one") == first
        # Another replica's clock was ahead when it erased them.
        ahead = clock.now_ms() + 4_000
        producer = Producer(settings.kafka, "test-another-replica")
        await producer.start()
        try:
            await erased(producer, settings, Keyring(settings.keys).person(NUMBER), ahead)
        finally:
            await producer.stop()
        words = ("people", "erase", "--yes", "--reason", REASON, "--request-id", "two", "--json")
        again = [
            json.loads(
                (
                    await asyncio.to_thread(
                        command, settings, target, Role.ADMINISTRATOR, *words, said=NUMBER
                    )
                ).stdout
            )["erased_ms"]
            for _ in range(2)
        ]
        assert int(again[0]) > ahead
        assert again[0] == again[1]
    assert len(await records_of(settings, ERASED)) == 4


async def set_aside(settings: Settings, contact_id: str) -> tuple[str, str]:
    """The contact stands in a dead letter; gives partition and offset."""
    [record] = [
        one
        for one in await records_of(settings, CONTACT_ACCEPTED)
        if contact_id.encode() in (one.value or b"")
    ]
    letter = common_pb2.DeadLetter(
        topic=CONTACT_ACCEPTED.name,
        partition=record.partition,
        offset=record.offset,
        value=record.value or b"",
        reason="a test",
        dead_ms=clock.now_ms(),
    )
    producer = Producer(settings.kafka, "test-letters")
    await producer.start()
    try:
        sent = await producer.send(DEDUP_DEAD, record.partition, letter.SerializeToString())
        [written] = await acknowledged([sent])
    finally:
        await producer.stop()
    return str(record.partition), str(written.offset)


@pytest.fixture
async def told(settings: Settings) -> AsyncIterator[Dedup]:
    async with deciding(settings) as dedup:
        yield dedup


async def test_callbacks_end_also_when_the_owner_dies_between_the_erasure_and_their_end(
    settings: Settings, tmp_path: Path, told: Dedup
) -> None:
    rules = tmp_path / "calling.yaml"
    rules.write_text(RULES, "utf-8")
    reader = LogReader(settings.kafka, "test-reader")
    cases = await owed(told, "erased", 3, "erased")

    async def states() -> dict[str, int]:
        return {one.case_id: one.state for one in await logged(reader, settings, *cases)}

    first, second, stays = (one.case for one in cases)
    dies = Room("outreach", settings, tmp_path, "dies", MAWJA_RULES=str(rules))
    try:
        await asyncio.to_thread(dies.target)

        async def due() -> bool:
            return list((await states()).values()) == [DUE] * 3

        await until(due, 60)
        await erased(told.producer, settings, first.person)

        async def ended() -> bool:
            return (await states())[first.case_id] == WITHDRAWN

        await until(ended, 20)
        dies.kill()
        await erased(told.producer, settings, second.person)
        assert (await states())[second.case_id] == DUE
    finally:
        dies.kill()
    with room("outreach", settings, tmp_path, "next", MAWJA_RULES=str(rules)):

        async def both() -> bool:
            found = await states()
            return found == {
                first.case_id: WITHDRAWN,
                second.case_id: WITHDRAWN,
                stays.case_id: DUE,
            }

        await until(both, 60)
    changes = [one.case_id for one in await logged(reader, settings, *cases)]
    assert sorted(changes) == sorted([first.case_id, second.case_id] * 2 + [stays.case_id])
    await reader.close()


async def test_a_process_tells_whether_it_knows_all_who_were_erased(settings: Settings) -> None:
    erasures = Erasures(settings, ErasedPersons(), "test-knows")
    assert not await erasures.known()
    following = asyncio.create_task(erasures.follow())
    await until(erasures.known)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert not await erasures.known()


async def test_what_is_queued_for_them_is_not_sent(parts: Parts, settings: Settings) -> None:
    with running(
        parts,
        "erasing",
        {"slow": ({"parts_per_second": 20}, {})},
        [{"prefix": "+", "carrier": "slow"}],
    ) as rig:
        people = numbers("31", 100)
        keyring = rig.keyring
        asked = [rig.outreach.request(number, "queued") for number in people]
        rig.outreach.flush()
        producer = Producer(parts.kafka, "test-erasing")
        await producer.start()
        try:
            await erased(producer, settings, keyring.person(people[-1]))
        finally:
            await producer.stop()
        await asyncio.to_thread(rig.ledger.wait_for, asked[-1:], "SUPPRESSED")
        assert rig.ledger.last[asked[-1]].reason == "erased"
        await asyncio.to_thread(rig.ledger.wait_for, asked[:-1], "DELIVERED")
        reached = {message.destination for message in rig.smsc["slow"].messages()}
        assert people[-1][1:] not in reached
        # Who asks again is written to.
        again = rig.outreach.request(people[-1], "new", name="after")
        rig.outreach.flush()
        await asyncio.to_thread(rig.ledger.wait_for, [again], "DELIVERED")
