"""Why the person of a case did or did not hear from us: each playbook, each condition, and what the
log says. Pure.

Conditions are held against the case as it stands now, which may have been another when a contact
came; what the log has is what was done.
"""

from collections.abc import Iterator, Sequence

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import playbooks_pb2 as told

from services.outreach.decide import Messages
from services.outreach.putting_off import find
from services.outreach.rules import OF_CALLBACKS, OF_MANY, Event, Rule, facts_of
from services.outreach.switches.state import every, off
from services.outreach.telling import event_of

_HAND_OVER = {
    outreach.HAND_OVER_STATE_OPEN: "waits for somebody to confirm",
    outreach.HAND_OVER_STATE_CONFIRMED: "confirmed",
    outreach.HAND_OVER_STATE_OVER: "over",
}


def explained(
    rules: Sequence[Rule],
    case: dedup.Case,
    messages: Messages,
    callback: outreach.Callback | None,
    watch: outreach.Watch | None,
    now_ms: int,
) -> list[told.Explanation]:
    """For each rule. `callback`, `watch`: of the case, as they stand; None where there is none."""
    known = every(rules)
    steps = {rule.name: messages.steps(case.case_id, rule) for rule in known}
    taken = {rule.instead: rule.name for rule in known if rule.instead and steps[rule.name]}
    found = []
    for rule in known:
        one = told.Explanation(playbook=rule.label, event=rule.event, does=does(rule))
        for step, at_ms in steps[rule.name]:
            one.deeds.add(what="message", step=step, at_ms=at_ms)
        if rule.callback and callback is not None:
            state = outreach.CallbackState.Name(callback.state).removeprefix("CALLBACK_STATE_")
            one.deeds.add(what="callback", step=state.lower(), at_ms=callback.decided_ms)
        if watch is not None and watch.hand_over.playbook.partition("@")[0] == rule.name:
            handed = watch.hand_over
            one.deeds.add(
                what="hand-over", step=_HAND_OVER.get(handed.state, ""), at_ms=handed.since_ms
            )
        if switch := off(rules, rule.name):
            one.unmet.append(f"it is switched off by {switch.subject}: {switch.reason}")
        if not one.deeds or rule.event is Event.WAITING:
            if not one.deeds and rule.name in taken:
                one.unmet.append(f"the message of {taken[rule.name]} took its place")
            one.unmet.extend(_unmet(rule, case, messages, callback, watch, now_ms))
        found.append(one)
    return found


def does(rule: Rule) -> list[str]:
    """What a rule does, in the words that playbooks are written in."""
    return [
        name
        for name, asked in (
            ("message", rule.message),
            ("callback", rule.callback),
            ("satisfaction", rule.score_ms),
            ("hand-over", rule.hand_over),
            ("announcement", rule.announcement),
            ("proposal", rule.proposal),
        )
        if asked
    ]


def _unmet(
    rule: Rule,
    case: dedup.Case,
    messages: Messages,
    callback: outreach.Callback | None,
    watch: outreach.Watch | None,
    now_ms: int,
) -> Iterator[str]:
    if rule.event in OF_MANY:
        yield "it is about many people, and does nothing about one case"
        return
    yield from _happened(rule, case, messages, callback, watch, now_ms)
    yield from rule.unmet(facts_of(case, case.channel))
    if case.recorded:
        yield "the case is made of records of past calls: nobody is written to"
    if rule.message is None:
        return
    if not case.person:
        yield "the number is withheld"
    elif case.number_line != common_pb2.LINE_MOBILE:
        yield "no SMS reaches the number: it is no mobile one"
    if why := messages.withheld(rule, case.person, now_ms):
        yield why


def _happened(
    rule: Rule,
    case: dedup.Case,
    messages: Messages,
    callback: outreach.Callback | None,
    watch: outreach.Watch | None,
    now_ms: int,
) -> Iterator[str]:
    """Why its event has not happened, as far as can be told."""
    match rule.event:
        case Event.CALL_ABANDONED:
            if not case.abandoned:
                yield "no caller of this case hung up before an agent answered"
        case Event.QUESTION_ANSWERED | Event.QUESTION_UNCLEAR:
            decision = dedup.CaseDecision(
                change=dedup.CASE_CHANGE_OPENED, case=case, triage=case.triage
            )
            question = messages.question(decision, now_ms)
            if question is None or question.event is not rule.event:
                named = case.triage.question
                asks = f"it asks {named!r}, which" if named else "no question that"
                yield f"{asks} the knowledge file may answer so"
        case Event.CASE_RESOLVED:
            if case.state != dedup.CASE_STATE_RESOLVED:
                yield "the case is not resolved"
            ask = find(watch.asks, rule.name) if watch is not None else None
            if ask is not None:
                yield from _put_off(ask, now_ms)
            elif _over(rule, case, now_ms):
                yield (
                    "if it was put off because agents had no room for the calls that it brings "
                    "back, it was left out when its time was over"
                )
        case Event.LIFE_SAFETY:
            if not case.life_safety:
                yield "no life is in danger"
        case Event.WAITING:
            if watch is None or not watch.waiting_since_ms:
                yield "nobody waits: an agent spoke with them, or the need was met or answered"
            elif rule.timing is not None:
                minutes = (now_ms - watch.waiting_since_ms) // 60_000
                yield (
                    f"they wait for {minutes} min; it comes after "
                    f"{rule.timing.after_ms // 60_000} min, {rule.timing.times} times in all"
                )
                if (step := find(watch.steps, rule.name)) is not None:
                    yield from _put_off(step, now_ms)
        case event if event in OF_CALLBACKS:
            if callback is None:
                yield "nobody is owed a call"
            elif event_of(callback) is not event:
                yield "the callback stands otherwise"
        case _:
            pass


def _put_off(step: outreach.WatchStep, now_ms: int) -> Iterator[str]:
    """Why what a step asks for waits, or was left out."""
    if step.held_due_ms:
        since, left = now_ms - step.held_due_ms, max(0, step.held_until_ms - now_ms)
        yield (
            f"it is put off since {since // 60_000} min until agents have room for the calls that "
            f"it brings back ({step.held_for}); left out in {left // 60_000} min"
        )
    elif step.lapsed:
        yield f"it was put off until its time was over, and left out ({step.held_for})"


def _over(rule: Rule, case: dedup.Case, now_ms: int) -> bool:
    """Whether what may wait would have been left out by now: of that nothing is kept."""
    if rule.message is None or not rule.brings(case.life_safety) or not case.resolved_ms:
        return False
    return case.resolved_ms < now_ms - rule.message.expires_ms
