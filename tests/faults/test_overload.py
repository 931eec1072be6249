"""Five times what intake can take: it goes on taking as much as ever, and says no at once.

Intake has one processor to itself and the sender has the other, with Kafka and Valkey. What it can
take (*peak*) is the best that the same sender reaches when it waits for answers; then it stops
waiting. All bounds are ratios to that peak, or times.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import psutil
import pytest

from services.local.parts import Parts
from services.local.system import token
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import LogReader
from services.runtime.topics import CONTACT_ACCEPTED
from tests.faults.flood_plan import Plan, Seen, Segment
from tests.faults.stage import Size
from tests.faults.table import Row
from tests.intake_rig import Intake, intake

pytestmark = [pytest.mark.faults, pytest.mark.alone]

WORK = 0.90
"""Of peak, that must be done at any load."""
REFUSAL_S = 0.050
NORMAL_S = 60.0
URGENT = 0.15
"""Life-safety contacts, of peak: three quarters of the share that is reserved for them."""
TIMES = (2, 5)
EVERYDAY = 0.5
"""The load, of peak, at which everything is as usual."""
OFFERED = 0.97
"""Of the planned rate, that must really have been offered."""
MOST_PER_S = 15_000
MOST_ROUNDS = 6


@pytest.fixture(scope="module")
def cores(parts: Parts) -> Iterator[tuple[int, int]]:
    """Intake's processor, and the one of everything else."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        pytest.fail("the load and what is loaded need a processor each: 2 at least")
    theirs, ours = available[0], available[-1]
    assert parts.local_kafka is not None
    assert parts.local_valkey is not None
    for pid in (*(node.pid for node in parts.local_kafka.nodes), parts.local_valkey.pid):
        _pin(pid, theirs)
    yield ours, theirs
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("0")


def _pin(pid: int, core: int) -> None:
    # Affinity and priority belong to threads: those that run already do not inherit them.
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, {core})
        _first(thread.id)


def _first(thread: int) -> None:
    # What else runs on the machine is not what is measured. Only root may say so.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, -20)
        # Where sessions share the processors (sched(7), autogroup), it counts within one only.
        Path(f"/proc/{thread or os.getpid()}/autogroup").write_text("-20")


def _beside(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _first(0)


@pytest.fixture(scope="module")
def door(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, cores: tuple[int, int]
) -> Iterator[Intake]:
    with intake(settings, tmp_path_factory.mktemp("overload"), "loaded") as started:
        _pin(started.process.pid, cores[0])
        yield started


def perform(
    door: Intake, settings: Settings, cores: tuple[int, int], source: str, *segments: Segment
) -> dict[str, Seen]:
    """What a sender of its own saw of a plan, by segment."""
    plan = Plan(
        target=door.target,
        token=token(settings.keys, "flood", Role.GATEWAY),
        source=source,
        intake_pid=door.process.pid,
        core=cores[0],
        segments=list(segments),
        most_per_s=MOST_PER_S,
    )
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.flood"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=partial(_beside, cores[1]),
        timeout=210,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    seen = [Seen(**one) for one in json.loads(ended.stdout)]
    for one in seen:
        assert one.wrong == [], f"{one.name}: answers that are neither yes nor come later"
        assert one.unanswered == 0, f"{one.name}: contacts without an answer"
    return {one.name: one for one in seen}


Samples = Sequence[tuple[float, float, int]]


def count(*of: Samples) -> int:
    return sum(sample[2] for samples in of for sample in samples)


def latency_s(samples: Samples, share: float) -> float:
    """The latency that `share` of the contacts do not exceed; 0 when there are none."""
    ordered = sorted((took, n) for _, took, n in samples)
    wanted = share * count(samples)
    for took, n in ordered:
        wanted -= n
        if wanted <= 0:
            return took
    return 0.0


def normal_after_s(seen: Seen, usual_s: float) -> float:
    """Seconds into `seen` from which on no second has a refusal or an unusual latency; infinite
    when the last one has."""
    usual = 2 * usual_s + REFUSAL_S
    bad = [due for due, _, _ in (*seen.refused, *seen.urgent_refused, *seen.probes_refused)]
    taken = (*seen.accepted, *seen.urgent_accepted)
    for second in range(int(seen.seconds)):
        within = [sample for sample in taken if second <= sample[0] < second + 1]
        if not within or latency_s(within, 0.99) > usual:
            bad.append(second + 0.999)
    after = max(bad, default=0.0)
    return after if after < int(seen.seconds) - 1 else float("inf")


def stands(settings: Settings) -> int:
    """Records of contacts in Kafka."""

    async def ends() -> int:
        reader = LogReader(settings.kafka, "overload")
        return sum((await reader.end(CONTACT_ACCEPTED, range(settings.partitions))).values())

    return asyncio.run(ends())


@pytest.mark.row(
    "open-loop load at 2× and 5× of what intake can take",
    must="work done ≥ 90 % of peak; refusals < 50 ms; life-safety accepted within its reserved "
    "share; normal again ≤ 60 s later",
)
@pytest.mark.timeout(290)
def test_what_is_too_much_is_refused_at_once_and_the_work_goes_on(
    row: Row, size: Size, settings: Settings, door: Intake, cores: tuple[int, int]
) -> None:
    peak_s, flood_s, after_s = size.of(4, 3), size.of(6, 4), size.of(6, 2.5)
    everyday = URGENT * EVERYDAY
    plan = [Segment("warming", 2.5), Segment("usual", 2.5, EVERYDAY, everyday)]
    for number, times in enumerate(TIMES):
        # The machine is not always equally fast: a flood has its own peaks before and after it.
        plan += [
            Segment(f"peak {number}", peak_s),
            Segment(f"{times}×", flood_s, times, URGENT),
            Segment(f"after {times}×", after_s, EVERYDAY, everyday),
        ]
    plan.append(Segment(f"peak {len(TIMES)}", peak_s))
    rounds: list[dict[str, Seen]] = []
    wanted = int(size.of(3, 1))
    # With the same work and pace one flood does up to a tenth more or less than the next: what
    # seems too little is measured again, and the mean of all counts.
    while len(rounds) < wanted or (
        len(rounds) < MOST_ROUNDS
        and any(work_done(rounds, number) < WORK for number in range(len(TIMES)))
    ):
        rounds.append(perform(door, settings, cores, f"flood/{len(rounds)}", *plan))

    everything = [seen for found in rounds for seen in found.values()]
    taken = sum(taken_of(seen) for seen in everything)
    row.same("accepted − stands in Kafka", taken - stands(settings), 0)
    row.same("refused at half of peak", sum(count(f["usual"].refused) for f in rounds), 0)
    peaks = [seen for seen in everything if seen.name.startswith("peak")]
    row.figure("peak /s", statistics.median(seen.done_per_s for seen in peaks))
    row.figure(
        "an accepted contact costs, µs",
        statistics.median(seen.intake_cpu_s / taken_of(seen) * 1e6 for seen in peaks),
    )
    row.figure("rounds", len(rounds))
    for number, times in enumerate(TIMES):
        floods = [found[f"{times}×"] for found in rounds]
        refusals = [s for seen in floods for s in (*seen.refused, *seen.probes_refused)]
        row.figure(f"{times}×: refused", count(refusals))
        row.figure(f"{times}×: refusal median, s", latency_s(refusals, 0.5))
        row.figure(f"{times}×: refusal worst, s", latency_s(refusals, 1.0))
        accepted = [sample for seen in floods for sample in seen.accepted]
        row.figure(f"{times}×: accepted median, s", latency_s(accepted, 0.5))
        row.figure(f"{times}×: left of the processor", min(seen.left for seen in floods))
        row.figure(f"{times}×: work ÷ peak", [f"{work(f, number):.2f}" for f in rounds])
    for number, times in enumerate(TIMES):
        floods = [found[f"{times}×"] for found in rounds]
        for found, seen in zip(rounds, floods, strict=True):
            row.at_least(
                f"{times}×: offered ÷ planned", seen.offered_per_s / seen.planned_per_s, OFFERED
            )
            row.same(
                f"{times}×: life-safety refused",
                count(seen.urgent_refused) + seen.urgent_probes_refused,
                0,
            )
            row.at_least(f"{times}×: life-safety taken", count(seen.urgent_accepted), 1)
            usual_s = latency_s(found["usual"].accepted, 0.99)
            row.at_most(
                f"{times}×: normal after, s",
                normal_after_s(found[f"after {times}×"], usual_s),
                NORMAL_S,
            )
        refusals = [s for seen in floods for s in (*seen.refused, *seen.probes_refused)]
        row.at_least(f"{times}×: contacts refused", count(refusals), 1)
        row.at_most(f"{times}×: refusal 99 %, s", latency_s(refusals, 0.99), REFUSAL_S)
        row.at_least(f"{times}×: work done ÷ peak", work_done(rounds, number), WORK)


def taken_of(seen: Seen) -> int:
    return count(seen.accepted, seen.urgent_accepted, seen.probes_accepted)


def work(found: Mapping[str, Seen], number: int) -> float:
    """What a flood's work is of the peaks before and after it, by the pace of the processor."""
    done = found[f"{TIMES[number]}×"]
    peaks = [found[f"peak {number}"], found[f"peak {number + 1}"]]
    return done.done_per_s * done.pace_s / statistics.mean(p.done_per_s * p.pace_s for p in peaks)


def work_done(rounds: Sequence[Mapping[str, Seen]], number: int) -> float:
    """The mean of the rounds."""
    return statistics.mean(work(found, number) for found in rounds)
