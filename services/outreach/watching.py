"""What outreach watches a case for: that somebody waits too long, and that a person takes it. Pure.

    a contact ─▶ waits ─▶ … told at its times … ─▶ dealt with
    danger ─▶ handed over ─▶ … the next one is told … ─▶ confirmed
    the need is met ─▶ asked how it was, when agents have no room now

Whoever waits is told so by messages that follow from the state, as with callbacks. What time asks
for is decided by the owner of the partition and stated in the log, so that a new owner goes on from
there. A case that is dealt with is watched no more; who reaches out again begins a new watch.
"""

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.rpc import code_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.decide import Draft, Position, resolved, settled_ms
from services.outreach.easing import ALWAYS
from services.outreach.putting_off import WhyNot, Withheld, expires_ms, find, look_again, put_off
from services.outreach.rules import Event, Facts, HandOver, Rule, facts_of
from services.outreach.switches.state import every, off
from services.outreach.working import Refused
from services.runtime import ids

OPEN, CONFIRMED = outreach.HAND_OVER_STATE_OPEN, outreach.HAND_OVER_STATE_CONFIRMED
OVER = outreach.HAND_OVER_STATE_OVER
_REACHED_OUT = (dedup.CASE_CHANGE_OPENED, dedup.CASE_CHANGE_LINKED)
_DEALT_WITH = (dedup.CASE_STATE_RESOLVED, dedup.CASE_STATE_MERGED)


class Watches:
    """What one partition of the log of watches says, and what comes next in it. `rules`: those of
    the playbooks."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        # All of them: who began to wait while a playbook was off waits when it is on again.
        self._rules = [rule for rule in every(rules) if rule.event in _OF_WATCHES]
        self._by_name = {rule.name: rule for rule in self._rules}
        self._given = rules
        self._last: dict[str, Position] = {}
        self._of_case: dict[str, outreach.Watch] = {}

    def resume(self, topic: str) -> Position | None:
        """Where deciding goes on in `topic`; None when the log holds nothing of it."""
        return self._last.get(topic)

    def take(self, watch: outreach.Watch) -> None:
        """Takes up a record of the log, in order."""
        if watch.HasField("input"):
            self._last[watch.input.topic] = (watch.input.offset, watch.input.epoch)
        if watched(watch):
            self._of_case[watch.case_id] = watch
        else:
            self._of_case.pop(watch.case_id, None)

    def get(self, case_id: str) -> outreach.Watch | None:
        """The watch of a case; None when there is nothing to watch it for."""
        return self._of_case.get(case_id)

    def all(self) -> Iterable[outreach.Watch]:
        """All of them."""
        return self._of_case.values()

    def decide(
        self,
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
        *,
        answered: bool,
        asked: Sequence[tuple[Rule, str]] = (),
    ) -> outreach.Watch | None:
        """The watch that `decision`, read at `input`, begins or changes. `answered`: the contact's
        question was answered at once; `asked`: what the met need asks for and must wait, with why.
        At most one for each input."""
        last = self._last.get(input.topic)
        if not decision.HasField("case") or (last is not None and input.offset <= last[0]):
            return None
        case = decision.case
        if decision.change == dedup.CASE_CHANGE_MERGED and decision.HasField("other"):
            # Its person waits in the case that stays.
            case = decision.other
        held = self._of_case.get(case.case_id)
        stirs = decision.change in _STIRS and not case.recorded and not case.HasField("exercise")
        if held is None and not (stirs or asked):
            return None
        following = _copy(held) if held is not None else _begun(case)
        dealt_with = _is_dealt_with(decision, case)
        if dealt_with or (answered and decision.change in _REACHED_OUT):
            following.waiting_since_ms = 0
            for step in following.steps:
                step.held_due_ms = 0
        elif decision.change in _REACHED_OUT and not decision.score:
            self._wait(following, case, decision.decided_ms)
        self._hand_over(following, decision, case, now_ms, dealt_with=dealt_with)
        if case.state != dedup.CASE_STATE_RESOLVED:
            del following.asks[:]
        for rule, why in asked:
            _tell(following, case)
            put_off(_step(following.asks, rule.name), rule, now_ms, why)
        if held is None and not watched(following):
            return None
        if held is not None and following == held:
            return None
        # Dedup keeps the one that was sealed last: its month's key lives longest.
        following.sealed_number = case.sealed_number or following.sealed_number
        return _decided(following, input, now_ms)

    def obey(
        self, command: commands_pb2.OutreachCommand, input: common_pb2.Input, now_ms: int
    ) -> outreach.Watch | None:
        """The watch that somebody's word changes; None when it stands so already. Raises
        Refused."""
        last = self._last.get(input.topic)
        if last is not None and input.offset <= last[0]:
            return None
        held = self._of_case.get(command.case_id)
        if held is not None and held.command_id == command.envelope.command_id:
            return None
        if held is None or held.hand_over.state != OPEN:
            raise Refused(code_pb2.FAILED_PRECONDITION, "nothing is handed over that waits")
        following = _copy(held)
        _confirm(following.hand_over, command.envelope.subject, now_ms)
        following.command_id = command.envelope.command_id
        return _decided(following, input, now_ms)

    def asks(self, decision: dedup.CaseDecision, input: common_pb2.Input) -> Iterator[Rule]:
        """The rules whose message the met need of `decision` asks for, and that may wait; nothing
        of an input that was decided on."""
        last, case = self._last.get(input.topic), decision.case
        if (last is not None and input.offset <= last[0]) or not resolved(decision):
            return
        if case.recorded or case.number_line != common_pb2.LINE_MOBILE:
            return
        if not (case.sealed_number and case.person):
            return
        facts = facts_of(case, case.channel)
        for rule in self._rules:
            if not rule.brings(case.life_safety) or off(self._given, rule.name):
                continue
            if rule.asked(Event.CASE_RESOLVED, facts):
                yield rule

    def passed(
        self, case_id: str, got: Withheld, now_ms: int, why_not: WhyNot = ALWAYS.why_not
    ) -> outreach.Watch | None:
        """The watch after time has passed; None when nothing is to be decided yet. `got`: why the
        limits of a rule keep a person from its message, "" when they don't. `why_not`: why one that
        brings calls back waits, "" when it goes."""
        held = self._of_case.get(case_id)
        if held is None:
            return None
        following = _copy(held)
        hand_over = following.hand_over
        if hand_over.state == OPEN and 0 < hand_over.next_ms <= now_ms:
            self._next(hand_over, now_ms, drill=held.drill)
        for rule in self._waiting(held):
            if off(self._given, rule.name):
                continue
            step = find(following.steps, rule.name)
            if step is not None and step.held_due_ms:
                look_again(step, rule, held, got, now_ms, why_not)
                continue
            due_ms = _due_ms(held, rule)
            if due_ms and now_ms >= due_ms:
                step = _step(following.steps, rule.name)
                withheld = bool(got(rule, held.person, now_ms))
                share = 0.0 if withheld else rule.brings(held.life_safety)
                if share and (why := why_not(share, held.drill, now_ms)):
                    put_off(step, rule, now_ms, why)
                    continue
                step.count, step.at_ms, step.withheld = step.count + 1, now_ms, withheld
                step.due_ms, step.lapsed = 0, False
        for ask in list(following.asks):
            asks_for = self._by_name.get(ask.playbook)
            if asks_for is None or now_ms >= ask.held_until_ms:
                following.asks.remove(ask)
            elif ask.held_due_ms and not off(self._given, asks_for.name):
                look_again(ask, asks_for, held, got, now_ms, why_not)
        return None if following == held else _decided(following, None, now_ms)

    def wakes_ms(self, watch: outreach.Watch) -> int:
        """When time changes a watch: Unix ms; 0: never, as it stands."""
        times = [due for rule in self._waiting(watch) if (due := _due_ms(watch, rule))]
        times += [ask.held_until_ms for ask in watch.asks]
        if watch.hand_over.state == OPEN and watch.hand_over.next_ms:
            times.append(watch.hand_over.next_ms)
        return min(times, default=0)

    def owed(self, watch: outreach.Watch, now_ms: int) -> Iterator[Draft]:
        """The messages that a watch asks for as it stands, whether or not they were said."""
        if not (watch.mobile and watch.sealed_number):
            return
        said = []
        for rule in self._waiting(watch):
            step = find(watch.steps, rule.name)
            if step is not None:
                name = f"{rule.name}:{watch.waiting_since_ms}:{step.count}"
                said.append((rule, step, name))
        for ask in watch.asks:
            if ask.playbook in self._by_name:
                said.append((self._by_name[ask.playbook], ask, ask.playbook))
        for rule, step, name in said:
            until_ms = expires_ms(step, rule)
            if until_ms <= now_ms or rule.message is None:
                continue
            if off(self._given, rule.name):
                continue
            language, text = rule.message.render(watch.language, watch.case_number)
            lane = common_pb2.LANE_URGENT if watch.life_safety else common_pb2.LANE_NORMAL
            request = outreach.MessageRequested(
                message_id=ids.message_id(watch.case_id, name),
                case_id=watch.case_id,
                step=name,
                rule=rule.label,
                person=watch.person,
                # Nobody waits for a question how it was.
                lane=common_pb2.LANE_BULK if rule.score_ms else lane,
                language=language,
                agency=watch.agency,
                drill=watch.drill,
                requested_ms=now_ms,
                expires_ms=until_ms,
                accepted_ms=step.at_ms,
                sealed_number=watch.sealed_number,
                score_until_ms=now_ms + rule.score_ms if rule.score_ms else 0,
            )
            yield Draft(request, text)

    def _waiting(self, watch: outreach.Watch) -> list[Rule]:
        if not watch.waiting_since_ms:
            return []
        facts = facts_of_watch(watch)
        return [rule for rule in self._rules if rule.asked(Event.WAITING, facts)]

    def _wait(self, watch: outreach.Watch, case: dedup.Case, since_ms: int) -> None:
        """The person reached out. Who waits already waits on; else they do if a rule asks."""
        _tell(watch, case)
        if watch.waiting_since_ms:
            return
        watch.waiting_since_ms = since_ms
        del watch.steps[:]
        if not self._waiting(watch):
            watch.waiting_since_ms = 0

    def _hand_over(
        self,
        watch: outreach.Watch,
        decision: dedup.CaseDecision,
        case: dedup.Case,
        now_ms: int,
        *,
        dealt_with: bool,
    ) -> None:
        held = watch.hand_over
        if held.state in (OPEN, CONFIRMED):
            if held.state == OPEN and decision.change == dedup.CASE_CHANGE_ASSIGNED:
                _confirm(held, case.assignee, now_ms)
            elif dealt_with and (held.state == CONFIRMED or case.state != dedup.CASE_STATE_MERGED):
                # By a merge nobody says that they have it.
                held.state, held.next_ms = OVER, 0
            return
        if not case.life_safety or dealt_with or decision.change not in _STIRS or held.state:
            return
        facts = facts_of(case, case.channel)
        for rule in self._rules:
            if off(self._given, rule.name):
                continue
            if rule.hand_over is not None and rule.asked(Event.LIFE_SAFETY, facts):
                _tell(watch, case)
                held.state, held.playbook, held.since_ms = OPEN, rule.label, now_ms
                _tell_next(held, rule.hand_over, now_ms, drill=case.drill)
                return

    def _next(self, hand_over: outreach.HandOver, now_ms: int, *, drill: bool) -> None:
        name = hand_over.playbook.partition("@")[0]
        rule = next((rule for rule in self._rules if rule.name == name), None)
        if rule is None or rule.hand_over is None:
            # Its playbook is gone: whoever was told last is told again, as it was.
            again = HandOver((hand_over.told_to,), 60_000)
            _tell_next(hand_over, again, now_ms, drill=drill)
        else:
            _tell_next(hand_over, rule.hand_over, now_ms, drill=drill)


_OF_WATCHES = (Event.WAITING, Event.LIFE_SAFETY, Event.CASE_RESOLVED)
_STIRS = (*_REACHED_OUT, dedup.CASE_CHANGE_HEARD, dedup.CASE_CHANGE_REOPENED)
"""What may hand a case over."""


def watched(watch: outreach.Watch) -> bool:
    """Whether there is still something to watch for."""
    handed = watch.hand_over.state in (OPEN, CONFIRMED)
    return bool(watch.waiting_since_ms) or handed or bool(watch.asks)


def facts_of_watch(watch: outreach.Watch) -> Facts:
    """The facts of its case."""
    return Facts(
        watch.channel,
        watch.agency,
        watch.line,
        watch.language,
        watch.life_safety,
        watch.confidence,
    )


def _begun(case: dedup.Case) -> outreach.Watch:
    watch = outreach.Watch(
        case_id=case.case_id,
        case_number=case.case_number,
        person=case.person,
        drill=case.drill,
    )
    _tell(watch, case)
    return watch


def _tell(watch: outreach.Watch, case: dedup.Case) -> None:
    facts = facts_of(case, case.channel)
    watch.agency, watch.line, watch.language = facts.agency, facts.line, facts.language
    watch.channel, watch.life_safety = case.channel, case.life_safety
    watch.confidence = facts.confidence
    watch.mobile = case.number_line == common_pb2.LINE_MOBILE


def _is_dealt_with(decision: dedup.CaseDecision, case: dedup.Case) -> bool:
    return case.state in _DEALT_WITH or bool(settled_ms(decision))


def _due_ms(watch: outreach.Watch, rule: Rule) -> int:
    """When a rule of waiting is due; 0: not any more."""
    timing = rule.timing
    assert timing is not None
    step = find(watch.steps, rule.name)
    if step is not None and step.held_due_ms:
        return step.held_until_ms
    if step is None:
        due_ms = watch.waiting_since_ms + timing.after_ms
    elif step.withheld or step.count >= timing.times:
        return 0
    else:
        due_ms = step.at_ms + timing.every_ms
    return due_ms if rule.limits is None else rule.limits.next_ms(due_ms)


def _step(
    steps: "RepeatedCompositeFieldContainer[outreach.WatchStep]", name: str
) -> outreach.WatchStep:
    return find(steps, name) or steps.add(playbook=name)


def _confirm(hand_over: outreach.HandOver, who: str, now_ms: int) -> None:
    hand_over.state, hand_over.next_ms = CONFIRMED, 0
    hand_over.confirmed_by, hand_over.confirmed_ms = who, now_ms


def _tell_next(held: outreach.HandOver, to: HandOver, now_ms: int, *, drill: bool) -> None:
    # Who is last on the list is told again: there is nobody above them.
    held.told_to = to.to[min(held.told, len(to.to) - 1)]
    held.told += 1
    # Of a rehearsal everybody is told once: nobody may be there to end it.
    held.next_ms = 0 if drill and held.told >= len(to.to) else now_ms + to.every_ms


def _decided(watch: outreach.Watch, input: common_pb2.Input | None, now_ms: int) -> outreach.Watch:
    watch.ClearField("input")
    if input is not None:
        watch.input.CopyFrom(input)
    watch.decided_ms = now_ms
    watch.version += 1
    return watch


def _copy(watch: outreach.Watch) -> outreach.Watch:
    copied = outreach.Watch()
    copied.CopyFrom(watch)
    return copied
