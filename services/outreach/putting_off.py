"""What is put off until agents have room for the calls that it brings back, and its end. Pure.

due ─▶ put off ─▶ sent when there is room
            └───▶ left out when its time is over
"""

from collections.abc import Callable, Iterable

from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.rules import Rule

Withheld = Callable[[Rule, bytes, int], str]
"""(rule, person, Unix ms): why its limits keep the person from its message; "" when they don't."""
WhyNot = Callable[[float, bool, int], str]
"""(share of a call that a message brings back, of a drill, Unix ms): why it waits; "": it goes."""


def put_off(step: outreach.WatchStep, rule: Rule, due_ms: int, why: str) -> None:
    """It was due at `due_ms` and waits, for as long as it would have been sent."""
    assert rule.message is not None
    step.held_due_ms, step.held_for = due_ms, why
    step.held_until_ms = due_ms + rule.message.expires_ms


def sent(step: outreach.WatchStep, now_ms: int) -> None:
    """There is room."""
    step.count, step.at_ms, step.lapsed = step.count + 1, now_ms, False
    step.due_ms, step.held_due_ms = step.held_due_ms, 0


def left_out(step: outreach.WatchStep, now_ms: int) -> None:
    """It is too late."""
    sent(step, now_ms)
    step.lapsed = True


def look_again(
    step: outreach.WatchStep,
    rule: Rule,
    watch: outreach.Watch,
    got: Withheld,
    now_ms: int,
    why_not: WhyNot,
) -> None:
    """What time makes of a step that waits for room."""
    if rule.limits is not None and not rule.limits.in_hours(now_ms) and now_ms < step.held_until_ms:
        return
    if now_ms >= step.held_until_ms or got(rule, watch.person, now_ms):
        left_out(step, now_ms)
        return
    share = rule.brings(watch.life_safety)
    if not (share and why_not(share, watch.drill, now_ms)):
        sent(step, now_ms)


def expires_ms(step: outreach.WatchStep, rule: Rule) -> int:
    """Until when the last message of a step may be sent, Unix ms; 0 when it may not at all."""
    if rule.message is None or not step.count or step.withheld or step.lapsed:
        return 0
    return (step.due_ms or step.at_ms) + rule.message.expires_ms


def find(steps: Iterable[outreach.WatchStep], name: str) -> outreach.WatchStep | None:
    """The step of a playbook; None where there is none."""
    return next((one for one in steps if one.playbook == name), None)


def waits(watch: outreach.Watch) -> bool:
    """Whether something of it is put off now."""
    waiting = watch.waiting_since_ms and any(one.held_due_ms for one in watch.steps)
    return bool(waiting) or any(one.held_due_ms for one in watch.asks)


def of_asks(watch: outreach.Watch | None) -> frozenset[str]:
    """The playbooks whose message was put off when a need was met: it follows from the watch then,
    and from nothing else."""
    return frozenset(one.playbook for one in watch.asks) if watch is not None else frozenset()
