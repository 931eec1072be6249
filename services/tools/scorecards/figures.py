"""The figures of a scorecard, each with what it is and where its target comes from. Pure.

Every contact is counted where and when it *came*, whatever became of it later: so the calls of an
hour are answered, abandoned or open, and nothing else, and the counts of the groups of a span add
up to those of the whole. (The levels of the room `wave` count a call when it was answered, because
they are shown while calls still wait.) People don't add up: who calls two lines is one person of
each, and one of the whole.
"""

from array import array
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.tools.scorecards.calls import NONE, Calls, Contact, Counted

ANSWER_TARGET_MS = 20_000
HANDLING_TARGET_MS = 240_000
REPEAT_MS = 7 * 86_400_000
"""Who reaches out again within this was not helped at the first contact; dedup's repeat_window."""
_PERCENTILE = 0.90

CONTRACT = "Qatar government contact centre, published report, 2nd quarter of 2021"
"""Where the four targets come from: 90 % answered, within 20 s, at most 4 min handling, 90 %
resolved at first contact."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised of a figure: `least`, at the least, or `most`, at the most."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value keeps the promise."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


TARGETS: Mapping[str, Target] = {
    "answered_share": Target(least=0.90),
    "mean_wait_s": Target(most=ANSWER_TARGET_MS / 1000),
    "mean_handling_s": Target(most=HANDLING_TARGET_MS / 1000),
    "first_contact_resolved_share": Target(least=0.90),
}
DEFINITIONS: Mapping[str, str] = {
    "contacts": "everybody who reached out, by any channel",
    "dialled": "calls: not demand, since people redial",
    "people": "different numbers among all contacts; a withheld one can't be told apart",
    "withheld": "needs of people who withheld their number; not among the people",
    "needs": "true demand: cases with a contact in the span, counted where its first one there is",
    "answered": "calls that an agent took",
    "abandoned": "calls whose caller hung up before",
    "open": "calls that are neither yet, or whose end nobody reported",
    "answered_share": "answered / (answered + abandoned)",
    "answered_in_20s_share": "answered within 20 s / (answered + abandoned)",
    "mean_wait_s": "average speed of answer: mean wait of the answered calls, seconds",
    "p90_wait_s": "90 % of the answered calls waited no longer, seconds",
    "mean_handling_s": "mean talk and wrap-up of the answered calls that ended, seconds",
    "handled_in_4min_share": "handled within 4 min / answered calls that ended",
    "first_contact_resolved_share": "cases whose first answered call ended as resolved and about "
    "which nobody reached out again within 7 days / cases whose first answered call ended with a "
    "word on how",
    "satisfaction": "mean of what people answered to how well they were served, 1 (badly) to 5 "
    "(well): the last answer for each case, counted where the case is and when the answer came",
    "scores": "people's answers to that, one for each case",
}


@dataclass(slots=True)
class Sums:
    """What is counted of a group of contacts; every count is the sum over parts of the group.

    `waits_ms`: of the answered calls, ms. `first_known`: cases whose first answered call is here
    and ended with a word on how; `first_resolved`: of them, those that needed no other.
    """

    contacts: int = 0
    dialled: int = 0
    needs: int = 0
    withheld: int = 0
    answered: int = 0
    answered_in_target: int = 0
    abandoned: int = 0
    handled: int = 0
    handled_in_target: int = 0
    handling_ms: int = 0
    first_known: int = 0
    first_resolved: int = 0
    scores: int = 0
    score_sum: int = 0
    waits_ms: "array[int]" = field(default_factory=lambda: array("i"))
    persons: set[int] = field(default_factory=set)

    @property
    def open(self) -> int:
        """Calls that are neither answered nor abandoned."""
        return self.dialled - self.answered - self.abandoned

    def figures(self) -> dict[str, Any]:
        """By the names of DEFINITIONS; None where nothing was measured.

        Shares are 0 to 1. The first two are the accessibility measures of Gans, Koole and
        Mandelbaum, "Telephone call centers: tutorial, review, and research prospects",
        Manufacturing & Service Operations Management 5(2), 2003, section 2: over the calls whose
        wait is over, an abandoned one counting as not answered, however short its wait. The
        percentile is the nearest rank: a wait that somebody had.
        """
        over = self.answered + self.abandoned
        waits = sorted(self.waits_ms)
        rank = -(-len(waits) * round(_PERCENTILE * 100) // 100) - 1
        return {
            "contacts": self.contacts,
            "dialled": self.dialled,
            "people": len(self.persons),
            "withheld": self.withheld,
            "needs": self.needs,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "open": self.open,
            "answered_share": _share(self.answered, over),
            "answered_in_20s_share": _share(self.answered_in_target, over),
            "mean_wait_s": _share(sum(waits) / 1000, len(waits)),
            "p90_wait_s": waits[rank] / 1000 if waits else None,
            "mean_handling_s": _share(self.handling_ms / 1000, self.handled),
            "handled_in_4min_share": _share(self.handled_in_target, self.handled),
            "first_contact_resolved_share": _share(self.first_resolved, self.first_known),
            "satisfaction": _share(self.score_sum, self.scores),
            "scores": self.scores,
        }

    def count(self, contact: Contact) -> None:
        """Counts what one contact says by itself."""
        self.contacts += 1
        if not contact.call:
            return
        self.dialled += 1
        self.abandoned += contact.abandoned
        if contact.answered:
            self.answered += 1
            self.answered_in_target += contact.wait_ms <= ANSWER_TARGET_MS
            self.waits_ms.append(contact.wait_ms)
            if contact.ended:
                self.handled += 1
                self.handling_ms += contact.handling_ms
                self.handled_in_target += contact.handling_ms <= HANDLING_TARGET_MS


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Card:
    """The whole, and its groups by what they are."""

    whole: Sums
    groups: Mapping[Hashable, Sums]


def card(
    calls: Calls,
    by: Callable[[Counted], Hashable] | None = None,
    since_ms: int = 0,
    until_ms: int = 0,
    only: Callable[[Counted], bool] | None = None,
) -> Card:
    """The card of the contacts that came in [since_ms, until_ms), in groups by `by`; of those for
    which `only` holds, if it is given."""
    whole: Sums = Sums()
    groups: dict[Hashable, Sums] = {}
    first_of_case: dict[int, int] = {}

    def of(contact: Counted) -> tuple[Sums, ...]:
        if only is not None and not only(contact):
            return ()
        if by is None:
            return (whole,)
        return whole, groups.setdefault(by(contact), Sums())

    for contact in calls.contacts(since_ms, until_ms):
        person = calls.person(contact.case)
        for sums in of(contact):
            sums.count(contact)
            if person != NONE:
                sums.persons.add(person)
        if contact.number in calls.replies:
            continue
        held = first_of_case.get(contact.case)
        if held is None or contact.arrival_ms < calls.arrival_ms[held]:
            first_of_case[contact.case] = contact.number
    for case, number in first_of_case.items():
        for sums in of(calls.contact(number)):
            sums.needs += 1
            sums.withheld += calls.person(case) == NONE
    for score in calls.scores(since_ms, until_ms):
        for sums in of(score):
            sums.scores += 1
            sums.score_sum += score.score
    _count_first(calls, of, since_ms, until_ms)
    return Card(whole, groups)


def _count_first(
    calls: Calls, of: Callable[[Counted], tuple[Sums, ...]], since_ms: int, until_ms: int
) -> None:
    first = calls.first_answered()
    back = calls.came_back(first, REPEAT_MS)
    for case, number in first.items():
        contact = calls.contact(number)
        within = since_ms <= contact.arrival_ms and (not until_ms or contact.arrival_ms < until_ms)
        if within and contact.disposition_said:
            for sums in of(contact):
                sums.first_known += 1
                sums.first_resolved += contact.resolved and case not in back
