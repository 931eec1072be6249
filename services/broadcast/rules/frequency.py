"""What each person got recently, as far as a cap may ask for it. Pure.

Folded from the status log: `add` when a message is claimed (a later one must count it before the
carrier has answered), `take_back` when it is known to have reached nobody. What no cap counts is
not kept, and of what one counts only the latest that can still fill it: a person takes 10 bytes for
each message that the caps allow (and 2 more each), for each agency where a cap is for each. People
of whom nothing is young enough are forgotten a generation at a time, so that nothing is ever swept.
"""

import struct
from collections.abc import Sequence

from services.broadcast.rules.book import Cap, Kind, Lane
from services.broadcast.rules.judge import Earlier

MOST = 64
"""Messages kept of a person at most, the latest; reached only where a cap is for each agency and
many agencies write to one person."""
_SPARE = 2
"""Kept beyond what fills a cap, so that taking one back does not open it for one too many."""
_ENTRY = struct.Struct(">IBBI")
_SIZE = _ENTRY.size
_KINDS = tuple(Kind)
_LANES = tuple(Lane)


class Recent:
    """The memory of one partition. Times are Unix ms, kept to the second, rounded up: a cap may
    open a second late, never early."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = tuple(caps)
        self._window_s = max((-(-cap.window_ms // 1000) for cap in caps), default=0)
        self._agencies: list[str] = []
        self._index: dict[str, int] = {}
        # Who was written to since `_since_s`, and in the window before: nobody is in both.
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._since_s = 0

    def __len__(self) -> int:
        """People who are remembered."""
        return len(self._young) + len(self._old)

    def add(self, person: bytes, kind: Kind, lane: Lane, agency: str, at_ms: int) -> None:
        """The person is being sent a message."""
        if not any(cap.counts(kind, lane) for cap in self._caps):
            return
        at_s = -(-at_ms // 1000)
        self._turn(at_s)
        entry = self._entry(kind, lane, agency, at_s)
        if person not in self._young and person not in self._old:
            # As for nearly everybody of a campaign: there is nothing to leave out.
            self._young[person] = entry
            return
        entries = sorted([*self._entries(person), entry])
        self._old.pop(person, None)
        self._young[person] = b"".join(self._needed(entries, at_s))

    def take_back(self, person: bytes, kind: Kind, lane: Lane, agency: str, at_ms: int) -> None:
        """A message that was added with the same facts has reached nobody. What is not known is
        left alone: it may have been dropped since."""
        if agency not in self._index:
            return
        entries = self._entries(person)
        gone = self._entry(kind, lane, agency, -(-at_ms // 1000))
        if gone in entries:
            entries.remove(gone)
            held = self._young if person in self._young else self._old
            if entries:
                held[person] = b"".join(entries)
            else:
                del held[person]

    def of(self, person: bytes) -> list[Earlier]:
        """What the person got, oldest first."""
        if person not in self._young and person not in self._old:
            return []
        found = []
        for entry in self._entries(person):
            at_s, kind, lane, agency = _ENTRY.unpack(entry)
            found.append(Earlier(at_s * 1000, _KINDS[kind], _LANES[lane], self._agencies[agency]))
        return found

    def _turn(self, now_s: int) -> None:
        """Begins a generation when the last one is as long as the longest window."""
        if now_s - self._since_s > self._window_s:
            fresh = now_s - self._since_s <= 2 * self._window_s
            self._old = self._young if fresh else {}
            self._young = {}
            self._since_s = now_s

    def _entries(self, person: bytes) -> list[bytes]:
        held = self._young.get(person) or self._old.get(person, b"")
        return [held[at : at + _SIZE] for at in range(0, len(held), _SIZE)]

    def _entry(self, kind: Kind, lane: Lane, agency: str, at_s: int) -> bytes:
        index = self._index.get(agency)
        if index is None:
            index = self._index[agency] = len(self._agencies)
            self._agencies.append(agency)
        return _ENTRY.pack(at_s, _KINDS.index(kind), _LANES.index(lane), index)

    def _needed(self, entries: list[bytes], now_s: int) -> list[bytes]:
        """Of entries in the order of time, those that may still fill a cap."""
        needed = set()
        for cap in self._caps:
            counted: dict[int, int] = {}
            for place in range(len(entries) - 1, -1, -1):
                at_s, kind, lane, agency = _ENTRY.unpack(entries[place])
                if (now_s - at_s) * 1000 >= cap.window_ms:
                    break
                if cap.counts(_KINDS[kind], _LANES[lane]):
                    whose = agency if cap.each_agency else -1
                    counted[whose] = counted.get(whose, 0) + 1
                    if counted[whose] <= cap.most + _SPARE:
                        needed.add(place)
        return [entries[place] for place in sorted(needed)][-MOST:]
