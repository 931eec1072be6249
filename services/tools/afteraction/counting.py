"""Counts of a surge that are made message by message and contact by contact. Pure."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast.campaigns.holding import HELD_BACK
from services.broadcast.messages import CLAIMED, DELIVERED, SUPPRESSED
from services.tools.afteraction.facts import Origin
from services.tools.afteraction.messages import BY_HAND, Message, person_key
from services.tools.effects.measuring import Effect, Part
from services.tools.scorecards.calls import NONE, Calls

_PLAYED_LAG_MS = 10 * 60_000
_FROM_CONTACT = frozenset({"acknowledge", "answer", "clarify"})
_OFFER = "callback-offer"
_DAY_MS = 86_400_000
_ANSWER = "answer"


class Played:
    """How fast time passed: when people reached out beside when intake took it."""

    def __init__(self) -> None:
        self._lags = Counter[int]()
        self._event: tuple[int, int] = (0, 0)
        self._taken: tuple[int, int] = (0, 0)

    def take(self, event_ms: int, accepted_ms: int) -> None:
        """A contact that opened a case."""
        self._lags[(accepted_ms - event_ms) // 60_000] += 1
        self._event = _wider(self._event, event_ms)
        self._taken = _wider(self._taken, accepted_ms)

    @property
    def pace(self) -> float:
        """1 where at least half of all came within ten minutes of their own time; else how much
        longer the surge was than the time in which it was taken, and at least 1.01."""
        late = sum(count for lag, count in self._lags.items() if lag * 60_000 >= _PLAYED_LAG_MS)
        if late * 2 <= sum(self._lags.values()):
            return 1.0
        took = max(1, self._taken[1] - self._taken[0])
        return max(1.01, (self._event[1] - self._event[0]) / took)


def _wider(span: tuple[int, int], at_ms: int) -> tuple[int, int]:
    return (min(span[0] or at_ms, at_ms), max(span[1], at_ms))


class Told:
    """When each case first got an answer, and was first told that somebody calls back: Unix ms."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.answered: dict[int, int] = {}
        self.offered: dict[int, int] = {}

    def take(self, one: Message) -> None:
        """Takes up a message as it ended."""
        times = {_ANSWER: self.answered, _OFFER: self.offered}.get(one.step)
        if times is None or one.bucket != "delivered":
            return
        case = self._calls.case_of(one.case)
        if case != NONE:
            times[case] = min(times.get(case, one.ended_ms), one.ended_ms)


class Origins:
    """Messages by the step that asked for them, counted one by one."""

    def __init__(self) -> None:
        self.first_asked_ms = 0
        self.delivered_ms = array("q")
        self.people: set[int] = set()
        self._buckets: dict[str, dict[str, Counter[str]]] = {}
        self._reasons: dict[str, Counter[str]] = {}
        self._took: dict[str, array[int]] = {}

    def take(self, one: Message) -> None:
        """Takes up a message as it ended."""
        self.first_asked_ms = min(self.first_asked_ms or one.asked_ms, one.asked_ms)
        languages = self._buckets.setdefault(one.step, {})
        languages.setdefault(one.language, Counter())[one.bucket] += 1
        if one.bucket in ("failed", "expired", "suppressed", "unknown"):
            self._reasons.setdefault(one.step, Counter())[one.reason] += 1
        if one.bucket != "delivered":
            return
        self.delivered_ms.append(one.ended_ms)
        self.people.add(one.person)
        began = one.accepted_ms if one.step in _FROM_CONTACT else one.asked_ms
        if began:
            took = self._took.setdefault(one.step, array("q"))
            took.append(max(0, one.ended_ms - began))

    def all(self) -> list[Origin]:
        """The most frequent first, what people sent last."""
        found = [
            Origin(
                step,
                by_language,
                dict(self._reasons.get(step, Counter()).most_common()),
                array("q", sorted(self._took.get(step, ()))),
                step in _FROM_CONTACT,
            )
            for step, by_language in self._buckets.items()
        ]
        return sorted(
            found, key=lambda one: (one.step == BY_HAND, -sum(one.buckets.values()), one.step)
        )


class CampaignPeople:
    """Who of each campaign was sent to, was reached, or was held back by lot, by `person_key`: a
    campaign to a million takes 16 MB."""

    def __init__(self) -> None:
        self._sent: dict[str, array[int]] = {}
        self._held: dict[str, array[int]] = {}
        self._reached: dict[str, array[int]] = {}

    def take(self, change: MessageChange) -> None:
        """A change of a message of a campaign."""
        name = change.campaign_id
        if change.correction or not change.person:
            return
        to: dict[str, array[int]]
        if change.state == CLAIMED:
            to = self._sent
        elif change.state == DELIVERED:
            to = self._reached
        elif change.state == SUPPRESSED and change.reason == HELD_BACK:
            to = self._held
        else:
            return
        to.setdefault(name, array("Q")).append(person_key(change.person))

    def reached(self, name: str) -> Sequence[int]:
        """Who was reached by a campaign."""
        return self._reached.get(name, ())

    def effects(self, started: Mapping[str, int], calls: Calls) -> dict[str, Effect]:
        """What each campaign did that held somebody back: callers of the day after it `started`
        (Unix ms, by id)."""
        names = [name for name in self._held if started.get(name)]
        if not names:
            return {}
        keys = dict.fromkeys(range(len(calls.people)), 0)
        for person, number in calls.people.items():
            keys[number] = person_key(person)
        found = {}
        for name in names:
            called = Counter[int]()
            begins_ms = started[name]
            for contact in calls.contacts(begins_ms, begins_ms + _DAY_MS):
                caller = calls.person(contact.case)
                if contact.call and caller != NONE:
                    called[keys[caller]] += 1
            sent, held = self._sent.get(name, array("Q")), self._held[name]
            reached = len(set(self.reached(name)))
            found[name] = Effect(_part(sent, called), _part(held, called), reached)
        return found


def _part(people: "array[int]", called: Counter[int]) -> Part:
    own = set(people)
    calls = [called[person] for person in own if person in called]
    return Part(len(own), len(calls), sum(calls))
