"""Which group the slow path looks at next, and how far behind it is. Pure.

One representative of a group of like contacts is enough, so a group is looked at once when it is
new, and again each time it has doubled: a text that thousands send costs a dozen looks. The largest
groups come first. Memory is bounded: of the groups that were looked at, those heard of last are
remembered; of those that wait, the smallest give way.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

Group = TypeVar("Group", bound=Hashable)

COUNTED = 5
"""Contacts from which on a group counts for the backlog's age."""
MOST = 200_000
"""Groups that are remembered, about 300 bytes each."""
_BATCH = 16


@dataclass(slots=True)
class _State:
    """`looked`: the size at which it was last looked at, 0 for never. `due_ms`: since when it
    waits. `counted_ms`: since when it waits with COUNTED contacts or more; -1: it does not."""

    size: int
    looked: int
    due_ms: int
    counted_ms: int

    @property
    def due(self) -> bool:
        return self.size >= max(1, 2 * self.looked)


class Backlog(Generic[Group]):
    """The groups that wait to be looked at, and what is known of the others."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[Group, _State] = OrderedDict()
        self._waiting: list[tuple[int, int, int, Group]] = []
        self._ages: list[tuple[int, int, Group]] = []
        self._order = count()

    def __len__(self) -> int:
        """Groups that are remembered."""
        return len(self._known)

    def add(self, group: Group, size: int, at_ms: int) -> None:
        """The group has `size` contacts since `at_ms`. A size that is not larger says nothing."""
        state = self._known.get(group)
        if state is None:
            if len(self._known) >= self._most:
                self._make_room()
            state = self._known[group] = _State(0, 0, at_ms, -1)
        if size <= state.size:
            return
        was_due = state.due and state.size > 0
        state.size = size
        self._known.move_to_end(group)
        if not state.due:
            return
        if not was_due:
            state.due_ms = at_ms
        heappush(self._waiting, (-size, state.due_ms, next(self._order), group))
        if size >= COUNTED and state.counted_ms < 0:
            state.counted_ms = at_ms
            heappush(self._ages, (at_ms, next(self._order), group))
        self._tidy()

    def next_batch(self, most: int = _BATCH) -> list[Group]:
        """The groups to look at now, the largest first; they count as looked at."""
        batch: list[Group] = []
        while self._waiting and len(batch) < most:
            size, _, _, group = heappop(self._waiting)
            state = self._known.get(group)
            if state is None or not state.due or -size != state.size:
                continue
            state.looked, state.counted_ms = state.size, -1
            batch.append(group)
        return batch

    def again(self, group: Group, at_ms: int) -> None:
        """The look at a group failed: it waits as if it had not been looked at."""
        state = self._known.get(group)
        if state is not None and state.looked:
            size, state.looked, state.size = state.size, 0, 0
            self.add(group, size, at_ms)

    def forget(self, group: Group) -> None:
        """The group is no more (it joined another, or all of it was settled)."""
        self._known.pop(group, None)

    def age_ms(self, now_ms: int) -> int:
        """How long the group of COUNTED contacts or more that waits longest has waited, in ms."""
        while self._ages:
            since, _, group = self._ages[0]
            state = self._known.get(group)
            if state is not None and state.counted_ms == since:
                return max(0, now_ms - since)
            heappop(self._ages)
        return 0

    def _make_room(self) -> None:
        """A tenth goes: first what was looked at longest ago, then the smallest that wait."""
        share = max(1, self._most // 10)
        looked = [group for group, state in self._known.items() if not state.due][:share]
        gone = looked
        if len(looked) < share:
            waiting = [group for group, state in self._known.items() if state.due]
            waiting.sort(key=lambda group: self._known[group].size)
            gone = looked + waiting[: share - len(looked)]
        for group in gone:
            del self._known[group]

    def _tidy(self) -> None:
        """Entries that a larger one of their group replaced are dropped before they pile up."""
        if len(self._waiting) > 4 * len(self._known) + 64:
            known = self._known
            self._waiting = [
                entry
                for entry in self._waiting
                if (state := known.get(entry[3])) and state.due and state.size == -entry[0]
            ]
            heapify(self._waiting)
        if len(self._ages) > 4 * len(self._known) + 64:
            self._ages = [
                entry
                for entry in self._ages
                if (state := self._known.get(entry[2])) and state.counted_ms == entry[0]
            ]
            heapify(self._ages)
