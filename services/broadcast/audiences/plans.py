"""Whether a numbering plan can tell two numbers apart that differ in their last digits only. Pure.

A million numbers of a file lie in a few thousand blocks. What a block's numbers have in common is
asked of `phonenumbers` once, and holds for all of them if no pattern of the plan looks at the
digits in which they differ. That is proved here, not assumed: the plan's patterns, which are
regular expressions over digits, become one automaton (Thompson, 1968; the sets of its states are
made as they are met), and a block is *alike* when all its numbers reach sets that accept the same
patterns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

_ALL = 0x3FF
"""The ten digits, as bits."""


@dataclass(frozen=True, slots=True)
class _Digits:
    bits: int


@dataclass(frozen=True, slots=True)
class _All:
    """One after the other."""

    parts: Sequence["_Node"]


@dataclass(frozen=True, slots=True)
class _Any:
    """One of them."""

    parts: Sequence["_Node"]


@dataclass(frozen=True, slots=True)
class _Times:
    node: "_Node"
    low: int
    high: int


_Node: TypeAlias = _Digits | _All | _Any | _Times


class Unreadable(ValueError):
    """The pattern uses more than digits, sets, groups, alternatives and counts."""


class _Parser:
    """Reads the part of the syntax of regular expressions that numbering plans use."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def whole(self) -> _Node:
        node = self._alternatives()
        if self._at != len(self._pattern):
            raise Unreadable
        return node

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _alternatives(self) -> _Node:
        found = [self._sequence()]
        while self._take("|"):
            found.append(self._sequence())
        return _Any(found)

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._counted(self._atom()))
        return _All(parts)

    def _atom(self) -> _Node:
        if self._take(r"\d"):
            return _Digits(_ALL)
        if self._take("["):
            return _Digits(self._set())
        if self._take("(?:") or (not self._pattern.startswith("(?", self._at) and self._take("(")):
            inner = self._alternatives()
            if not self._take(")"):
                raise Unreadable
            return inner
        return _Digits(1 << self._digit())

    def _digit(self) -> int:
        char = self._next()
        if char not in set("0123456789"):
            raise Unreadable
        self._at += 1
        return int(char)

    def _set(self) -> int:
        bits = 0
        while not self._take("]"):
            low = self._digit()
            high = self._digit() if self._take("-") else low
            for digit in range(low, high + 1):
                bits |= 1 << digit
        return bits

    def _counted(self, node: _Node) -> _Node:
        if self._take("?"):
            return _Times(node, 0, 1)
        if not self._take("{"):
            return node
        low = self._count()
        high = self._count() if self._take(",") else low
        if not self._take("}"):
            raise Unreadable
        return _Times(node, low, high)

    def _count(self) -> int:
        begin = self._at
        while self._next().isdigit():
            self._at += 1
        if begin == self._at:
            raise Unreadable
        return int(self._pattern[begin : self._at])


def longest(pattern: str) -> int:
    """How many digits the pattern can match at most. Raises Unreadable."""
    return _longest(_Parser(pattern).whole())


def _longest(node: _Node) -> int:
    match node:
        case _Digits():
            return 1
        case _All(parts):
            return sum(map(_longest, parts))
        case _Any(parts):
            return max(map(_longest, parts))
        case _Times(inner, _, high):
            return _longest(inner) * high


class Plan:
    """An automaton of several patterns at once. Raises Unreadable."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._moves: list[list[tuple[int, int]]] = []
        self._free: list[list[int]] = []
        self._ends: set[int] = set()
        begin = self._state()
        for pattern in sorted(set(patterns)):
            first = self._state()
            self._free[begin].append(first)
            self._ends.add(self._build(_Parser(pattern).whole(), first))
        self._sets: list[frozenset[int]] = []
        self._numbers: dict[frozenset[int], int] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self._alike: dict[tuple[int, int], frozenset[int] | None] = {}
        self._begin = self._number(self._closed({begin}))

    def alike(self, prefix: str, free: int) -> bool:
        """Whether all numbers of `prefix` and `free` more digits match the same patterns."""
        at = self._begin
        for digit in prefix:
            at = self._step(at, digit)
        return self._ending(at, free) is not None

    def _ending(self, at: int, free: int) -> frozenset[int] | None:
        """Which patterns end after `free` digits; None when it depends on the digits."""
        key = (at, free)
        if key not in self._alike:
            if free == 0:
                self._alike[key] = self._sets[at] & self._ends
            else:
                self._alike[key] = self._common(at, free - 1)
        return self._alike[key]

    def _common(self, at: int, free: int) -> frozenset[int] | None:
        """What all ten digits lead to; None as soon as two differ."""
        first = self._ending(self._step(at, "0"), free)
        if first is None:
            return None
        same = all(self._ending(self._step(at, digit), free) == first for digit in "123456789")
        return first if same else None

    def _step(self, at: int, digit: str) -> int:
        key = (at, digit)
        found = self._steps.get(key)
        if found is None:
            bit = 1 << int(digit)
            reached = {to for one in self._sets[at] for bits, to in self._moves[one] if bits & bit}
            found = self._steps[key] = self._number(self._closed(reached))
        return found

    def _number(self, states: frozenset[int]) -> int:
        if states not in self._numbers:
            self._numbers[states] = len(self._sets)
            self._sets.append(states)
        return self._numbers[states]

    def _closed(self, states: set[int]) -> frozenset[int]:
        waiting = list(states)
        while waiting:
            for to in self._free[waiting.pop()]:
                if to not in states:
                    states.add(to)
                    waiting.append(to)
        # Only where digits lead on, and ends, make a difference.
        return frozenset(s for s in states if self._moves[s] or s in self._ends)

    def _state(self) -> int:
        self._moves.append([])
        self._free.append([])
        return len(self._moves) - 1

    def _build(self, node: _Node, at: int) -> int:
        """Adds the node's states after `at`; returns the one after it."""
        match node:
            case _Digits(bits):
                end = self._state()
                self._moves[at].append((bits, end))
                return end
            case _All(parts):
                for part in parts:
                    at = self._build(part, at)
                return at
            case _Any(parts):
                end = self._state()
                for part in parts:
                    # A state of its own, so that no alternative runs through another's loop.
                    first = self._state()
                    self._free[at].append(first)
                    self._free[self._build(part, first)].append(end)
                return end
            case _Times(inner, low, high):
                for _ in range(low):
                    at = self._build(inner, at)
                end = self._state()
                self._free[at].append(end)
                for _ in range(high - low):
                    at = self._build(inner, at)
                    self._free[at].append(end)
                return end
