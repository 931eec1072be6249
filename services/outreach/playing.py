"""Plays what happens to people through playbooks: what would be done, and when; nothing is. Pure.

What decides is what decides in the service: messages, callbacks and watches, with a clock of its
own that goes from one thing to the next.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import telling, working
from services.outreach.callbacks import Callbacks
from services.outreach.calling import Calling
from services.outreach.decide import Draft, Messages
from services.outreach.rules import CHANNELS, OF_MANY, Event, Facts, Rule
from services.outreach.scenes import Expected, Happening, Scene
from services.outreach.watching import Watches
from services.runtime import ids
from services.runtime.knowledge import Knowledge

_CASES = "dedup.case.v1"
_LINES = {
    "mobile": common_pb2.LINE_MOBILE,
    "landline": common_pb2.LINE_FIXED,
    "withheld": common_pb2.LINE_UNSPECIFIED,
}
_VOICE = (CHANNELS["voice"], CHANNELS["sign-language-video"])


@dataclass(frozen=True, slots=True)
class Done:
    """What a playbook would do `at_ms`, Unix ms. `language`: of a message. `to`: who is told of
    what is handed over."""

    at_ms: int
    playbook: str
    what: str
    case: str
    language: str = ""
    to: str = ""


class Player:
    """`rules` of playbooks, with `calling` and `knowledge` as the service has them."""

    def __init__(self, rules: Sequence[Rule], calling: Calling, knowledge: Knowledge) -> None:
        self._rules = rules
        self._calling = calling
        self._knowledge = knowledge
        self._messages = Messages(knowledge, rules)
        self._callbacks = Callbacks()
        self._watches = Watches(rules)
        self._cases: dict[str, dedup.Case] = {}
        self._names: dict[str, str] = {}
        self._offset = 0
        self._waking: list[tuple[int, str, str]] = []

    def passes(self, now_ms: int) -> Iterator[Done]:
        """What time asks for until `now_ms`."""
        while self._waking and self._waking[0][0] <= now_ms:
            at_ms, kind, name = heapq.heappop(self._waking)
            if kind == "callback":
                callback = self._callbacks.passed(name, self._calling, at_ms)
                if callback is not None:
                    yield from self._called(callback, at_ms)
            else:
                watch = self._watches.passed(name, self._messages.withheld, at_ms)
                if watch is not None:
                    yield from self._watched(watch, at_ms)

    def happens(self, one: Happening, at_ms: int) -> Iterator[Done]:
        """What is done because of something that happens at `at_ms`, Unix ms."""
        yield from self.passes(at_ms)
        if one.what in list(OF_MANY):
            yield from self._many(one, at_ms)
            return
        if one.what == "confirmed":
            watch = self._watches.get(ids.case_id(one.case))
            if watch is not None and watch.hand_over.state == outreach.HAND_OVER_STATE_OPEN:
                confirmed = outreach.Watch()
                confirmed.CopyFrom(watch)
                confirmed.hand_over.state = outreach.HAND_OVER_STATE_CONFIRMED
                self._watches.take(confirmed)
            return
        decision = self._decision(one, at_ms)
        at = common_pb2.Input(topic=_CASES, offset=self._offset)
        self._offset += 1
        for callback in self._callbacks.decide(self._rules, decision, at, at_ms):
            yield from self._called(callback, at_ms)
        drafts = self._messages.decide(self._rules, decision, at, at_ms)
        answered = self._messages.answers(self._rules, decision, at_ms)
        yield from self._said(drafts, at_ms)
        watch = self._watches.decide(decision, at, at_ms, answered=answered)
        if watch is not None:
            yield from self._watched(watch, at_ms)

    def _many(self, one: Happening, at_ms: int) -> Iterator[Done]:
        facts = Facts(agency=one.agency, line=one.line, people=one.people)
        for rule in self._rules:
            if not rule.asked(Event(one.what), facts):
                continue
            for what, does in (("announcement", rule.announcement), ("proposal", rule.proposal)):
                if does is not None:
                    yield Done(at_ms, rule.name, what, one.case)

    def _said(self, drafts: Iterable[Draft], at_ms: int) -> Iterator[Done]:
        for draft in drafts:
            request = draft.request
            if self._messages.said(request.message_id):
                continue
            self._messages.take(request)
            name = request.rule.partition("@")[0]
            case = self._names[request.case_id]
            yield Done(at_ms, name, "message", case, request.language)

    def _called(self, callback: outreach.Callback, at_ms: int) -> Iterator[Done]:
        self._callbacks.take(callback)
        if wakes := working.wakes_ms(callback, self._calling):
            heapq.heappush(self._waking, (wakes, "callback", callback.callback_id))
        if callback.version == 1:
            case = self._names[callback.case_id]
            rules = [rule.name for rule in self._rules if rule.callback]
            yield Done(at_ms, rules[0] if rules else "", "callback", case)
        yield from self._said(telling.owed(callback, self._rules, self._calling, at_ms), at_ms)

    def _watched(self, watch: outreach.Watch, at_ms: int) -> Iterator[Done]:
        before = self._watches.get(watch.case_id)
        told = before.hand_over.told if before is not None else 0
        self._watches.take(watch)
        if wakes := self._watches.wakes_ms(watch):
            heapq.heappush(self._waking, (wakes, "watch", watch.case_id))
        if watch.hand_over.told > told:
            name = watch.hand_over.playbook.partition("@")[0]
            case = self._names[watch.case_id]
            yield Done(at_ms, name, "hand-over", case, to=watch.hand_over.told_to)
        yield from self._said(self._watches.owed(watch, at_ms), at_ms)

    def _decision(self, one: Happening, at_ms: int) -> dedup.CaseDecision:
        case = self._cases.get(one.case)
        decision = dedup.CaseDecision(decided_ms=at_ms)
        if case is None:
            case = self._cases[one.case] = self._opened(one, at_ms)
            decision.change = dedup.CASE_CHANGE_OPENED
        elif one.what == "contact":
            decision.change = dedup.CASE_CHANGE_LINKED
        if one.what == "contact":
            case.life_safety = case.life_safety or one.life_safety
            case.state, case.resolved_ms = dedup.CASE_STATE_OPEN, 0
            case.contacts += 1
            if one.question:
                case.triage.question, case.triage.question_confidence = one.question, 1.0
                decision.triage.CopyFrom(case.triage)
        elif one.what in ("abandoned", "answered"):
            state = intake.CALL_STATE_ABANDONED
            if one.what == "answered":
                state, case.answered = intake.CALL_STATE_ANSWERED, case.answered + 1
            else:
                case.abandoned += 1
            call = intake.CallEvent(
                contact_id=ids.derive("call", str(self._offset)),
                state=state,
                event_ms=at_ms,
                accepted_ms=at_ms,
            )
            if decision.change:
                decision.waited.append(call)
            else:
                decision.change = dedup.CASE_CHANGE_CALL
                decision.call.CopyFrom(call)
        elif one.what == "resolved":
            case.state, case.resolved_ms = dedup.CASE_STATE_RESOLVED, at_ms
            decision.change = dedup.CASE_CHANGE_RESOLVED
        elif one.what == "assigned":
            case.state, case.assignee = dedup.CASE_STATE_ASSIGNED, "agent"
            decision.change = dedup.CASE_CHANGE_ASSIGNED
        elif one.what == "reopened":
            case.state, case.resolved_ms = dedup.CASE_STATE_OPEN, 0
            decision.change = dedup.CASE_CHANGE_REOPENED
        case.version += 1
        decision.case.CopyFrom(case)
        decision.link.channel = common_pb2.Channel.ValueType(one.channel)
        decision.link.event_ms = at_ms
        return decision

    def _opened(self, one: Happening, at_ms: int) -> dedup.Case:
        case_id = ids.case_id(one.case)
        self._names[case_id] = one.case
        known = one.number != "withheld"
        sure = dedup.Triage(agency=one.agency, topic_confidence=one.confidence)
        return dedup.Case(
            case_id=case_id,
            case_number=ids.case_number(case_id),
            person=ids.derive("person", one.person).encode()[:16] if known else b"",
            state=dedup.CASE_STATE_OPEN,
            first_arrival_ms=at_ms,
            last_contact_ms=at_ms,
            channel=common_pb2.Channel.ValueType(one.channel),
            number_line=_LINES[one.number],
            line=one.line,
            agency=one.agency if one.confidence == 1.0 else "",
            language=one.language,
            life_safety=one.life_safety,
            # Examples are sent in rehearsals only.
            drill=self._knowledge.examples,
            dialled=int(one.channel in _VOICE),
            sealed_number=b"sealed" if known else b"",
            accepted_ms=at_ms,
            triage=sure,
        )


def begins_ms(calling: Calling) -> int:
    """When scenes begin: a Sunday at ten in the morning, where the centre is; Unix ms."""
    return int(datetime(2026, 11, 22, 10, tzinfo=calling.zone).timestamp() * 1000)


def played(
    scene: Scene, rules: Sequence[Rule], calling: Calling, knowledge: Knowledge
) -> list[Done]:
    """What would be done in a scene; times in ms after its beginning."""
    player, began_ms = Player(rules, calling, knowledge), begins_ms(calling)
    found: list[Done] = []
    for one in sorted(scene.given, key=lambda one: one.at_ms):
        found += player.happens(one, began_ms + one.at_ms)
    found += player.passes(began_ms + scene.until_ms)
    return [Done(d.at_ms - began_ms, d.playbook, d.what, d.case, d.language, d.to) for d in found]


def differs(
    name: str, scene: Scene, rules: Sequence[Rule], calling: Calling, knowledge: Knowledge
) -> list[str]:
    """How what the playbook `name` does in a scene is not what is expected; in sentences."""
    left = [one for one in played(scene, rules, calling, knowledge) if one.playbook == name]
    wrong = []
    for expected in scene.expect:
        match = next((one for one in left if _is(one, expected)), None)
        if match is None:
            wrong.append(f"{_told(expected)} is expected and not done")
        else:
            left.remove(match)
    return [*wrong, *(f"{_told(one)} is done and not expected" for one in left)]


def counts(done: Iterable[Done]) -> Counter[tuple[str, str]]:
    """How often each playbook does what, by (name, what)."""
    return Counter((one.playbook, one.what) for one in done)


def _is(done: Done, expected: Expected) -> bool:
    return (
        (done.at_ms, done.what, done.case) == (expected.at_ms, expected.what, expected.case)
        and expected.language in ("", done.language)
        and expected.to in ("", done.to)
    )


def _told(one: Done | Expected) -> str:
    more = "".join(f", {word}" for word in (one.language, one.to) if word)
    return f"{one.what} for case {one.case} at {one.at_ms // 1000}s{more}"
