"""What a crash leaves of merges and splits that were under way, on real Kafka and Valkey."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2

from services.dedup.cases import Cases
from services.runtime import clock, ids, topics
from services.runtime.config import Settings
from services.runtime.privacy import Keyring
from services.runtime.topics import CONTACT_ACCEPTED, DEDUP_COMMAND
from tests.dedup_rig import (
    case_id,
    check_log_and_tallies,
    contact_id,
    log_of,
    numbers,
    worked_through,
    writing,
)
from tests.faults.crashing import CODE, GO, command
from tests.faults.points import POINTS
from tests.room_process import environment, room

MERGED = events_pb2.CASE_STATE_MERGED


async def test_a_crash_after_any_record_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    one, other = numbers(settings, 500)
    keyring = Keyring(settings.keys)
    at = {
        number: topics.partition_of(keyring.person(number), settings.partitions)
        for number in (one, other)
    }
    now = clock.now_ms() - 600_000
    async with writing(settings) as intake:
        await intake.send(
            CONTACT_ACCEPTED,
            [
                intake.contact("c1", one, event_ms=now),
                intake.contact("c2", one, agency="interior", event_ms=now + 1_000),
                intake.contact("c3", one, agency="interior", event_ms=now + 2_000),
                intake.contact("c4", other, event_ms=now + 3_000),
                intake.contact("c5", other, agency="interior", event_ms=now + 4_000),
            ],
        )
        with room("dedup", settings, tmp_path) as running:
            await asyncio.to_thread(running.target)
            await worked_through(settings, running)

        def asked(name: str, of: str, **action: Any) -> bytes:
            envelope = common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "test", name), subject="agent", asked_ms=now
            )
            return events_pb2.CaseCommand(
                envelope=envelope, case_id=case_id(of), **action
            ).SerializeToString()

        def merge(name: str, source: str, into: str, source_at: str, into_at: str) -> bytes:
            ref = events_pb2.CaseRef(case_id=case_id(source), partition=at[source_at])
            seen = events_pb2.Case(case_id=case_id(source), drill=True)
            asked_for = events_pb2.Merge(source=ref, partition=at[into_at], seen=seen)
            return asked(name, into, merge=asked_for)

        split = events_pb2.Split(contact_ids=[contact_id("c3")])
        wanted = [
            (one, merge("own", "c1", "c2", one, one)),
            (one, asked("split", "c2", split=split)),
            # Two that stand, and one that its own owner refuses: it was merged before.
            (one, merge("stands", "c4", "c2", other, one)),
            (other, merge("back", "c2", "c5", one, other)),
            (one, merge("again", "c5", "c2", other, one)),
        ]
        for number, value in [*wanted, *wanted]:
            await intake.send(DEDUP_COMMAND, [value], partition=at[number])

    def crashed(arguments: list[str]) -> int | None:
        """How a room ended, None when it would go on."""
        process = subprocess.Popen(
            arguments, env=environment(settings, tmp_path / "crashing.json"), cwd=tmp_path
        )
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            process.wait()

    points = [
        point
        for point in POINTS
        if point.room == "dedup" and point.name in ("command-decided", "command")
    ]
    assert len(points) == 2
    (tmp_path / GO).touch()
    for seed in (1, 2):
        for point in points:
            (tmp_path / point.flag).unlink(missing_ok=True)
        while not all((tmp_path / point.flag).exists() for point in points):
            code = await asyncio.to_thread(crashed, command("dedup", tmp_path, seed, points))
            if code is None:
                break
            assert code == CODE
        if seed == 1:
            # What there was is done; the same once more.
            async with writing(settings) as intake:
                for number, value in wanted:
                    await intake.send(DEDUP_COMMAND, [value], partition=at[number])

    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        for _ in range(2):
            # What follows from the last commands are commands again.
            await worked_through(settings, running)
    assert all((tmp_path / point.flag).exists() for point in points)
    states = await check_log_and_tallies(settings)
    log = await log_of(settings)
    outcomes = Counter(
        decision.outcome.command_id
        for decisions in log.values()
        for _, decision, _ in decisions
        if decision.outcome.command_id and decision.change != events_pb2.CASE_CHANGE_REPEATED
    )
    assert set(outcomes.values()) == {1}
    mine, theirs = states[at[one]], states[at[other]]
    assert found(mine, "c1").state == MERGED
    assert found(mine, "c2").contacts == 2
    assert len(mine.contacts.been) == 2
    # Whichever came first: what says that it is merged is named by the one that stays.
    linked = {
        (link.linked.case_id, case.case_id) for case in every(mine, theirs) for link in case.linked
    }
    merged = {
        (case.case_id, case.merged_into.into.case_id)
        for case in every(mine, theirs)
        if case.state == MERGED and case.merged_into.across
    }
    assert linked == merged
    assert linked


def found(cases: Cases, name: str) -> events_pb2.Case:
    number = cases.number_of(case_id(name))
    assert number is not None
    return cases.case(number)


def every(*states: Cases) -> list[events_pb2.Case]:
    return [cases.case(number) for cases in states for number in range(len(cases))]
