"""What the plan rests on where nobody measured: the documented surge and bench of the README.

All of it comes from one run of `mawja surge` (78,000 contacts of covid-78k, 399 agents) and one of
`mawja bench` on 2 cores of an AMD EPYC with 25 GB, everything on the same machine. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ANSWERED = 0.01
"""Of the surge's contacts, those whose text a shipped answer fits surely (45 of 4,525): the shipped
knowledge file holds examples, so one that is written for the event answers more."""
JOINED = 0.33
"""13,704 abandoned calls became 9,186 callbacks: the rest joined one that was owed already."""
PEOPLE_PER_CALL = 26_663 / 78_000
MESSAGES_PER_CALL = 14_448 / 85_862
"""SMS to people, for each call or message that came in."""

ROOMS = ("intake", "dedup", "outreach", "broadcast", "wave")
DOCUMENTED = "2 cores of an AMD EPYC with 25 GB"
_DIALLED, _MESSAGES = 85_862, 14_448
_SURGE_CPU_S = {"intake": 95.7, "dedup": 299.7, "outreach": 28.6, "broadcast": 73.3, "wave": 44.3}
BENCH_CPU_US: Mapping[str, float] = {
    "intake": 322.0,
    "dedup": 809.0,
    "outreach": 37.0,
    "broadcast": 166.0,
}
"""Processor time by the documented bench, µs: a contact (intake: streamed); broadcast: a part."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Processor seconds that a room takes for a dialled call with its call events (`broadcast`:
    for an SMS part), on `machine`. `measured_at`: when (ISO 8601); empty for the documented one."""

    machine: str
    cpu_s: Mapping[str, float]
    measured_at: str = ""


def documented() -> Rates:
    """Those of the documented machine: the surge's whole processor time by what it worked through,
    starting the services included. Its messages were of one or two parts: of one here, so that a
    part is not made cheaper than it was."""
    return Rates(
        DOCUMENTED,
        {
            room: used_s / (_MESSAGES if room == "broadcast" else _DIALLED)
            for room, used_s in _SURGE_CPU_S.items()
        },
    )


def scaled(bench_cpu_us: Mapping[str, float], machine: str, measured_at: str) -> Rates:
    """Those of a machine whose bench found this processor time (keys of BENCH_CPU_US): the bench
    sends contacts alone, so the surge's time, with call events, is taken by the same factor. What
    was not measured has the mean factor of what was."""
    factors = {
        room: bench_cpu_us[room] / known
        for room, known in BENCH_CPU_US.items()
        if bench_cpu_us.get(room, 0.0) > 0
    }
    if not factors:
        raise ValueError("nothing was measured")
    mean = sum(factors.values()) / len(factors)
    return Rates(
        machine,
        {room: cpu_s * factors.get(room, mean) for room, cpu_s in documented().cpu_s.items()},
        measured_at,
    )
