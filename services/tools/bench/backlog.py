"""Dedup and outreach on the backlog that intake has made, by their own processor time."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from time import perf_counter, sleep

from services.local.system import System
from services.runtime.topics import Topic
from services.tools.bench.figures import ROUNDS, Run
from services.tools.bench.probe import Sample, count_of, processor_s
from services.tools.watch import parse, total

_START_S = 30.0
_DRAIN_S = 25.0


def backlog(done: Run, room: str, topic: Topic) -> None:
    """Starts a room on what waits for it, and watches how far it is until nothing moves."""
    done.progress.update(f"{room}: starting on its backlog …")
    system = System(done.parts, rooms=(room,))
    points: list[Sample] = []
    # It works while it is still getting ready, so the start is not waited for.
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(system.start)
        try:
            _watch(done, system, room, topic, points)
            started.result()
        finally:
            wait([started])
            system.stop()
    cut = [points[(len(points) - 1) * i // ROUNDS] for i in range(ROUNDS + 1)] if points else []
    for before, after in pairwise(cut):
        count, cpu_s = after.count - before.count, after.cpu_s[room] - before.cpu_s[room]
        if count <= 0 or cpu_s <= 0:
            continue
        done.note(f"cpu_us.{room}", cpu_s / count * 1e6)
        if room == "dedup":
            done.note("dedup.per_s_per_core", count / cpu_s)
            done.note("dedup.per_s", count / (after.at_s - before.at_s))
    found = done.figure(f"cpu_us.{room}")
    if found is not None:
        done.progress.say(f"{room}: {found['median']:,.0f} µs of processor time per contact")


def _watch(done: Run, system: System, room: str, topic: Topic, points: list[Sample]) -> None:
    """Notes each moment at which the room has got on, until it is through."""
    waiting = count_of(done.parts, topic)
    deadline = perf_counter() + _START_S
    while perf_counter() < deadline:
        count = _worked(system, room, topic)
        if count > (points[-1].count if points else 0):
            if not points:
                deadline = perf_counter() + _DRAIN_S
            points.append(Sample(perf_counter(), count, processor_s(system)))
            done.progress.update(f"{room}: {count:,} of {waiting:,} worked through")
        if count >= waiting:
            return
        sleep(0.1)


def _worked(system: System, room: str, topic: Topic) -> int:
    """Records of `topic` that the room says it has read; 0 while it does not answer yet."""
    for url in system.metrics_urls().values():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 our own loopback
                samples = parse(answer.read().decode())
        except (OSError, ValueError):
            continue
        return int(total(samples, "mawja_worker_records_total", group=room, topic=topic.name))
    return 0
