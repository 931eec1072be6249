"""The figures of a drill: what each means and should be, and what is better or worse. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["count", "share", "seconds", "milliseconds"]
Change = Literal["better", "worse", "same", ""]

_NOTABLE = 0.05
"""A change by less than a twentieth is chance as often as not."""
_LEAST: dict[Kind, float] = {"count": 0.0, "share": 0.02, "seconds": 1.0, "milliseconds": 50.0}
"""Nor does anybody notice less than this."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`group`: system, agents or coordinators. `more`: whether more is better; None: neither is.
    `target`: what it should be at least (or at most, where less is better), with its `source`."""

    group: str
    key: str
    label: str
    kind: Kind
    more: bool | None = None
    target: float | None = None
    source: str = ""

    def met(self, value: float | int | None) -> bool | None:
        """Whether the target is met; None without target or value."""
        if self.target is None or value is None or self.more is None:
            return None
        return value >= self.target if self.more else value <= self.target


_CONTRACT = "service level of the centre's contract"
FIGURES = (
    Figure("system", "contacts", "contacts taken", "count"),
    Figure("system", "cases", "cases: true demand", "count"),
    Figure("system", "lost", "contacts lost", "count", False, 0, "the ledger"),
    Figure("system", "duplicate_cases", "cases twice", "count", False, 0, "the ledger"),
    Figure("system", "duplicate_messages", "messages twice", "count", False, 0, "the ledger"),
    Figure("system", "problems", "sums that do not add up", "count", False, 0, "the ledger"),
    Figure("system", "intake_p99_ms", "acknowledged, 99 % within", "milliseconds", False),
    Figure("system", "end_to_end_p99_s", "contact to delivered SMS, 99 %", "seconds", False),
    Figure("system", "answered_share", "calls answered (simulated floor)", "share", True, 0.9,
           _CONTRACT),
    Figure("system", "answered_in_20s_share", "calls answered within 20 s", "share", True, 0.9,
           _CONTRACT),
    Figure("agents", "agents", "agents who took part", "count"),
    Figure("agents", "callbacks", "callbacks to be made", "count"),
    Figure("agents", "callbacks_taken_share", "callbacks taken up", "share", True, 0.9, _CONTRACT),
    Figure("agents", "taken_in_20s_share", "callbacks taken up within 20 s", "share", True, 0.9,
           _CONTRACT),
    Figure("agents", "mean_taken_s", "taken up after, on average", "seconds", False),
    Figure("agents", "handled_in_4min_share", "handled within 4 min", "share", True, 0.9,
           _CONTRACT),
    Figure("agents", "mean_handling_s", "handling, on average", "seconds", False),
    Figure("agents", "escalations", "lives in danger", "count"),
    Figure("agents", "escalations_confirmed_share", "lives in danger taken on", "share", True, 1.0,
           "every one has a person"),
    Figure("agents", "mean_escalation_s", "taken on after, on average", "seconds", False, 20.0,
           _CONTRACT),
    Figure("coordinators", "first_burst_s", "first burst shown after", "seconds"),
    Figure("coordinators", "campaigns", "drill campaigns written", "count"),
    Figure("coordinators", "burst_to_approved_s", "burst to approved campaign", "seconds", False),
    Figure("coordinators", "recall_s", "start to recall", "seconds", False, 600.0,
           "a false alert of 2018 took 38 min to correct"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure now and before; None where it was not measured."""

    figure: Figure
    now: float | int | None
    before: float | int | None
    change: Change


def compared(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Compared]:
    """Every figure that either drill has. `now`, `before`: figures by key."""
    for figure in FIGURES:
        here, there = now.get(figure.key), before.get(figure.key)
        if here is not None or there is not None:
            yield Compared(figure, here, there, _change(figure, here, there))


def _change(figure: Figure, now: float | int | None, before: float | int | None) -> Change:
    if figure.more is None or now is None or before is None:
        return ""
    chance = max(_LEAST[figure.kind], _NOTABLE * max(abs(now), abs(before)))
    if abs(now - before) <= chance:
        return "same"
    return "better" if (now > before) == figure.more else "worse"


def missed(of: Mapping[str, Any]) -> list[Figure]:
    """The figures whose targets were not met."""
    return [figure for figure in FIGURES if figure.met(of.get(figure.key)) is False]
