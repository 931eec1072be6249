"""What is read off the system while it is measured: how far it is, and at what processor time."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from services.local.parts import Parts
from services.local.system import System
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import Topic


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a load was at a moment, and the processor seconds used by then, by process."""

    at_s: float
    count: int
    cpu_s: Mapping[str, float]


def processor_s(system: System) -> dict[str, float]:
    """Processor seconds of each process so far."""
    pids = [(replica.room, replica.process.pid) for replica in system.running]
    if system.parts.local_kafka is not None:
        pids += [("kafka", node.pid) for node in system.parts.local_kafka.nodes]
    if system.parts.local_valkey is not None:
        pids.append(("valkey", system.parts.local_valkey.pid))
    used: dict[str, float] = {}
    for name, pid in pids:
        times = psutil.Process(pid).cpu_times()
        used[name] = used.get(name, 0.0) + times.user + times.system
    return used


def count_of(parts: Parts, topic: Topic) -> int:
    """Records of a topic that count."""
    count = 0

    def take(_: Record) -> None:
        nonlocal count
        count += 1

    with Scan(parts.kafka, (topic,)) as scan:
        scan.advance(take)
    return count
