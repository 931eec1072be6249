"""Which playbooks are on: what coordinators said, the last word of each playbook. Pure.

Only what begins is held up. What a playbook handed over goes on being told until somebody takes it,
and what was asked for is sent: a switch is no recall.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import overload

from mawja.outreach.v1.playbooks_pb2 import PlaybookSwitch

from services.outreach.rules import Rule

_TOLD = 20


class Switches:
    """Every switch that was thrown, of all playbooks."""

    def __init__(self) -> None:
        self._known: dict[str, PlaybookSwitch] = {}
        self._of: dict[str, list[tuple[int, str]]] = {}

    def take(self, switch: PlaybookSwitch, offset: int) -> None:
        """Takes up a record, `offset` in its partition: of a playbook all stand in one. Taken
        twice, or in another order, it is the same."""
        if switch.switch_id in self._known:
            return
        self._known[switch.switch_id] = switch
        insort(self._of.setdefault(switch.playbook, []), (offset, switch.switch_id))

    def get(self, switch_id: str) -> PlaybookSwitch | None:
        """One of them."""
        return self._known.get(switch_id)

    def last(self, playbook: str) -> PlaybookSwitch | None:
        """What holds of a playbook; None when nobody ever switched it."""
        found = self._of.get(playbook)
        return self._known[found[-1][1]] if found else None

    def on(self, playbook: str) -> bool:
        """Whether it is on: one that nobody switched is."""
        last = self.last(playbook)
        return last is None or last.on

    def of(self, playbook: str) -> list[PlaybookSwitch]:
        """Its switches, the latest first; at most 20."""
        return [self._known[name] for _, name in reversed(self._of.get(playbook, [])[-_TOLD:])]


class Working(Sequence[Rule]):
    """The rules of the playbooks that are on whenever it is looked at; `every`: all of them."""

    def __init__(self, every: Sequence[Rule], switches: Switches) -> None:
        self.every = tuple(every)
        self.switches = switches

    def __iter__(self) -> Iterator[Rule]:
        return (rule for rule in self.every if self.switches.on(rule.name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Rule: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Rule]: ...
    def __getitem__(self, index: int | slice) -> Rule | Sequence[Rule]:
        return tuple(self)[index]


def every(rules: Sequence[Rule]) -> Sequence[Rule]:
    """All rules, also of playbooks that are off."""
    return rules.every if isinstance(rules, Working) else rules


def off(rules: Sequence[Rule], name: str) -> PlaybookSwitch | None:
    """Who switched a playbook off, and why; None when it is on."""
    last = rules.switches.last(name) if isinstance(rules, Working) else None
    return last if last is not None and not last.on else None
