"""Finds the cases that a case may have something to do with: those that share rare words, sounds, a
place, a reference or a person with it. Pure.

An inverted index; of each word the latest 32 cases are kept, so that a word that everybody says
costs no more than a rare one, and memory is bounded by the cases that are remembered.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from heapq import nsmallest

from services.dedup import words
from services.dedup.incidents.evidence import Said
from services.dedup.incidents.need import Need

MOST_FOUND = 16
"""Cases that a case is compared with."""
_LATEST = 32
_RAREST = 10
_RARE = 0.35
_PLACE = 1.2
_CODE = 2.0
_PERSON = 4.0
_WORD, _SOUND = "w", "s"


class Index:
    """The cases of one partition by what they say."""

    def __init__(self) -> None:
        self._cases: dict[Hashable, deque[str]] = {}
        # What was rare when a case came may be ordinary when it goes.
        self._rare: dict[str, tuple[bytes, bytes]] = {}

    def add(self, need: Need, said: Said) -> None:
        """Takes a case in that is not there."""
        self._rare[need.case_id] = (_rare(said.words), _rare(said.sounds))
        for key in self._under(need):
            cases = self._cases.get(key)
            if cases is None:
                cases = self._cases[key] = deque(maxlen=_LATEST)
            if need.case_id not in cases:
                cases.append(need.case_id)

    def remove(self, need: Need) -> None:
        """Forgets a case that stands there like this."""
        for key in self._under(need):
            cases = self._cases.get(key)
            if cases is not None and need.case_id in cases:
                cases.remove(need.case_id)
                if not cases:
                    del self._cases[key]
        del self._rare[need.case_id]

    def find(self, need: Need, said: Said) -> list[str]:
        """The cases that share most with `need`, at most MOST_FOUND, the likeliest first."""
        found: dict[str, float] = {}
        for key, worth in _keys(need, said):
            for case in self._cases.get(key, ()):
                found[case] = found.get(case, 0.0) + worth
        found.pop(need.case_id, None)
        # By id among equals: the order of arrival must not matter.
        ranked = nsmallest(MOST_FOUND, found.items(), key=lambda one: (-one[1], one[0]))
        return [case for case, _ in ranked]

    def _under(self, need: Need) -> Iterator[Hashable]:
        """What a case that is there stands under."""
        for kind, packed in zip((_WORD, _SOUND), self._rare[need.case_id], strict=True):
            for hashed in words.unpack(packed):
                yield kind, hashed
        for key, _ in _certain(need):
            yield key


def _rarest(hashes: Mapping[int, float]) -> list[tuple[int, float]]:
    ranked = sorted(hashes.items(), key=lambda one: (-one[1], one[0]))[:_RAREST]
    return [(hashed, rarity) for hashed, rarity in ranked if rarity >= _RARE]


def _rare(hashes: Mapping[int, float]) -> bytes:
    return words.pack(hashed for hashed, _ in _rarest(hashes))


def _keys(need: Need, said: Said) -> Iterator[tuple[Hashable, float]]:
    """What a case is found by, and how much each is worth."""
    for kind, hashes in ((_WORD, said.words), (_SOUND, said.sounds)):
        for hashed, rarity in _rarest(hashes):
            yield (kind, hashed), rarity
    yield from _certain(need)


def _certain(need: Need) -> Iterator[tuple[Hashable, float]]:
    """The same of what is no word."""
    for code in need.codes:
        yield ("c", code), _CODE
    for place in need.places:
        yield ("p", place), _PLACE
    if need.person:
        yield ("n", need.person), _PERSON
