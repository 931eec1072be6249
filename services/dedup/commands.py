"""What people ask of a case: which commands it allows, what they do, what they were told. Pure."""

from typing import NamedTuple

from mawja.dedup.v1 import events_pb2

from services.dedup import case as cases
from services.dedup.case import Case
from services.dedup.contacts import NONE

OK = 0
NOT_FOUND = 5
NOT_IN_STATE = 9


class Told(NamedTuple):
    """The first outcome of a command, and the numbers of its case and of the other one that it
    made or merged; NONE where there is none."""

    case: int
    code: int
    message: str
    other: int = NONE


class Memory:
    """What the last `limit` commands were told, so that the same one again is told the same."""

    def __init__(self, limit: int) -> None:
        self.told: dict[bytes, Told] = {}
        self._limit = limit

    def get(self, key: bytes) -> Told | None:
        """What the command of this id was told; None when it is not known."""
        return self.told.get(key)

    def keep(self, key: bytes, told: Told) -> None:
        """The first outcome of a command; a later one changes nothing."""
        if key in self.told:
            return
        if len(self.told) >= self._limit:
            del self.told[next(iter(self.told))]
        self.told[key] = told


def refusal(command: events_pb2.CaseCommand, case: Case) -> str:
    """Why the state of its case refuses a command, in a sentence; empty when it does not."""
    action, resolved = command.WhichOneof("action"), case.state == cases.RESOLVED
    if action == "assign" and resolved:
        return "the case is resolved: reopen it first"
    if action == "resolve" and resolved:
        return "the case is resolved already"
    if action == "set_topic":
        if resolved:
            return "the case is resolved: reopen it first"
        if case.agency not in ("", command.set_topic.agency):
            return f"the case is with {case.agency}: only a service of that agency can be said"
    if action == "tell_number" and not case.sealed_number:
        return "the person gave no number"
    if action == "ask_score" and not resolved:
        return "the case is not resolved: nobody is asked how well it was"
    if action == "reopen" and not resolved:
        return "the case is not resolved: nothing to reopen"
    return ""


def obey(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> None:
    """Does in the decision's case what a command asks, and notes what it says."""
    envelope, action, case = command.envelope, command.WhichOneof("action"), decision.case
    if action == "assign":
        decision.change = events_pb2.CASE_CHANGE_ASSIGNED
        case.state, case.assignee = cases.ASSIGNED, command.assign.assignee
    elif action == "set_topic":
        decision.change = events_pb2.CASE_CHANGE_TRIAGED
        case.agency, case.topic = command.set_topic.agency, command.set_topic.topic
    elif action == "resolve":
        decision.change = events_pb2.CASE_CHANGE_RESOLVED
        case.state, case.resolved_ms = cases.RESOLVED, envelope.asked_ms
    elif action == "reopen":
        decision.change = events_pb2.CASE_CHANGE_REOPENED
        cases.reopen(case)
    elif action == "ask_score":
        decision.change = events_pb2.CASE_CHANGE_ASKED
        case.score_asked_ms, case.score_until_ms = envelope.asked_ms, command.ask_score.until_ms
    else:
        decision.change = events_pb2.CASE_CHANGE_NOTED
    if action in ("reopen", "add_note"):
        note = decision.note
        note.author, note.noted_ms = envelope.subject, envelope.asked_ms
        note.reopens = action == "reopen"
        note.sealed_text = (
            command.reopen.sealed_reason if note.reopens else command.add_note.sealed_text
        )
