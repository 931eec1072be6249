"""The story of a case: what happened to one need, by whatever way, in order. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.broadcast.v1.service_pb2 import GetMessageResponse
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.service_pb2 import CaseNote, GetCaseResponse
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1.playbooks_pb2 import Explanation

from services.runtime import ids

CALLS = (common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO)
_MOST_CALLS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, `at_ms` (Unix ms). `kind` is one of contact, note, merged, split,
    taken-back, reopened, resolved, message, callback, tried, claimed, called, handed-over,
    confirmed; the other fields as far as it has them. `link`: of a contact. `state`: of a message
    or callback. `other`: number of another case."""

    at_ms: int
    kind: str
    who: str = ""
    text: str = ""
    what: str = ""
    state: str = ""
    reason: str = ""
    other: str = ""
    link: dedup.Link | None = None


def callback_ids(answer: GetCaseResponse) -> list[str]:
    """The callbacks that may be owed for a case's calls: of the latest 20, the latest first."""
    if not answer.case.abandoned:
        return []
    calls = [link for link in answer.links if link.channel in CALLS]
    of = [
        ids.callback_id(link.came_to or answer.case.case_id, link.contact_id)
        for link in calls[-_MOST_CALLS:]
    ]
    return of[::-1]


def message_ids(case_id: str, explanations: Iterable[Explanation]) -> list[tuple[str, str]]:
    """(step, message) of every message that playbooks asked for."""
    steps = [deed.step for one in explanations for deed in one.deeds if deed.what == "message"]
    return [(step, ids.message_id(case_id, step)) for step in steps]


def story(
    answer: GetCaseResponse,
    explanations: Iterable[Explanation] = (),
    messages: dict[str, GetMessageResponse] | None = None,
    callbacks: Iterable[outreach.Callback] = (),
) -> list[Step]:
    """What happened, the latest first. `messages` by the step that asked for them; one that is not
    there is told without what became of it."""
    found = [Step(link.event_ms, "contact", link=link) for link in answer.links]
    found += [_noted(note) for note in answer.notes]
    if answer.case.resolved_ms:
        found.append(Step(answer.case.resolved_ms, "resolved"))
    for one in explanations:
        found += _done(one, messages or {})
    for callback in callbacks:
        found += _called(callback)
    # What came at once: a contact before what follows from it.
    order = sorted(enumerate(found), key=lambda each: (each[1].at_ms, each[0]))
    return [step for _, step in reversed(order)]


def _noted(note: CaseNote) -> Step:
    kinds = {
        dedup.CASE_CHANGE_REOPENED: "reopened",
        dedup.CASE_CHANGE_MERGED: "merged",
        dedup.CASE_CHANGE_SPLIT: "split",
        dedup.CASE_CHANGE_REFUSED: "taken-back",
    }
    kind = kinds.get(note.about, "note")
    return Step(note.noted_ms, kind, who=note.author, text=note.text, other=note.other_number)


def _done(one: Explanation, messages: dict[str, GetMessageResponse]) -> list[Step]:
    name = one.playbook.partition("@")[0]
    steps = []
    for deed in one.deeds:
        if deed.what == "message":
            known = messages.get(deed.step)
            state = "" if known is None else state_of(known)
            reason = "" if known is None else known.message.reason
            steps.append(Step(deed.at_ms, "message", what=name, state=state, reason=reason))
        elif deed.what == "hand-over":
            steps.append(Step(deed.at_ms, "handed-over", what=name, state=deed.step))
    return steps


def _called(callback: outreach.Callback) -> list[Step]:
    steps = [Step(callback.abandoned_ms, "callback")]
    steps += [Step(at_ms, "tried") for at_ms in callback.tried_ms]
    who = callback.claimed_by
    if callback.state == outreach.CALLBACK_STATE_COMPLETED:
        steps.append(Step(callback.decided_ms, "called", who=who))
    elif callback.state == outreach.CALLBACK_STATE_CLAIMED:
        steps.append(Step(callback.claimed_ms, "claimed", who=who))
    elif callback.state == outreach.CALLBACK_STATE_GIVEN_UP:
        steps.append(Step(callback.decided_ms, "given-up", who=who))
    elif callback.state == outreach.CALLBACK_STATE_WITHDRAWN:
        steps.append(Step(callback.decided_ms, "withdrawn"))
    elif callback.state == outreach.CALLBACK_STATE_LATER:
        steps.append(Step(callback.decided_ms, "later"))
    return steps


def state_of(message: GetMessageResponse) -> str:
    """The state of a message, e.g. "DELIVERED"."""
    name = broadcast.MessageState.Name(message.message.state)
    return name.removeprefix("MESSAGE_STATE_")


def parted(links: Sequence[dedup.Link]) -> list[dedup.Link]:
    """The contacts that may be split off a case: none of a case that has only one."""
    return list(links) if len(links) > 1 else []
