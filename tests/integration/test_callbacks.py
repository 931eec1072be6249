"""Agents at callbacks on real Kafka and Valkey: hundreds at once on two replicas, an owner that is
killed, claims that end, and what people are told.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2
from typer.testing import CliRunner

from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import LogReader
from services.tools.__main__ import app
from services.tools.told import AWAY
from tests.callbacks_rig import RULES, Agent, owed, waiting
from tests.outreach_rig import Dedup, deciding, logged, requested, until
from tests.room_process import Room, room

AGENTS = 300
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
DUE, CLAIMED = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_CLAIMED
COMPLETED, LATER = outreach.CALLBACK_STATE_COMPLETED, outreach.CALLBACK_STATE_LATER
GIVEN_UP = outreach.CALLBACK_STATE_GIVEN_UP


@pytest.fixture(scope="module")
def reader(settings: Settings) -> LogReader:
    return LogReader(settings.kafka, "test-reader")


@pytest.fixture(scope="module")
async def told(settings: Settings) -> AsyncIterator[Dedup]:
    async with deciding(settings) as owner:
        yield owner


@pytest.fixture(scope="module")
def rules(folder: Path) -> str:
    path = folder / "calling.yaml"
    path.write_text(RULES, "utf-8")
    return str(path)


def code(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> grpc.StatusCode:
    return error.value.code()


async def test_three_hundred_agents_at_once_get_one_each_in_order(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader, rules: str
) -> None:
    cases = await owed(told, "many", AGENTS + 60, "many")
    with (
        room("outreach", settings, folder, "one", MAWJA_RULES=rules) as one,
        room("outreach", settings, folder, "two", MAWJA_RULES=rules) as two,
    ):
        async with AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(rpc.channel(await asyncio.to_thread(it.target)))
                for it in (one, two)
            ]
            agents = [Agent(settings, channels[i % 2], f"agent-{i}") for i in range(AGENTS)]
            await waiting(agents[0], "many", len(cases))
            started = time.monotonic()
            answers = await asyncio.gather(*(a.claim(agencies=["many"]) for a in agents))
            took_s = time.monotonic() - started
            print(f"{AGENTS} agents at once: {took_s:.2f} s")
            numbers = Counter(answer.number for answer in answers)
            # Each one, exactly once, and nobody before whoever waits longer.
            assert numbers == Counter(case.number for case in cases[:AGENTS])
            assert {a.callback.claimed_by for a in answers} == {a.name for a in agents}
            assert all(not answer.callback.sealed_number for answer in answers)
            # Asking again gives the same one, from either replica.
            again = await Agent(settings, channels[1], "agent-0").claim(agencies=["many"])
            assert (again.number, again.held) == (answers[0].number, True)
            done = await asyncio.gather(
                *(
                    agent.does("CompleteCallback", answer.callback, outcome=1, note="spoken")
                    for agent, answer in zip(agents, answers, strict=True)
                )
            )
            assert {callback.state for callback in done} == {COMPLETED}
            await waiting(agents[0], "many", 60)
    assert not any(case.number in said for case in cases[:5] for said in (one.said, two.said))
    changes = await logged(reader, settings, *cases)
    states = Counter(callback.state for callback in changes)
    assert states == {DUE: AGENTS + 60, CLAIMED: AGENTS, COMPLETED: AGENTS}


async def test_an_owner_killed_in_the_middle_loses_and_repeats_nothing(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader, rules: str
) -> None:
    cases = await owed(told, "killed", 120, "killed")
    ended: list[str] = []
    stays = Room("outreach", settings, folder, "stays", MAWJA_RULES=rules)
    dies = Room("outreach", settings, folder, "dies", MAWJA_RULES=rules)
    try:
        target = await asyncio.to_thread(stays.target)
        await asyncio.to_thread(dies.target)
        async with rpc.channel(target) as channel:
            agents = [Agent(settings, channel, f"worker-{i}") for i in range(20)]
            await waiting(agents[0], "killed", len(cases))

            async def works(agent: Agent) -> None:
                number = 0
                while True:
                    number += 1
                    try:
                        answer = await agent.claim(agencies=["killed"])
                        if not answer.HasField("callback"):
                            return
                        await agent.does("CompleteCallback", answer.callback, "end", outcome=2)
                        ended.append(answer.callback.callback_id)
                    except grpc.aio.AioRpcError as error:
                        # An outcome that nobody could tell: ask again.
                        if error.code() not in AGAIN:
                            raise
                        await asyncio.sleep(0.2)

            working = [asyncio.create_task(works(agent)) for agent in agents]
            while len(ended) < 30:  # noqa: ASYNC110 - the tasks tell
                await asyncio.sleep(0.01)
            dies.kill()
            await asyncio.wait_for(asyncio.gather(*working), 90)
    finally:
        dies.kill()
        stays.stop()
    by_id: dict[str, list[outreach.Callback]] = {}
    for callback in await logged(reader, settings, *cases):
        by_id.setdefault(callback.callback_id, []).append(callback)
    assert len(by_id) == len(cases)
    for changes in by_id.values():
        assert [c.version for c in changes] == list(range(1, len(changes) + 1))
        assert [c.state for c in changes] == [DUE, CLAIMED, COMPLETED]
        assert changes[1].claimed_by == changes[2].claimed_by
        assert len({c.place_ms for c in changes}) == 1


async def test_what_an_agent_may_do_and_see(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader, rules: str
) -> None:
    arabic = await owed(told, "arabic", 2, "desk", "ar-AE")
    hindi = await owed(told, "hindi", 2, "desk", "hi")
    nobody_knows = await owed(told, "any", 1, "desk", "")
    [other_line] = await owed(told, "other line", 1, "desk", "hi", line="999")
    arabic[1].case.life_safety = True
    await arabic[1].tell(arabic[1].abandoned(31))
    with room("outreach", settings, folder, "desk", MAWJA_RULES=rules) as running:
        async with rpc.channel(await asyncio.to_thread(running.target)) as channel:
            amal, badr, chitra = (Agent(settings, channel, name) for name in ("amal", "badr", "c"))
            head = Agent(settings, channel, "head", Role.COORDINATOR)
            await waiting(amal, "desk", 6)

            # By language; and life-safety first.
            hers = await amal.claim(agencies=["desk"], languages=["ar"])
            assert hers.number == arabic[1].number
            his = await badr.claim(agencies=["desk"], languages=["hi"])
            assert his.number == hindi[0].number
            # By line.
            by_line = await Agent(settings, channel, "d").claim(agencies=["desk"], lines=["999"])
            assert by_line.number == other_line.number
            assert (his.callback.state, his.held) == (CLAIMED, False)
            counted = head.watch(["desk", "elsewhere"])
            assert (await anext(counted)) == [("desk", 3), ("elsewhere", 0)]
            nothing = await chitra.claim(agencies=["elsewhere"])
            assert not nothing.HasField("callback")
            assert nothing.retry_after_ms > 0

            # Another's is another's.
            for method, given in (
                ("ExtendClaim", {}),
                ("CompleteCallback", {"outcome": 1}),
                ("ReportNoAnswer", {}),
                ("ReleaseCallback", {}),
                ("GiveUpCallback", {"reason": "wrong person"}),
            ):
                with pytest.raises(grpc.aio.AioRpcError, match="another agent") as refused:
                    await chitra.does(method, his.callback, **given)
                assert code(refused) is grpc.StatusCode.FAILED_PRECONDITION
            with pytest.raises(grpc.aio.AioRpcError, match="end it or give it back"):
                await amal.claim(callback_id=his.callback.callback_id)
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await head.claim()
            assert code(denied) is grpc.StatusCode.PERMISSION_DENIED
            seen = await head.ask(
                "GetCallback",
                service_pb2.GetCallbackRequest(callback_id=his.callback.callback_id),
            )
            assert seen.callback.claimed_by == "badr"
            assert not seen.callback.sealed_number

            # A life in danger is tried again soon, without a promise.
            later = await amal.does("ReportNoAnswer", hers.callback)
            assert (later.state, later.promises) == (LATER, 0)
            assert 0 < later.not_before_ms - later.decided_ms <= 300_000

            # Nobody answers: told when we call again, then that we could not.
            later = await badr.does("ReportNoAnswer", his.callback)
            assert later == await badr.does("ReportNoAnswer", his.callback)
            assert (later.state, later.promises) == (LATER, 1)
            again = await badr.claim(callback_id=his.callback.callback_id)
            assert again.number == hindi[0].number
            ended = await badr.does("ReportNoAnswer", his.callback, "2")
            assert ended.state == GIVEN_UP
            messages = await requested(reader, settings, hindi[0])
            assert sorted(m.step.partition(":")[0] for m in messages) == ["again", "ended"]
            for message in messages:
                text = told.keyring.unseal("text", message.sealed_text)
                assert hindi[0].case.case_number in text
                assert told.keyring.unseal("number", message.sealed_number) == hindi[0].number
                assert message.drill

            # Given back, it keeps its place; withdrawn, it is told.
            first = await chitra.claim(agencies=["desk"], lines=["109"], languages=["hi"])
            assert (await anext(counted))[0] == ("desk", 2)
            assert first.number in {hindi[1].number, nobody_knows[0].number}
            mine = await chitra.ask("ListCallbacks", service_pb2.ListCallbacksRequest(mine=True))
            assert [c.callback_id for c in mine.callbacks] == [first.callback.callback_id]
            soon = clock.now_ms() + 2_000
            promised = await chitra.does(
                "ReleaseCallback",
                first.callback,
                "soon",
                promised_from_ms=soon,
                promised_until_ms=soon + 3_600_000,
            )
            assert (promised.state, promised.not_before_ms) == (LATER, soon)

            async def due() -> bool:
                request = service_pb2.ListCallbacksRequest(agency="desk", work=outreach.WORK_DRILL)
                shown = (await head.ask("ListCallbacks", request)).callbacks
                return first.callback.callback_id in {c.callback_id for c in shown}

            assert not await due()
            await until(due)
            assert clock.now_ms() >= soon
            # Before everybody who was promised nothing.
            assert (await chitra.claim(agencies=["desk"])).number == first.number
            back = await head.does("ReleaseCallback", first.callback)
            assert (back.state, back.place_ms) == (DUE, first.callback.place_ms)
            next_one = await chitra.claim(agencies=["desk"], languages=["hi"])
            assert next_one.callback.callback_id == first.callback.callback_id
            person = {c.number: c for c in (*hindi, *nobody_knows)}[next_one.number]
            await person.tell(person.answered(90))

            async def withdrawn() -> bool:
                try:
                    await chitra.does("ExtendClaim", next_one.callback, str(time.monotonic()))
                except grpc.aio.AioRpcError as error:
                    return "withdrawn" in str(error.details())
                return False

            await until(withdrawn)
            assert person.number not in running.said


async def test_an_agent_works_from_the_command_line(
    settings: Settings, folder: Path, told: Dedup, rules: str
) -> None:
    await owed(told, "typed", 3, "typed")

    def typed(*words: str, code: int = 0) -> str:
        env = {"MAWJA_KEYS": str(settings.keys), "MAWJA_OUTREACH": target, "MAWJA_TOKEN": None}
        done = CliRunner().invoke(app, ["callbacks", *words, "--as=amal"], env=env)
        assert done.exit_code == code, done.output
        return done.output

    with room("outreach", settings, folder, "typed", MAWJA_RULES=rules) as running:
        target = await asyncio.to_thread(running.target)
        async with rpc.channel(target) as channel:
            await waiting(Agent(settings, channel, "amal"), "typed", 3)
        type_ = partial(asyncio.to_thread, typed)
        assert "you have no callback" in await type_("no-answer", code=1)
        assert "nobody waits" in await type_("list", "--agency=typed")
        assert "nobody waits" in await type_("claim", "--agency=typed")
        assert (await type_("list", "--agency=typed", "--drill")).count("typed") == 3
        claimed = await type_("claim", "--agency=typed", "--language=ar", "--drill")
        assert claimed.startswith("DRILL")
        assert "call +99950" in claimed
        assert "you have a callback of a drill" in await type_("claim", code=1)
        held = json.loads(await type_("claim", "--json", "--drill"))
        assert held["held"] is True
        assert held["number"] in claimed
        assert held["callback"]["case_number"] in await type_("list", "--mine")
        await type_("extend")
        assert "promised" in await type_("no-answer")
        await type_("claim", "--agency=typed", "--drill")
        assert "needs-more" in await type_("complete", "maybe", code=1)
        assert "completed" in await type_("complete", "needs-more", "--note=will send a form")
        await type_("claim", "--agency=typed", "--drill")
        assert "both" in await type_("release", "--from=2027-01-01", code=1)
        assert "given up" in await type_("give-up", "--reason=wrong number")
        assert "nobody waits" in await type_("claim", "--agency=typed", "--drill")
    assert "answer" in await type_("list", code=AWAY)
