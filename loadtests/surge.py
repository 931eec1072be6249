"""The script of a surge: every contact and call event in virtual-time order, from a seed alone.

Arrivals come from the shape, people from the crowd, and the floor decides who is answered; what it
decides feeds back, since people redial when they gave up and stay away once they were helped. So
all three run as one simulation, step by step, and only open needs and open calls are held.
"""

import math
import random
from collections.abc import Iterator

from loadtests import shapes
from loadtests.floor import Floor, Moment, Terms, default_agents
from loadtests.people import Crowd, Habits, Need, Person
from loadtests.steps import Call, Channel, Reason, Step, Submit, Truth
from loadtests.texts import phrasebook


class _Dialled:
    """A voice contact on the floor: the step that made it, and who and what is behind it."""

    __slots__ = ("need", "person", "submit")

    def __init__(self, submit: Submit, person: Person, need: Need) -> None:
        self.submit = submit
        self.person = person
        self.need = need


class Script:
    """A surge to be performed: iterate it for its steps, in order of `at`.

    Each iteration starts anew and gives the same steps; `truth` counts the latest one and is
    complete when it has ended. Steps go on after `shape.duration_s` until the last call has ended.
    """

    def __init__(
        self, shape: shapes.Shape, seed: int, agents: int, terms: Terms, habits: Habits, prefix: str
    ) -> None:
        self.shape = shape
        self.seed = seed
        self.agents = agents
        self.terms = terms
        self.habits = habits
        self.prefix = prefix
        self.truth = Truth()

    def __iter__(self) -> Iterator[Step]:
        self.truth = Truth()
        return self._steps(self.truth)

    def _steps(self, truth: Truth) -> Iterator[Step]:
        tally = truth.floor
        # Separate streams: the arrivals stay the same whatever the floor is.
        crowd = Crowd(self.seed, self.shape, phrasebook(), self._random("people"), self.habits)
        floor: Floor[_Dialled] = Floor(self.agents, self._random("floor"), self.terms)
        arrivals = self.shape.profile.arrivals(
            self.shape.calls, self.shape.duration_s, self._random("arrivals")
        )

        def contact(
            at: float, person: Person, need: Need, channel: Channel, reason: Reason, attempt: int
        ) -> Submit:
            truth.dialled += 1
            if reason == "redial":
                truth.redials += 1
            else:
                truth.calls += 1
                truth.people += person.contacts == 1
                truth.resolved_needs = crowd.resolved
                truth.needs += need.contacts == 1
            submit = _submit(
                f"{self.prefix}/{truth.dialled}",
                at,
                person,
                need,
                channel,
                reason,
                attempt,
                crowd.text(person, need, channel),
            )
            truth.voice += channel == "voice"
            truth.withheld += submit.number is None and submit.handle is None
            truth.life_safety += submit.life_safety
            return submit

        def dial(submit: Submit, person: Person, need: Need) -> Iterator[Step]:
            person.on_line += 1
            tally.fresh += submit.reason != "redial"
            dialled = _Dialled(submit, person, need)
            for moment in floor.offer(submit.at, dialled, urgent=submit.life_safety):
                tally.add(moment)
                if moment.event == "queued":
                    crowd.waiting(moment.at, person)
                yield _call(moment)

        arrival = next(arrivals, math.inf)
        while True:
            if arrival <= floor.next_at:
                if arrival == math.inf:
                    return
                person, need, channel, reason = crowd.contact(arrival)
                submit = contact(arrival, person, need, channel, reason, 1)
                yield submit
                if channel == "voice":
                    yield from dial(submit, person, need)
                arrival = next(arrivals, math.inf)
                continue
            for moment in floor.step():
                dialled = moment.call
                person, need = dialled.person, dialled.need
                if moment.event == "redialled":
                    # Helped meanwhile, or already dialling again: no second call.
                    if need.resolved or person.on_line:
                        continue
                    need.contacts += 1
                    attempt = dialled.submit.attempt + 1
                    submit = contact(moment.at, person, need, "voice", "redial", attempt)
                    yield submit
                    yield from dial(submit, person, need)
                    continue
                tally.add(moment)
                if moment.event in ("abandoned", "ended"):
                    person.on_line -= 1
                    if moment.disposition == "resolved":
                        crowd.resolve(need)
                        truth.resolved_needs = crowd.resolved
                    crowd.hung_up(moment.at, person)
                yield _call(moment)

    def _random(self, stream: str) -> random.Random:
        return random.Random(f"{self.shape.name}/{self.seed}/{stream}")


def script(
    shape: shapes.Shape | str,
    *,
    calls: int | None = None,
    seed: int = 1,
    agents: int | None = None,
    duration_s: float | None = None,
    terms: Terms | None = None,
    habits: Habits | None = None,
    prefix: str | None = None,
) -> Script:
    """The script of a shape (or the name of one), deterministic for its arguments.

    `calls`: fresh contacts, calls and messages, exactly; `duration_s`: virtual seconds; both by
    default the shape's own. `agents`: by default what `floor.default_agents` says. `terms`: by
    default those of the shape. Keys are `<prefix>/<n>`, by default `<shape>/<seed>/<n>`; the n-th
    contact differs between other agents, calls or durations, so give each its own prefix where
    they meet the same system. Raises `ShapeError` or `ValueError` saying what can't be used.
    """
    chosen = shapes.load(shape) if isinstance(shape, str) else shape
    chosen = chosen.scaled(calls, duration_s)
    habits = habits or Habits()
    terms = terms or Terms(resolved=chosen.resolved, transferred=chosen.transferred)
    if agents is None:
        agents = default_agents(chosen, habits.voice, terms)
    if agents < 1:
        raise ValueError(f"a floor needs at least 1 agent, not {agents}")
    return Script(chosen, seed, agents, terms, habits, prefix or f"{chosen.name}/{seed}")


def _submit(
    key: str,
    at: float,
    person: Person,
    need: Need,
    channel: Channel,
    reason: Reason,
    attempt: int,
    text: str | None,
) -> Submit:
    number: str | None = person.number
    handle: str | None = None
    shared = person.family_phone
    if channel == "voice":
        number = person.calls_from
        shared = person.switchboard or (person.family_phone and number is not None)
    elif channel == "email":
        number, handle, shared = None, f"{person.handle}@drill.invalid", False
    elif channel == "social":
        number, handle, shared = None, f"@{person.handle}", False
    topic = need.topic
    return Submit(
        at=at,
        key=key,
        person=person.id,
        need=need.id,
        topic=topic.id,
        family=person.family,
        reason=reason,
        attempt=attempt,
        channel=channel,
        kind=need.kind,
        number=number,
        handle=handle,
        shared_number=shared,
        organisation=person.organisation,
        line=topic.line,
        agency=topic.agency,
        # A voice menu or a form asks for the language; a message just comes.
        language=person.language if channel in ("voice", "web", "sign_language_video") else None,
        speaks=person.language,
        text=text,
        place=need.place,
        life_safety=topic.life_safety,
    )


def _call(moment: Moment[_Dialled]) -> Call:
    submit = moment.call.submit
    if moment.event == "redialled":
        raise ValueError("a redial is a new contact, not an event of the abandoned call")
    return Call(
        moment.at,
        submit.key,
        moment.event,
        submit.number,
        submit.line,
        submit.agency,
        submit.language,
        moment.agent,
        moment.queue_wait_s,
        moment.handling_s,
        moment.disposition,
    )
