"""What people did in a drill, from the log: agents with callbacks, coordinators at bursts. Pure.

A callback counts as the centre's own promise counts calls: taken up within 20 s of becoming due,
handled within 4 minutes. What the simulated floor answered meanwhile was nobody's to work and is
left out. Times are the decisions' own, so that figures come out the same whenever they are made.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mawja.broadcast.v1 import campaigns_pb2 as campaigns
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.wave.v1 import events_pb2 as wave

TAKEN_MS = 20_000
HANDLED_MS = 240_000
BURSTS_MS = 24 * 3600_000
"""How long wave knows a burst, and may state it again."""
_DUE, _CLAIMED = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_CLAIMED
_WITHDRAWN = outreach.CALLBACK_STATE_WITHDRAWN
_COMPLETED = outreach.CALLBACK_STATE_COMPLETED
_RECALLED = campaigns.CAMPAIGN_STATE_RECALLED


@dataclass(slots=True)
class Agent:
    """What one agent did. Times in milliseconds, one for each callback taken up or ended."""

    taken_ms: list[int] = field(default_factory=list)
    handled_ms: list[int] = field(default_factory=list)
    completed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For the history: counts, shares 0 to 1, seconds; null where nothing was measured."""
        return {
            "taken": len(self.taken_ms),
            "taken_in_20s_share": share(self.taken_ms, lambda ms: ms <= TAKEN_MS),
            "ended": len(self.handled_ms),
            "completed": self.completed,
            "mean_handling_s": mean_s(self.handled_ms),
            "handled_in_4min_share": share(self.handled_ms, lambda ms: ms <= HANDLED_MS),
        }


@dataclass(slots=True)
class _Owed:
    """A callback as it stands, and when it became due last."""

    state: int
    due_ms: int
    life_safety: bool
    claims: int = 0
    first_taken_ms: int | None = None


class People:
    """Folds the callbacks of one drill, in the order of their log."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self._owed: dict[str, _Owed] = {}

    def take(self, callback: outreach.Callback) -> None:
        """One decision on a callback of the drill."""
        owed = self._owed.get(callback.callback_id)
        at, state = callback.decided_ms, callback.state
        if owed is None:
            self._owed[callback.callback_id] = _Owed(state, at, callback.life_safety)
            return
        owed.life_safety = owed.life_safety or callback.life_safety
        before, owed.state = owed.state, state
        if state == _CLAIMED and before != _CLAIMED:
            waited = max(0, callback.claimed_ms - owed.due_ms)
            self._of(callback).taken_ms.append(waited)
            owed.claims += 1
            if owed.first_taken_ms is None:
                owed.first_taken_ms = waited
        elif before == _CLAIMED and state not in (_CLAIMED, _WITHDRAWN):
            agent = self._of(callback)
            if callback.command_id and state != _DUE:
                agent.handled_ms.append(max(0, at - callback.claimed_ms))
                agent.completed += state == _COMPLETED
        if state == _DUE and before != _DUE:
            owed.due_ms = at

    def _of(self, callback: outreach.Callback) -> Agent:
        return self.agents.setdefault(callback.claimed_by, Agent())

    def figures(self) -> dict[str, float | int | None]:
        """What all agents did together; see `figures.FIGURES`."""
        theirs = [one for one in self._owed.values() if one.state != _WITHDRAWN or one.claims]
        taken = [one.first_taken_ms for one in theirs if one.first_taken_ms is not None]
        handled = [ms for agent in self.agents.values() for ms in agent.handled_ms]
        urgent = [one for one in theirs if one.life_safety]
        confirmed = [one.first_taken_ms for one in urgent if one.first_taken_ms is not None]
        return {
            "agents": len(self.agents),
            "callbacks": len(theirs),
            "callbacks_taken_share": len(taken) / len(theirs) if theirs else None,
            "taken_in_20s_share": share(taken, lambda ms: ms <= TAKEN_MS),
            "mean_taken_s": mean_s(taken),
            "handled_in_4min_share": share(handled, lambda ms: ms <= HANDLED_MS),
            "mean_handling_s": mean_s(handled),
            "escalations": len(urgent),
            "escalations_confirmed_share": len(confirmed) / len(urgent) if urgent else None,
            "mean_escalation_s": mean_s(confirmed),
        }


@dataclass(slots=True)
class Coordinators:
    """Folds bursts and campaigns of drills. `began_ms`: when this drill began, Unix ms. It is to be
    fed from `BURSTS_MS` before that on: a burst of an earlier drill is stated again until it ends.
    """

    began_ms: int
    _shown_ms: dict[tuple[int, str, int], int] = field(default_factory=dict)
    _campaigns: dict[str, campaigns.Campaign] = field(default_factory=dict)

    def burst(self, burst: wave.Burst, shown_ms: int) -> None:
        """A burst as it was stated at `shown_ms`, Unix ms of the clock."""
        if burst.drill:
            key = (burst.dimension, burst.subject, burst.start_ms)
            self._shown_ms[key] = min(shown_ms, self._shown_ms.get(key, shown_ms))

    def campaign(self, decision: campaigns.CampaignDecision) -> None:
        """A decision on a campaign."""
        campaign = decision.campaign
        if not decision.code and campaign.plan.drill and campaign.made.done_ms >= self.began_ms:
            self._campaigns[campaign.campaign_id] = campaign

    def figures(self) -> dict[str, float | int | None]:
        """See `figures.FIGURES`. Recalls are counted from the start of what is recalled."""
        ours = (at_ms for at_ms in self._shown_ms.values() if at_ms >= self.began_ms)
        shown_ms = min(ours, default=None)
        approved = [
            one.approved.done_ms
            for one in self._campaigns.values()
            if shown_ms is not None and one.approved.done_ms >= shown_ms
        ]
        recalled = [
            one.ended.done_ms - one.started.done_ms
            for one in self._campaigns.values()
            if one.state == _RECALLED and one.started.done_ms
        ]
        first_ms = min(approved, default=None)
        return {
            "first_burst_s": None if shown_ms is None else (shown_ms - self.began_ms) / 1000,
            "campaigns": len(self._campaigns),
            "burst_to_approved_s": None
            if first_ms is None or shown_ms is None
            else (first_ms - shown_ms) / 1000,
            "recall_s": max(recalled) / 1000 if recalled else None,
        }


def share(values: Iterable[int], right: Callable[[int], bool]) -> float | None:
    """The share of values that are right, 0 to 1; None of none."""
    found = [right(value) for value in values]
    return sum(found) / len(found) if found else None


def mean_s(values_ms: Iterable[int]) -> float | None:
    """The mean of milliseconds in seconds; None of none."""
    found = list(values_ms)
    return sum(found) / len(found) / 1000 if found else None
