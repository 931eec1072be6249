"""Counts of a window and the four service levels made of them.

Counts are added, subtracted and compared far more often than they are read, so the twelve of them
are held as one integer of twelve 64-bit lanes: adding two such integers adds every count at once,
exactly, and a difference may be negative on its way as long as the sum that is read is not.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mawja.dedup.v1.events_pb2 import TallyRow
from mawja.wave.v1.events_pb2 import Counts, ServiceLevels

from services.runtime.errors import Poison

# In lane order. Rare and large ones last: leading zero lanes take no memory.
FIELDS = (
    "contacts",
    "cases",
    "offered",
    "abandoned",
    "answered",
    "answered_in_target",
    "handled",
    "handled_in_target",
    "first_answered",
    "first_contact_resolved",
    "queue_wait_ms",
    "handling_ms",
)
_LANES = struct.Struct(f"<{len(FIELDS)}Q")
# 557 years in one row: more is damage, and sums of a million rows still fit their lane.
_LONGEST_MS = 1 << 44


def pack(row: TallyRow) -> int:
    """The counts of a row as one integer. Raises Poison for a time no row can have."""
    wait, handling = row.queue_wait_ms, row.handling_ms
    if wait >= _LONGEST_MS or handling >= _LONGEST_MS:
        raise Poison("a tally's sum of waits or handling times is out of range")
    return int.from_bytes(
        _LANES.pack(
            row.contacts,
            row.cases,
            row.offered,
            row.abandoned,
            row.answered,
            row.answered_in_target,
            row.handled,
            row.handled_in_target,
            row.first_answered,
            row.first_contact_resolved,
            wait,
            handling,
        ),
        "little",
    )


def counts(packed: int) -> Counts:
    """The counts that `packed` (a sum of `pack`s) holds."""
    lanes: Iterable[Any] = _LANES.unpack(packed.to_bytes(_LANES.size, "little"))
    return Counts(**dict(zip(FIELDS, lanes, strict=True)))


def cases(packed: int) -> int:
    """Only the cases that `packed` holds: true demand."""
    return packed >> 64 * FIELDS.index("cases") & (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a centre promises of one service level: `share` (0 to 1) of `whole` must be `part`."""

    level: str
    part: str
    whole: tuple[str, ...]
    share: float
    source: str


_CONTRACT = "Qatar government contact centre, published report, 2nd quarter of 2021"
# The share that has to be answered and handled in time is not published there; 90 is used, as in
# the field's shorthand for staffing, 90/20.
TARGETS = (
    Target("answered", "answered", ("answered", "abandoned"), 0.90, _CONTRACT),
    Target(
        "answered_in_target",
        "answered_in_target",
        ("answered", "abandoned"),
        0.90,
        f"{_CONTRACT}: within 20 s",
    ),
    Target(
        "handled_in_target",
        "handled_in_target",
        ("handled",),
        0.90,
        f"{_CONTRACT}: at most 4 min",
    ),
    Target(
        "first_contact_resolved", "first_contact_resolved", ("first_answered",), 0.90, _CONTRACT
    ),
)


def service_levels(of: Counts) -> ServiceLevels:
    """The four service levels, each 0 to 1, and absent where nothing was measured.

    - answered: answered ÷ (answered + abandoned);
    - answered_in_target: answered within 20 s ÷ (answered + abandoned);
    - handled_in_target: handled within 4 min ÷ answered calls that ended;
    - first_contact_resolved: cases resolved at the first answered contact, with no repeat within
      7 days so far ÷ cases first answered.

    The first two are the accessibility measures of Gans, Koole and Mandelbaum, "Telephone call
    centers: tutorial, review, and research prospects", Manufacturing & Service Operations
    Management 5(2), 2003, section 2: over the calls whose wait is over. A call that still waits is
    in neither part, so a level is not flattered or punished by calls that nobody can judge yet; an
    abandoned call counts as not answered, however short its wait. The last two are the contract's
    own words (see TARGETS).
    """
    levels = ServiceLevels()
    for target in TARGETS:
        whole = sum(getattr(of, name) for name in target.whole)
        if whole:
            setattr(levels, target.level, getattr(of, target.part) / whole)
    return levels
