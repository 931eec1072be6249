"""Who contacts the centre, about what and how: a seeded crowd with its truth.

People come with one need or two, come back while a need is open, change channel, and stop when it
is resolved. Some withhold their number, some share a switchboard's or their family's, families
share a need, some speak with their hands. Every number is of country code +999, which ITU has not
assigned: +9995 mobiles, +9994 landlines.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import cast

from loadtests.shapes import Shape, ShapeError
from loadtests.steps import Channel, Kind, Reason
from loadtests.texts import Phrasebook, Topic

_SPAN = 10**8
# Any factor without 2 and 5 visits all numbers before it repeats one.
_STRIDE = 38_416_613
_SWITCHBOARDS = 1_000
# Weight of each of the two life-safety topics beside twelve others of 1: about 0.5 % of needs.
_LIFE_SAFETY = 0.03


@dataclass(frozen=True, slots=True)
class Habits:
    """How people are, as shares 0..1 of people unless said otherwise.

    `head_of_family`: starts a family of two to four who share a need; `family_phone`: such a
    family that shares one number. `voice`: of first contacts; `writes_after_call`,
    `calls_after_message`, `change_channel`: how repeats go on, the last one among messages;
    `writes_while_waiting`: of queued callers. `helped_by_message`: of messages, those whose need
    is met before the person would come back. `voice_text`: of calls that carry text (speech to
    the voice menu). `calls_per_switchboard`: contacts for each switchboard. `return_s`: mean
    seconds before somebody comes back, at most `return_part` of the duration; after `gives_up`
    times that nobody does.
    """

    voice: float = 0.7
    writes_after_call: float = 0.2
    calls_after_message: float = 0.65
    writes_while_waiting: float = 0.1
    helped_by_message: float = 0.2
    withheld: float = 0.03
    switchboard: float = 0.03
    calls_per_switchboard: int = 4_000
    landline: float = 0.08
    head_of_family: float = 0.06
    family_phone: float = 0.3
    signs: float = 0.012
    organisation: float = 0.02
    gulf: float = 0.6
    change_channel: float = 0.4
    voice_text: float = 0.5
    return_s: float = 2_700.0
    return_part: float = 0.06
    gives_up: float = 6.0


@dataclass(slots=True)
class Need:
    """Something a person (or a family) needs: true identity, topic, and its facts in words."""

    id: str
    topic: Topic
    kind: Kind
    facts: dict[str, str]
    place: str | None
    contacts: int = 0
    resolved: bool = False


@dataclass(slots=True)
class Person:
    """Somebody, with what is true of them.

    `number` is their own, or their family's (`family_phone`); `calls_from` shows on a call: that
    one, a switchboard's, or None when withheld.
    """

    id: str
    language: str
    style: str
    number: str
    calls_from: str | None
    switchboard: bool
    family_phone: bool
    landline: bool
    signs: bool
    organisation: bool
    family: str | None
    handle: str
    needs: list[Need]
    on_line: int = 0
    contacts: int = 0
    channel: Channel | None = None


def number(seed: int, index: int, *, landline: bool = False) -> str:
    """The synthetic E.164 number of an index; different for every index below 10^8 of a seed."""
    if not 0 <= index < _SPAN:
        raise ValueError(f"there are only {_SPAN} synthetic numbers of a kind")
    return f"+999{4 if landline else 5}{(index * _STRIDE + seed * 7_919) % _SPAN:08d}"


def switchboards(seed: int, calls: int, habits: Habits | None = None) -> tuple[str, ...]:
    """The switchboards' numbers of a surge: shared numbers that a centre knows beforehand."""
    per = (habits or Habits()).calls_per_switchboard
    count = min(_SWITCHBOARDS, max(1, calls // per))
    return tuple(number(seed, i, landline=True) for i in range(count))


_OTHER: dict[Channel, float] = {
    "whatsapp": 0.40,
    "sms": 0.27,
    "web": 0.13,
    "social": 0.10,
    "email": 0.10,
}
_SIGNING: dict[Channel, float] = {"sign_language_video": 0.6, "whatsapp": 0.25, "sms": 0.15}
_LANDLINE: dict[Channel, float] = {"web": 0.6, "email": 0.4}


class Crowd:
    """Everybody who might contact the centre in one surge. Ask for `contact` in time order."""

    def __init__(
        self, seed: int, shape: Shape, book: Phrasebook, rng: random.Random, habits: Habits
    ) -> None:
        weights = dict(shape.topics) or {
            t.id: _LIFE_SAFETY if t.life_safety else 1.0 for t in book.topics.values()
        }
        unknown = sorted(set(weights) - set(book.topics))
        if unknown:
            known = ", ".join(sorted(book.topics))
            raise ShapeError(f"{shape.name}: no topic {', '.join(unknown)}; there are {known}")
        if any(w < 0 for w in weights.values()) or sum(weights.values()) <= 0:
            raise ShapeError(f"{shape.name}: topics need weights of 0 or more, not all 0")
        weights = {t: w for t, w in weights.items() if w > 0}
        self._seed = seed
        self._book = book
        self._rng = rng
        self._habits = habits
        self._topics = [book.topics[t] for t in weights]
        self._topic_ends = list(accumulate(weights.values()))
        agencies = {t.agency for t in self._topics}
        self._second_need = shape.second_need if len(agencies) > 1 else 0.0
        self._contacts_per_person = shape.contacts_per_person
        self._contacts = self._came = 0
        self._return_s = min(habits.return_s, habits.return_part * shape.duration_s)
        self._switchboards = switchboards(seed, shape.calls, habits)
        self._due: list[tuple[float, int, Person, Need | None]] = []
        self._relatives: list[tuple[float, int, Person]] = []
        self._sequence = 0
        self.resolved = 0
        self._people = self._needs = self._families = self._landlines = 0

    def contact(self, at: float) -> tuple[Person, Need, Channel, Reason]:
        """Who makes the fresh contact at virtual second `at`, about what, how and why.

        Somebody whose need is open and whose time to return has come, as often as keeps the
        shape's contacts per person; else somebody new. After a message they may return by
        themselves; tell the crowd when a caller is `waiting` or has `hung_up`.
        """
        too_few = self._came * self._contacts_per_person > self._contacts
        person = self._returner(at) if self._rng.random() < (0.9 if too_few else 0.5) else None
        self._contacts += 1
        if person is None:
            person = self._newcomer(at)
            self._came += 1
        need = self._need_of(person)
        channel = self._channel(person)
        reason: Reason = "new"
        if person.contacts:
            if not need.contacts:
                reason = "need"
            else:
                reason = "follow_up" if channel == person.channel else "channel"
        person.channel = channel
        person.contacts += 1
        need.contacts += 1
        if channel != "voice":
            self._comes_back(at, person, need)
        return person, need, channel, reason

    def waiting(self, at: float, person: Person) -> None:
        """The person waits in a queue since `at`, and may write meanwhile."""
        if self._rng.random() < self._habits.writes_while_waiting:
            self._comes_back(at, person, None)

    def hung_up(self, at: float, person: Person) -> None:
        """The person's call is over at `at`; while a need is open they will be back."""
        self._comes_back(at, person, None)

    def resolve(self, need: Need) -> None:
        """The need is met; nobody will ask again."""
        self.resolved += not need.resolved
        need.resolved = True

    def _comes_back(self, at: float, person: Person, written: Need | None) -> None:
        self._sequence += 1
        back = at + self._rng.expovariate(1.0 / self._return_s)
        heappush(self._due, (back, self._sequence, person, written))

    def text(self, person: Person, need: Need, channel: Channel) -> str | None:
        """What the person says in this contact, or None where nothing was put into words."""
        spoken = channel in ("voice", "sign_language_video")
        if spoken and self._rng.random() >= self._habits.voice_text:
            return None
        style = "formal" if channel == "email" and person.language == "ar" else person.style
        return self._book.say(
            person.language,
            style,
            need.topic.id,
            need.facts,
            self._rng,
            repeat=need.contacts > 1,
            long=channel == "email",
        )

    def _returner(self, at: float) -> Person | None:
        too_late = at - self._habits.gives_up * self._return_s
        while self._due and self._due[0][0] <= at:
            due_at, _, person, written = heappop(self._due)
            if written is not None and self._rng.random() < self._habits.helped_by_message:
                self.resolve(written)
            if due_at >= too_late and not all(n.resolved for n in person.needs):
                return person
        return None

    def _newcomer(self, at: float) -> Person:
        while self._relatives and self._relatives[0][0] <= at:
            _, _, relative = heappop(self._relatives)
            if not all(n.resolved for n in relative.needs):
                return relative
        draw = self._rng.random
        person = self._somebody(self._book.language(draw()))
        if not person.switchboard and draw() < self._habits.head_of_family:
            self._families += 1
            person.family = f"f{self._families}"
            one_phone = person.family_phone = draw() < self._habits.family_phone
            for _ in range(1 + int(draw() * 3)):
                relative = self._somebody(person.language, relative_of=person, one_phone=one_phone)
                self._sequence += 1
                comes = at + self._rng.expovariate(4.0 / self._return_s)
                heappush(self._relatives, (comes, self._sequence, relative))
        return person

    def _somebody(
        self, language: str, *, relative_of: Person | None = None, one_phone: bool = False
    ) -> Person:
        draw = self._rng.random
        habits = self._habits
        index = self._people
        self._people += 1
        signs = draw() < habits.signs
        landline = not signs and draw() < habits.landline and relative_of is None
        if landline:
            own = number(self._seed, _SWITCHBOARDS + self._landlines, landline=True)
            self._landlines += 1
        elif relative_of is not None and one_phone:
            own = relative_of.number
            landline = relative_of.landline
        else:
            own = number(self._seed, index)
        calls_from: str | None = own
        switchboard = False
        if relative_of is None and not landline:
            how = draw()
            if how < habits.switchboard:
                calls_from = self._switchboards[int(draw() * len(self._switchboards))]
                switchboard = True
            elif how < habits.switchboard + habits.withheld:
                calls_from = None
        style = "plain"
        if language == "ar":
            style = "gulf" if draw() < habits.gulf else "formal"
        if relative_of is not None:
            needs = [relative_of.needs[0]]
        else:
            needs = [self._new_need(language, None)]
        if draw() < self._second_need:
            needs.append(self._new_need(language, needs[0].topic.agency))
        return Person(
            id=f"p{index + 1}",
            language=language,
            style=style,
            number=own,
            calls_from=calls_from,
            switchboard=switchboard,
            family_phone=one_phone,
            landline=landline,
            signs=signs,
            organisation=draw() < habits.organisation,
            family=relative_of.family if relative_of is not None else None,
            handle=f"p{index + 1}.s{self._seed}",
            needs=needs,
        )

    def _new_need(self, language: str, not_of: str | None) -> Need:
        draw = self._rng.random
        while True:
            at = bisect_right(self._topic_ends, draw() * self._topic_ends[-1])
            topic = self._topics[min(at, len(self._topics) - 1)]
            if topic.agency != not_of:
                break
        facts = self._book.facts(language, self._rng)
        kind = topic.kinds[min(bisect_right(topic.kind_ends, draw()), len(topic.kinds) - 1)]
        self._needs += 1
        return Need(
            id=f"n{self._needs}",
            topic=topic,
            kind=cast(Kind, kind),
            facts=facts,
            place=self._book.place(language, facts) if topic.placed else None,
        )

    def _need_of(self, person: Person) -> Need:
        wanted = [n for n in person.needs if not n.resolved]
        if len(wanted) > 1 and person.contacts:
            return wanted[int(self._rng.random() * len(wanted))]
        return wanted[0]

    def _channel(self, person: Person) -> Channel:
        draw = self._rng.random
        habits, before = self._habits, person.channel
        others = _LANDLINE if person.landline else _OTHER
        if person.signs:
            others = _SIGNING
        elif person.on_line:
            pass
        elif before is None:
            if draw() < habits.voice:
                return "voice"
        elif before == "voice":
            if draw() >= habits.writes_after_call:
                return "voice"
        elif draw() < habits.calls_after_message:
            return "voice"
        if before is not None and before != "voice" and draw() >= habits.change_channel:
            return before
        return _pick(others, draw())


def _pick(weights: dict[Channel, float], at: float) -> Channel:
    for channel, share in weights.items():
        at -= share
        if at < 0:
            return channel
    return next(reversed(weights))
