"""A simulated floor of agents in virtual time: who answers, who waits, who hangs up, who redials.

The calls of a surge need someone to meet them, or answered %, waits and redials would be inventions
of the load test. One pooled floor of N agents, first come first served with life-safety first;
the agent idle longest answers. `erlang.py` says what it must come to, and the tests hold it there.
"""

import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Generic, Literal, NamedTuple, TypeVar

from loadtests.shapes import Profile, Shape
from services.runtime.erlang import agents_for

T = TypeVar("T")

Event = Literal["offered", "queued", "answered", "abandoned", "ended", "redialled"]
Disposition = Literal["resolved", "unresolved", "transferred"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How calls behave. Times in seconds, probabilities 0..1.

    Handling is lognormal by default, as measured at a bank (L. Brown et al., "Statistical Analysis
    of a Telephone Call Center", JASA 100, 2005), or exponential. `patience_s` None: nobody hangs
    up. `redial`: an abandoned call is dialled again after an exponential `redial_delay_s`.
    """

    aht_s: float = 240.0
    handling: Literal["lognormal", "exponential"] = "lognormal"
    handling_cv: float = 0.8
    patience_s: float | None = 120.0
    redial: float = 0.6
    redial_delay_s: float = 90.0
    resolved: float = 0.58
    transferred: float = 0.12

    def __post_init__(self) -> None:
        for what in ("aht_s", "handling_cv", "redial_delay_s"):
            if not getattr(self, what) > 0:
                raise ValueError(f"{what} must be more than 0")
        if self.patience_s is not None and not self.patience_s > 0:
            raise ValueError("patience_s must be more than 0, or None when nobody hangs up")
        if not 0 <= self.redial < 1:
            raise ValueError("redial must be at least 0 and below 1, or calls would never end")
        if self.resolved < 0 or self.transferred < 0 or self.resolved + self.transferred > 1:
            raise ValueError("resolved and transferred are shares, together at most 1")


class Moment(NamedTuple, Generic[T]):
    """Something that happened to a call at virtual second `at`.

    `agent` is 1..N on answered and ended. `queue_wait_s` is there on answered, abandoned and
    ended, `handling_s` and `disposition` on ended.
    """

    at: float
    event: Event
    call: T
    agent: int | None = None
    queue_wait_s: float | None = None
    handling_s: float | None = None
    disposition: Disposition | None = None


class _Ticket(Generic[T]):
    __slots__ = ("agent", "call", "handling_s", "offered_at", "wait_s", "waiting")

    def __init__(self, call: T, offered_at: float) -> None:
        self.call = call
        self.offered_at = offered_at
        self.waiting = False
        self.agent = 0
        self.wait_s = 0.0
        self.handling_s = 0.0


_ABANDON, _END, _REDIAL = 0, 1, 2


class Floor(Generic[T]):
    """N agents and a queue. Feed it calls in time order with `offer`, and `step` it in between
    while `next_at` comes before the next call. Deterministic for its random.Random."""

    def __init__(self, agents: int, rng: random.Random, terms: Terms) -> None:
        if agents < 1:
            raise ValueError(f"a floor needs at least 1 agent, not {agents}")
        self.agents = agents
        self.terms = terms
        self._rng = rng
        self._idle = deque(range(1, agents + 1))
        self._urgent: deque[_Ticket[T]] = deque()
        self._queue: deque[_Ticket[T]] = deque()
        self._heap: list[tuple[float, int, int, _Ticket[T]]] = []
        self._sequence = 0
        self._sigma = math.sqrt(math.log1p(terms.handling_cv**2))
        self._mu = math.log(terms.aht_s) - self._sigma**2 / 2

    @property
    def next_at(self) -> float:
        """Virtual second of the next thing to happen by itself; infinite when there is none."""
        heap = self._heap
        # An answered call's moment of impatience never comes.
        while heap and heap[0][2] == _ABANDON and not heap[0][3].waiting:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def offer(self, at: float, call: T, *, urgent: bool = False) -> list[Moment[T]]:
        """A call arrives at virtual second `at`, not before the last step: answered, or queued."""
        ticket = _Ticket(call, at)
        moments: list[Moment[T]] = [Moment(at, "offered", call)]
        if self._idle:
            moments.append(self._answer(at, ticket))
            return moments
        ticket.waiting = True
        (self._urgent if urgent else self._queue).append(ticket)
        if self.terms.patience_s is not None:
            self._later(at + self._rng.expovariate(1.0 / self.terms.patience_s), _ABANDON, ticket)
        moments.append(Moment(at, "queued", call))
        return moments

    def step(self) -> list[Moment[T]]:
        """What happens at `next_at`: an end (and the next call answered), an abandon, a redial.

        A "redialled" moment carries the abandoned call: the person dials again now, and the caller
        of this decides what that is, and offers it.
        """
        if self.next_at == math.inf:
            return []
        at, _, kind, ticket = heappop(self._heap)
        if kind == _REDIAL:
            return [Moment(at, "redialled", ticket.call)]
        if kind == _ABANDON:
            ticket.waiting = False
            if self._rng.random() < self.terms.redial:
                self._later(
                    at + self._rng.expovariate(1.0 / self.terms.redial_delay_s), _REDIAL, ticket
                )
            wait_s = at - ticket.offered_at
            return [Moment(at, "abandoned", ticket.call, queue_wait_s=wait_s)]
        moments: list[Moment[T]] = [
            Moment(
                at,
                "ended",
                ticket.call,
                ticket.agent,
                ticket.wait_s,
                ticket.handling_s,
                self._disposition(),
            )
        ]
        self._idle.append(ticket.agent)
        for line in (self._urgent, self._queue):
            while line:
                waiting = line.popleft()
                if waiting.waiting:
                    moments.append(self._answer(at, waiting))
                    return moments
        return moments

    def _answer(self, at: float, ticket: _Ticket[T]) -> Moment[T]:
        ticket.waiting = False
        ticket.agent = self._idle.popleft()
        ticket.wait_s = at - ticket.offered_at
        if self.terms.handling == "exponential":
            ticket.handling_s = self._rng.expovariate(1.0 / self.terms.aht_s)
        else:
            ticket.handling_s = self._rng.lognormvariate(self._mu, self._sigma)
        self._later(at + ticket.handling_s, _END, ticket)
        return Moment(at, "answered", ticket.call, ticket.agent, ticket.wait_s)

    def _disposition(self) -> Disposition:
        draw = self._rng.random()
        if draw < self.terms.resolved:
            return "resolved"
        known = self.terms.resolved + self.terms.transferred
        return "transferred" if draw < known else "unresolved"

    def _later(self, at: float, kind: int, ticket: _Ticket[T]) -> None:
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, kind, ticket))


@dataclass(slots=True)
class Tally:
    """Counts of a floor's moments; waits in seconds. `fresh` excludes redials."""

    fresh: int = 0
    offered: int = 0
    queued: int = 0
    answered: int = 0
    abandoned: int = 0
    ended: int = 0
    within_20s: int = 0
    wait_s: float = 0.0
    handling_s: float = 0.0

    @property
    def answered_share(self) -> float:
        """Answered of offered calls, 0..1; each redial counts as a call, as on a scorecard."""
        return self.answered / self.offered if self.offered else 0.0

    @property
    def mean_wait_s(self) -> float:
        """Mean wait of all offered calls, whether they were answered or hung up."""
        return self.wait_s / self.offered if self.offered else 0.0

    def add(self, moment: Moment[T]) -> None:
        """Count one moment."""
        if moment.event == "offered":
            self.offered += 1
        elif moment.event == "queued":
            self.queued += 1
        elif moment.event == "answered":
            self.answered += 1
            self.wait_s += moment.queue_wait_s or 0.0
            self.within_20s += (moment.queue_wait_s or 0.0) <= 20.0
        elif moment.event == "abandoned":
            self.abandoned += 1
            self.wait_s += moment.queue_wait_s or 0.0
        elif moment.event == "ended":
            self.ended += 1
            self.handling_s += moment.handling_s or 0.0


def simulate(
    arrivals: Iterable[float],
    agents: int,
    rng: random.Random,
    terms: Terms,
    *,
    warm_up_s: float = 0.0,
) -> Tally:
    """Run these arrival times (rising, seconds) through a floor until the last call has ended.

    A call counts when it was offered at `warm_up_s` or later, so that a steady state can be
    compared with theory.
    """
    floor: Floor[float] = Floor(agents, rng, terms)
    tally = Tally()

    def count(moments: list[Moment[float]]) -> None:
        for m in moments:
            if m.call >= warm_up_s:
                tally.add(m)

    def run_until(limit: float) -> None:
        while floor.next_at <= limit and floor.next_at < math.inf:
            for m in floor.step():
                if m.event == "redialled":
                    count(floor.offer(m.at, m.at))
                else:
                    count([m])

    for at in arrivals:
        run_until(at)
        tally.fresh += at >= warm_up_s
        count(floor.offer(at, at))
    run_until(math.inf)
    return tally


def fluid_answered(
    profile: Profile, calls: float, duration_s: float, agents: int, terms: Terms
) -> float:
    """Share of dialled calls answered by `agents`, in the fluid limit of a many-agent floor.

    A pool served by min(agents, in it) and leaking by impatience, and an orbit of those who will
    dial again (A. Mandelbaum, W. Massey, M. Reiman, B. Rider, "Time Varying Multiserver Queues
    with Abandonment and Retrials", ITC-16, 1999), integrated by implicit Euler in at most 6,000
    steps. It knows no chance, so it is right in overload and too kind near balance.
    """
    if terms.patience_s is None:
        return 1.0
    h = max(duration_s / 5_000, min(15.0, duration_s / 200))
    steps = math.ceil(duration_s / h)
    total = sum(profile.weights)
    fresh = [0.0] * (steps + 1)
    for weight, (start, end) in zip(profile.weights, pairwise(profile.edges), strict=True):
        rate = calls * weight / total / (end - start) / duration_s
        at, last = start * duration_s, end * duration_s
        while at < last:
            step = min(int(at / h + 1e-9), steps)
            until = min(last, (step + 1) * h)
            fresh[step] += rate * (until - at)
            at = max(until, math.nextafter(at, math.inf))
    ending, leaving = h / terms.aht_s, h / terms.patience_s
    back = h / terms.redial_delay_s / (1 + h / terms.redial_delay_s)
    inside = orbit = answered = abandoned = 0.0
    for arriving in (*fresh, *(0.0 for _ in range(min(900, math.ceil(10 * terms.aht_s / h))))):
        lost = agents * leaving
        level = (
            inside + arriving + back * orbit - back * terms.redial * lost - agents * ending + lost
        ) / (1 + leaving * (1 - back * terms.redial))
        if level > agents:
            lost = leaving * (level - agents)
            served = agents * ending
        else:
            level = (inside + arriving + back * orbit) / (1 + ending)
            lost, served = 0.0, ending * level
        orbit = (orbit + terms.redial * lost) * (1 - back)
        inside = level
        answered += served
        abandoned += lost
    return answered / (answered + abandoned)


def default_agents(shape: Shape, voice_share: float, terms: Terms) -> int:
    """Agents for a shape whose floor nobody has chosen.

    A shape with a service level is staffed for its busiest bin by Erlang C. A crisis is not staffed
    at all, it is met by who is there: the fewest agents that answer the shape's share of dialled
    calls (75 % for covid-78k), redials counted, by the fluid model.
    """
    calls = shape.calls * voice_share
    peak_load = calls / shape.duration_s * shape.profile.peak_rate() * terms.aht_s
    if shape.service_level is not None:
        return agents_for(peak_load, terms.aht_s, shape.service_level, shape.within_s)
    target = shape.answered or 0.75
    # Redials at most multiply the load by 1 / (1 - redial).
    candidates = range(1, max(2, math.ceil(peak_load / (1 - terms.redial)) + 2))
    return candidates[
        bisect_left(
            candidates,
            target,
            hi=len(candidates) - 1,
            key=lambda n: fluid_answered(shape.profile, calls, shape.duration_s, n, terms),
        )
    ]
