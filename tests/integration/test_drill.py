"""A small drill through every service, with an agent and a coordinator who take part; beside it an
agent at work, who must see nothing of it, and a real wave, which ends it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2 as intake_pb2
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2 as outreach_pb2
from mawja.outreach.v1 import service_pb2_grpc as outreach_grpc
from mawja.wave.v1 import service_pb2 as wave_pb2
from mawja.wave.v1 import service_pb2_grpc as wave_grpc
from mawja.wave.v1.events_pb2 import DIMENSION_ALL
from typer.testing import CliRunner

from loadtests.surge import script
from services.local.progress import Silent
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.errors import NotInState
from services.runtime.identity import Role
from services.tools.__main__ import app
from services.tools.drills.history import Drill, History
from services.tools.drills.playing import REAL_BURST, Order, Playing
from services.tools.drills.site import running
from services.tools.local import make_parts, make_system, write_addresses
from tests.campaigns_rig import Office, listed, plan
from tests.outreach_rig import until

WORKS = (outreach.WORK_UNSPECIFIED, outreach.WORK_DRILL)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("drill")
    with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
        made = make_system(parts)
        try:
            made.start(partitions=4)
            write_addresses(made)
            yield made
        finally:
            made.stop()


async def works(system: System, name: str, work: int, ended: asyncio.Event) -> int:
    """An agent who takes what comes first until told to go home; how many there were."""
    metadata = rpc.bearer(token(system.keys, name, Role.AGENT))
    done = 0
    async with rpc.channel(system.target("outreach")) as channel:
        stub: Any = outreach_grpc.OutreachServiceStub(channel)
        while not ended.is_set():
            try:
                answer = await stub.ClaimCallback(
                    outreach_pb2.ClaimCallbackRequest(work=work),  # type: ignore[arg-type]
                    metadata=metadata,
                    timeout=20,
                )
                if not answer.HasField("callback"):
                    await asyncio.sleep(0.3)
                    continue
                assert answer.callback.drill == (work == outreach.WORK_DRILL)
                await stub.CompleteCallback(
                    outreach_pb2.CompleteCallbackRequest(
                        request_id="done",
                        callback_id=answer.callback.callback_id,
                        outcome=outreach.CALLBACK_OUTCOME_RESOLVED,
                    ),
                    metadata=metadata,
                    timeout=20,
                )
                done += 1
            except grpc.aio.AioRpcError as error:
                # The floor answered the person meanwhile.
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
    return done


async def bursts(system: System, drill: bool) -> list[Any]:
    metadata = rpc.bearer(token(system.keys, "auditor", Role.AUDITOR))
    async with rpc.channel(system.target("wave")) as channel:
        stub: Any = wave_grpc.WaveServiceStub(channel)
        request = wave_pb2.ListBurstsRequest(drill=drill)
        return list((await stub.ListBursts(request, metadata=metadata, timeout=10)).bursts)


async def levels(system: System, drill: bool) -> list[Any]:
    metadata = rpc.bearer(token(system.keys, "auditor", Role.AUDITOR))
    async with rpc.channel(system.target("wave")) as channel:
        stub: Any = wave_grpc.WaveServiceStub(channel)
        request = wave_pb2.GetLevelsRequest(dimension=DIMENSION_ALL, drill=drill)
        return list((await stub.GetLevels(request, metadata=metadata, timeout=10)).levels)


async def coordinates(system: System) -> None:
    """A burst shows; a campaign is written, approved by another, sent, and recalled."""

    async def shown() -> bool:
        return bool(await bursts(system, drill=True))

    await until(shown)

    def campaign() -> None:
        maker, other = Office(system, "maryam"), Office(system, "khalid")
        file = maker.upload(listed(["+999500000001", "+999500000002"]))
        campaign_id = maker.create(plan(file.audience_id)).campaign_id
        other.approve(maker.rehearsed(campaign_id))
        maker.do("Start", campaign_id)
        maker.do("Recall", campaign_id, reason="only a drill")

    await asyncio.to_thread(campaign)


def played(system: System, name: str, size: int, speed: float, linger_s: float = 0) -> Playing:
    order = Order(
        name,
        script("flash", calls=size, seed=int(time.time()), agents=4, prefix=name),
        speed,
        linger_s,
    )
    return Playing(running(system.parts.home, ""), order, Silent())


@pytest.mark.timeout(240)
async def test_people_and_system_are_scored_and_real_work_sees_nothing_of_it(
    system: System, tmp_path: Path
) -> None:
    ended = asyncio.Event()
    at_work = asyncio.create_task(works(system, "badr", outreach.WORK_UNSPECIFIED, ended))
    in_drill = asyncio.create_task(works(system, "amal", outreach.WORK_DRILL, ended))
    coordinator = asyncio.create_task(coordinates(system))
    drill: Drill = await played(system, "flash-small", 300, 240, linger_s=6).play()
    await asyncio.wait_for(coordinator, 60)
    ended.set()
    done, real = await asyncio.gather(in_drill, at_work)

    figures = drill.figures
    assert drill.problems == []
    assert drill.ended_early == ""
    contacts, cases = figures["contacts"], figures["cases"]
    assert contacts is not None
    assert cases is not None
    assert contacts > 300 > cases > 50
    assert [figures[key] for key in ("lost", "duplicate_cases", "problems")] == [0, 0, 0]
    for key in ("answered_share", "answered_in_20s_share", "intake_p99_ms", "end_to_end_p99_s"):
        assert figures[key] is not None, key
    assert real == 0
    assert done > 3
    assert set(drill.agents) == {"amal"}
    assert drill.agents["amal"]["completed"] <= done
    taken = figures["callbacks_taken_share"]
    assert taken is not None
    assert taken > 0.5
    assert figures["campaigns"] == 1
    approved, recalled = figures["burst_to_approved_s"], figures["recall_s"]
    assert approved is not None
    assert recalled is not None
    assert 0 < approved < 60
    assert 0 < recalled < 60

    # The figures of real callers know nothing of it.
    assert await levels(system, drill=False) == []
    assert await bursts(system, drill=False) == []
    [level] = await levels(system, drill=True)
    assert (level.drill, level.counts.contacts) == (True, contacts)

    # One that would be played in the same hours is another wave: not without being asked to be.
    with pytest.raises(NotInState, match="another drill was played in the hours since"):
        await played(system, "flash-again", 10, 240).play()

    history = History(tmp_path)
    history.keep(drill)
    assert history.get("last") == drill


@pytest.mark.timeout(120)
def test_an_agent_practises_on_synthetic_callers_and_nobody_else_gets_them(system: System) -> None:
    def typed(*words: str, who: str = "amal", code: int = 0) -> str:
        home = f"--home={system.parts.home}"
        done = CliRunner().invoke(app, [*words, home, *([f"--as={who}"] if who else [])])
        assert done.exit_code == code, done.output
        return done.output

    start = ("practice", "start", "--agent=amal", "--agent=badr", "--cases=2", "--seed=7")
    assert "4 exercises for 2 agents" in typed(*start, "--language=en", who="")
    deadline = time.monotonic() + 30
    while "PRACTICE" not in (given := typed("practice", "next")):
        assert time.monotonic() < deadline, given
        time.sleep(0.2)
    # Whoever is at work, or in a drill, gets none of them; who has one gets nobody else.
    for work in ((), ("--drill",)):
        assert "nobody waits" in typed("callbacks", "claim", *work, who="chitra")
        assert "you have a callback of practice" in typed("callbacks", "claim", *work, code=1)
    held = json.loads(typed("practice", "next", "--json"))
    assert held["callback"]["exercise"]["agent"] == "amal"
    assert "solution" not in held["callback"]["exercise"]
    assert held["callback"]["exercise"]["says"] in " ".join(given.split())
    case = json.loads(typed("practice", "next", "--json"))["callback"]["case_id"]
    assert case == held["callback"]["case_id"]
    first = typed("practice", "answer", "police", "noise")
    assert "of 100" in first
    assert "What the procedure says" in first
    typed("practice", "next")
    second = json.loads(typed("practice", "answer", "police", "noise", "--danger", "--json"))
    solution = second["feedback"]["solution"]
    assert solution["agency"] != "police"
    assert "no exercise for you" in typed("practice", "next")
    assert "you have no callback" in typed("practice", "answer", "police", "noise", code=1)
    # Scores: their own, and everybody's for who oversees them.
    deadline = time.monotonic() + 10
    while len(json.loads(typed("practice", "scores", "--json")).get("practised", ())) < 2:
        assert time.monotonic() < deadline
    typed("practice", "scores", "--agent=amal", who="badr", code=1)
    assert "amal" in typed("practice", "scores", "--coordinator", who="head")
    typed("practice", "next", who="badr")


@pytest.mark.timeout(120)
async def test_a_real_wave_ends_the_drill(system: System) -> None:
    drill = asyncio.create_task(played(system, "flash-slow", 300, 1).play())
    await asyncio.sleep(1)
    metadata = rpc.bearer(token(system.keys, "hotline", Role.GATEWAY))
    async with rpc.channel(system.target("intake")) as channel:
        stub: Any = intake_grpc.IntakeServiceStub(channel)
        for index in range(12):
            contact = intake_pb2.Contact(
                source="hotline",
                idempotency_key=f"real/{index}",
                channel=common_pb2.CHANNEL_WEB,
                withheld=True,
                text=f"The underpass at gate {index} is flooded",
                agency="municipality",
                event_ms=now_ms(),
            )
            request = intake_pb2.SubmitContactRequest(contact=contact)
            await stub.SubmitContact(request, metadata=metadata, timeout=10)
    ended = await asyncio.wait_for(drill, 60)
    assert ended.ended_early == REAL_BURST
    assert ended.problems == []
    assert {burst.drill for burst in await bursts(system, drill=False)} == {False}
