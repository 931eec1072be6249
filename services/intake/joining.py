"""Which parts are of one message, and what it says. Pure: the log in, gatherings out.

A person's SMS of several parts comes as several records, in any order, some of them twice, and
maybe not all. What belongs together is told by person, line, carrier, reference, number of parts
and time; the reference is the sender's own (often 8 bits) and is used again. A part whose place is
taken by other octets is of another message.

A *gathering* takes parts until it has all, or is closed without some. A part that comes for a
closed one is *late*: it begins a gathering of what is still missing. What was closed is remembered
for a while, so that a part which the carrier brings once more changes nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.runtime.smpp_text import Coded, join_coded

WAIT_S = 30.0
"""How long a gathering waits for the rest, from when its first part was read. Telephones send the
parts of a text within a few seconds of each other."""
SAME_MS = 10 * 60 * 1000
"""Parts that came further apart are of two messages; for as long a closed one is remembered."""
GAP = "…"
"""Stands in a text for each run of parts that are missing."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Message:
    """What the parts of a message have in common. `person` is the keyed hash of the number."""

    carrier: str
    person: bytes
    line: str
    reference: int
    total: int


@dataclass(frozen=True, slots=True)
class Part(Generic[R]):
    """One part as it was read: `sequence` from 1, `received_ms` Unix ms, `offset` in its topic.
    `record` is whatever the reader wants back."""

    message: Message
    sequence: int
    inbound_id: str
    coded: Coded
    received_ms: int
    offset: int
    record: R = field(repr=False)


@dataclass(slots=True, eq=False)
class Gathering(Generic[R]):
    """Parts of one message, in the order in which they came.

    `wanted`: the sequence numbers that it waits for. `earlier`: the inbound ids of the parts of
    what was closed of this message before, oldest first: whoever took over reads as one gathering
    what may have been several, and each of these may have begun one. `until_s`: when it is to be
    closed, `touched_s`: when its last part was read; monotonic seconds.
    """

    message: Message
    wanted: frozenset[int]
    earlier: tuple[str, ...]
    until_s: float
    touched_s: float
    parts: list[Part[R]] = field(default_factory=list)
    open: bool = True
    _digests: dict[int, bytes] = field(default_factory=dict)

    @property
    def first(self) -> Part[R]:
        """The part that came first."""
        return self.parts[0]

    def lacks(self, sequence: int) -> bool:
        """Whether that part is wanted and not here."""
        return sequence in self.wanted and sequence not in self._digests

    def repeats(self, part: Part[R]) -> bool:
        """Whether it is here with the same octets."""
        return self._digests.get(part.sequence) == _digest(part.coded)

    def add(self, part: Part[R], now_s: float) -> None:
        """Takes a part in; closes when it was the last one."""
        self.parts.append(part)
        self._digests[part.sequence] = _digest(part.coded)
        self.touched_s = now_s
        self.open = not self.wanted <= self._digests.keys()


class Joiner(Generic[R]):
    """What of messages in parts was read in one topic of one partition. Feed it in order."""

    def __init__(self) -> None:
        # Oldest first: more than one when a reference was used again, or parts were late.
        self._gatherings: dict[Message, list[Gathering[R]]] = {}

    def take(self, part: Part[R], now_s: float) -> Gathering[R] | None:
        """Where the part went: into a gathering that is open still, or closed by it. None when it
        was brought once more. `now_s`: monotonic seconds."""
        known = self._gatherings.setdefault(part.message, [])
        near = [
            one
            for one in reversed(known)
            if abs(part.received_ms - one.first.received_ms) <= SAME_MS
        ]
        if any(one.repeats(part) for one in near):
            return None
        # The newest message that lacks it. With its place taken by other octets in all of them, a
        # new message has begun.
        lacking = next((one for one in near if one.lacks(part.sequence)), None)
        if lacking is None or not lacking.open:
            wanted, earlier = frozenset(range(1, part.message.total + 1)), tuple[str, ...]()
            if lacking is not None:
                wanted = frozenset(filter(lacking.lacks, lacking.wanted))
                earlier = (*lacking.earlier, *(one.inbound_id for one in lacking.parts))
            lacking = Gathering(part.message, wanted, earlier, now_s + WAIT_S, now_s)
            known.append(lacking)
        lacking.add(part, now_s)
        return lacking

    def due(self, now_s: float) -> list[Gathering[R]]:
        """Closes the gatherings whose time is over, and gives them."""
        found = [
            one
            for known in self._gatherings.values()
            for one in known
            if one.open and one.until_s <= now_s
        ]
        for one in found:
            one.open = False
        return found

    def settle(self) -> None:
        """Everything taken so far was dealt with by somebody before: closes what is open."""
        for known in self._gatherings.values():
            for one in known:
                one.open = False

    def forget(self, now_s: float) -> None:
        """Forgets what was closed and not touched for as long as parts may be brought again."""
        for message, known in list(self._gatherings.items()):
            known[:] = [one for one in known if one.open or now_s - one.touched_s <= SAME_MS / 1000]
            if not known:
                del self._gatherings[message]


def text_of(parts: Iterable[Part[R]], total: int) -> str:
    """The text of the parts that are there, by their places, with a sign for each run that is not.

    A character or an escape that is cut between two neighbours is whole; of one whose other half is
    missing nothing is shown. What is binary says nothing.
    """
    by_place = {part.sequence: part.coded for part in parts}
    pieces: list[str] = []
    at = 1
    while at <= total:
        start, here = at, at in by_place
        while at <= total and (at in by_place) is here:
            at += 1
        if here:
            run = _run([by_place[one] for one in range(start, at)], start > 1, at <= total)
            pieces.extend([run] if run else [])
        else:
            pieces.append(GAP)
    return " ".join(pieces)


def _run(coded: Sequence[Coded], gap_before: bool, gap_after: bool) -> str:
    text = join_coded(coded) or ""
    # Half a character at the edge of what is missing.
    if gap_before:
        text = text.removeprefix("\ufffd")
    if gap_after:
        text = text.removesuffix("\ufffd")
    return text


def _digest(coded: Coded) -> bytes:
    shown = f"{coded.coding}/{coded.shift.locking}/{coded.shift.single}/".encode()
    return hashlib.blake2b(shown + coded.octets, digest_size=16).digest()
