"""What the after-action report of a surge knows: counts and times. Nobody's number or name is
among it, but for the subjects of staff. Pure.

All times are Unix milliseconds. What people did (calls, bursts, incidents) has the time at which
they did it; what the system did (messages, campaigns, takeovers) has the system's. The two are the
same but for rehearsals that pass a day in minutes, and for records that are imported later.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.tools.afteraction.callbacks import OPEN, Owed
from services.tools.afteraction.events import Event, Letter, Offer, Played, Surge, Takeover
from services.tools.afteraction.messages import Trouble
from services.tools.effects.measuring import Effect
from services.tools.reports.facts import Facts as CampaignFacts
from services.tools.reports.facts import Made

Figures = Mapping[str, Any]
"""A scorecard's, by the names of `scorecards.figures.DEFINITIONS`."""
GROUPS = ("line", "agency", "language")
SENT = frozenset({"delivered", "failed", "expired", "unknown", "under_way"})
"""Buckets of messages that left, or should have."""


@dataclass(frozen=True, slots=True)
class Span:
    """What came in one stretch of the surge, and what became of it."""

    start_ms: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Origin:
    """The messages of one step that outreach takes ("answer", "callback-offer", …), or by hand.

    `by_language`: buckets by language. `took_ms`: how long each delivered one took, in order: from
    the acceptance of the contact that it answers where `from_contact`, else from the decision.
    """

    step: str
    by_language: Mapping[str, Counter[str]]
    reasons: Mapping[str, int]
    took_ms: Sequence[int]
    from_contact: bool

    @property
    def buckets(self) -> Counter[str]:
        """In all languages."""
        return sum(self.by_language.values(), Counter[str]())


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`; a measurement that may be by chance."""

    part: int = 0
    whole: int = 0

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Where the true share lies, with 95 % confidence, 0 to 1: E. B. Wilson, "Probable
        inference, the law of succession, and statistical inference", JASA 22, 1927."""
        if not self.whole:
            return 0.0, 1.0
        share, n = self.part / self.whole, self.whole
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Avoided:
    """Calls that were not needed, as far as the log can tell.

    `joined`: contacts that joined a case that was there. `answered`: cases that got an answer by
    message, `part` of them without any contact since. `told`, `untold`: cases whose person hung up
    and was told within a minute that they are called back, or not; `part` called again after that
    minute. None where it can't be told.
    """

    joined: int = 0
    answered: Share | None = None
    told: Share | None = None
    untold: Share | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A surge. `since_ms`, `until_ms`: from the first contact until after the last. `others`:
    contacts that are rehearsals where real ones were asked for, or the other way round. `pace`: how
    much faster than people live it was played, 1 for what really happened. `reached_ms`: when each
    delivered message was, in order, campaigns included."""

    name: str
    drill: bool
    since_ms: int
    until_ms: int
    width_ms: int
    whole: Figures
    groups: Mapping[str, Sequence[tuple[str, Figures]]]
    spans: Sequence[Span]
    bursts: Sequence[Surge]
    incidents: Sequence[Event]
    origins: Sequence[Origin]
    people_reached: int
    reached_ms: Sequence[int]
    campaigns: Sequence[CampaignFacts]
    callbacks: Sequence[Owed]
    avoided: Avoided
    trouble: Mapping[tuple[str, str, str], Trouble]
    takeovers: Sequence[Takeover]
    letters: Sequence[Letter]
    forbidden: int
    pace: float
    others: int
    first_asked_ms: int
    first_delivered_ms: int
    made: Made
    announcements: Sequence[Played]
    routes: Mapping[str, Counter[str]]
    """Calls under contract by agency and where they went, as `mawja contracts settlement` says."""
    proposals: Sequence[Offer]
    effects: Mapping[str, Effect]
    """What campaigns did to calls, by id, of those that held a share back."""
    satisfaction: float | None = None
    _sent: list[Counter[str]] = field(default_factory=list)

    @property
    def replayed(self) -> bool:
        """Whether people's times and the system's can't be held against each other."""
        return self.pace > 1

    def sent(self) -> Counter[str]:
        """All messages by bucket, campaigns and their corrections included."""
        if not self._sent:
            found = Counter[str]()
            for origin in self.origins:
                found.update(origin.buckets)
            for campaign in self.campaigns:
                found.update(campaign.sending.totals())
                if campaign.correction is not None:
                    found.update(campaign.correction.totals())
            self._sent.append(found)
        return self._sent[0]

    def callback_states(self) -> Counter[str]:
        """Callbacks by state."""
        return Counter(owed.state for owed in self.callbacks)

    @property
    def callbacks_open(self) -> int:
        """Callbacks that wait."""
        return sum(owed.state in OPEN for owed in self.callbacks)

    def waited_ms(self) -> list[int]:
        """How long those waited who were called back, from their first call, in order."""
        if self.replayed:
            return []
        return sorted(
            max(0, owed.decided_ms - owed.place_ms)
            for owed in self.callbacks
            if owed.state == "completed"
        )


def worst(spans: Sequence[Span], least: int = 5) -> Span | None:
    """The stretch in which the smallest share of calls was answered, of those with `least` calls
    that were answered or abandoned; None when there is none."""
    measured = [one for one in spans if _over(one) >= least]
    return min(measured, key=lambda one: one.figures["answered_share"], default=None)


def busiest(spans: Sequence[Span]) -> Span | None:
    """The stretch in which most people reached out."""
    return max(spans, key=lambda one: (one.figures["contacts"], -one.start_ms), default=None)


def recovered_ms(spans: Sequence[Span], target: float = 0.9, least: int = 5) -> int | None:
    """From when on `target` of the calls were answered again in every stretch, after the worst one
    that missed it; None when it never was missed, or not reached again."""
    measured = [one for one in spans if _over(one) >= least]
    missed = [one for one in measured if one.figures["answered_share"] < target]
    if not missed:
        return None
    after = [one for one in measured if one.start_ms > missed[-1].start_ms]
    return after[0].start_ms if after else None


def _over(span: Span) -> int:
    return int(span.figures["answered"] + span.figures["abandoned"])
