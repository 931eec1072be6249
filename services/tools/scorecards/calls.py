"""What dedup's log of decisions tells of calls, people and needs: a fold. Pure.

Every contact is held in some 250 bytes, so that a month of a national centre (1.3 million calls)
fits into memory. What the log says again changes nothing, as in dedup itself: a call
is answered or abandoned once, whichever was decided first. Contacts follow their cases through
merges and splits.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake

NONE = -1
_VOICE, _ANSWERED, _ABANDONED, _ENDED, _SAID, _RESOLVED = 1, 2, 4, 8, 16, 32
_BY_VOICE = (common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO)
_STEPS = {
    intake.CALL_STATE_ANSWERED: _ANSWERED,
    intake.CALL_STATE_ABANDONED: _ABANDONED,
    intake.CALL_STATE_ENDED: _ENDED,
}
_TAKEN = (intake.CALL_STATE_ANSWERED, intake.CALL_STATE_ENDED)
_EXCLUDED = {
    _ANSWERED: _ABANDONED,
    _ABANDONED: _ANSWERED | _ENDED,
    _ENDED: _ABANDONED,
}


class Labels(NamedTuple):
    """What a contact is counted under; "" is not known. `language` is its primary subtag."""

    line: str
    agency: str
    language: str


class Contact(NamedTuple):
    """One contact. Times are Unix ms, durations ms, both 0 where there is none. `call`: it was a
    call, by voice or sign-language video. `disposition_said`: whether the source said how it ended.
    """

    number: int
    case: int
    arrival_ms: int
    labels: Labels
    call: bool
    answered: bool
    abandoned: bool
    ended: bool
    disposition_said: bool
    resolved: bool
    outcome_ms: int
    wait_ms: int
    handling_ms: int
    ended_ms: int


class Score(NamedTuple):
    """How well somebody said that they were served, 1 to 5, and when: Unix ms. `labels`: of the
    case; its line is the one that was dialled first."""

    case: int
    arrival_ms: int
    labels: Labels
    score: int


Counted = Contact | Score
"""What is counted in a group."""


class Calls:
    """The contacts of the log, of rehearsals if `drill`, else real ones.

    Feed it the decisions in the order of each partition. It may begin in the middle of the log: a
    case that had been answered before says so itself, and is not taken for one first answered here.
    """

    def __init__(self, drill: bool = False) -> None:
        self.of_other_kind = 0
        """Contacts that are rehearsals where real ones were asked for, or the other way round."""
        self._drill = drill
        self._number_of: dict[bytes, int] = {}
        self._case = array("i")
        self.arrival_ms = array("q")
        """When each contact came, by its number: Unix ms."""
        self._outcome_ms = array("q")
        self._ended_ms = array("q")
        self._wait_ms = array("i")
        self._handling_ms = array("i")
        self._marks = array("B")
        self._label = array("i")
        self._labels: list[Labels] = []
        self._label_of: dict[tuple[str, str, str], int] = {}
        self._case_of: dict[bytes, int] = {}
        self._person = array("i")
        self._person_of: dict[bytes, int] = {}
        self._answered_before = bytearray()
        self._reopened_ms: dict[int, int] = {}
        self._scores: dict[int, Score] = {}
        self.replies: set[int] = set()
        """Contacts that only say how well it went: no need."""

    def __len__(self) -> int:
        return len(self._case)

    def take(self, decision: dedup.CaseDecision) -> None:
        """Takes up a decision that counts."""
        change = decision.change
        if change in (dedup.CASE_CHANGE_OPENED, dedup.CASE_CHANGE_LINKED):
            self._contact(decision)
        elif change == dedup.CASE_CHANGE_CALL:
            self._call(decision)
        elif change in (dedup.CASE_CHANGE_MERGED, dedup.CASE_CHANGE_SPLIT):
            self._move(decision)
        elif decision.note.reopens and decision.case.drill == self._drill:
            case = self._case_number(decision.case)
            self._reopened_ms[case] = max(self._reopened_ms.get(case, 0), decision.note.noted_ms)

    def _contact(self, decision: dedup.CaseDecision) -> None:
        if decision.case.drill != self._drill:
            self.of_other_kind += 1
            return
        link, key = decision.link, UUID(decision.link.contact_id).bytes
        case = self._case_number(decision.case, decision.waited)
        number = self._number_of.get(key)
        if number is not None:
            # Two owners told of it, and the one that counts did so last.
            self._case[number] = case
            return
        number = self._number_of[key] = len(self._case)
        self._case.append(case)
        self.arrival_ms.append(link.event_ms)
        self._outcome_ms.append(0)
        self._ended_ms.append(0)
        self._wait_ms.append(0)
        self._handling_ms.append(0)
        self._marks.append(_VOICE if link.channel in _BY_VOICE else 0)
        self._label.append(self._label_number(link))
        if decision.score:
            self.replies.add(number)
            told = decision.case
            language = told.language.partition("-")[0].lower()
            labels = Labels(told.line, told.agency or told.triage.agency, language)
            # Who says it again means the last one.
            self._scores[case] = Score(case, link.event_ms, labels, decision.score)
        for call in decision.waited:
            self._step(number, call)

    def _call(self, decision: dedup.CaseDecision) -> None:
        number = self._number_of.get(UUID(decision.call.contact_id).bytes)
        if number is not None:
            self._step(number, decision.call)
        elif decision.case.drill == self._drill and decision.call.state in _TAKEN:
            # A call that came before the log as it is read begins.
            self._answered_before[self._case_number(decision.case)] = 1

    def _step(self, number: int, call: intake.CallEvent) -> None:
        step = _STEPS.get(call.state, 0)
        marks = self._marks[number]
        if not step or marks & (step | _EXCLUDED[step]):
            return
        marks |= step
        if step == _ENDED:
            self._ended_ms[number] = call.event_ms
            self._handling_ms[number] = call.handling_ms
            if call.disposition:
                marks |= _SAID
            if call.disposition == intake.DISPOSITION_RESOLVED:
                marks |= _RESOLVED
        else:
            self._outcome_ms[number] = call.event_ms
            self._wait_ms[number] = call.queue_wait_ms
        self._marks[number] = marks

    def _move(self, decision: dedup.CaseDecision) -> None:
        if not decision.HasField("other") or decision.case.drill != self._drill:
            return
        to, source = self._case_number(decision.case), self._case_number(decision.other)
        if decision.change == dedup.CASE_CHANGE_SPLIT:
            source, to = to, source
            self._answered_before[to] = 0
        if source in self._reopened_ms:
            # Nobody can say about which of two needs it was said.
            self._reopened_ms[to] = max(self._reopened_ms.get(to, 0), self._reopened_ms[source])
        self._answered_before[to] |= self._answered_before[source]
        for contact_id in decision.moved:
            number = self._number_of.get(UUID(contact_id).bytes)
            if number is not None:
                self._case[number] = to

    def _case_number(self, case: dedup.Case, told: Iterable[intake.CallEvent] = ()) -> int:
        """`told`: call events that the case counts already, and that are still to be taken up."""
        key = UUID(case.case_id).bytes
        number = self._case_of.get(key)
        if number is None:
            number = self._case_of[key] = len(self._person)
            self._person.append(
                self._person_of.setdefault(case.person, len(self._person_of))
                if case.person
                else NONE
            )
            # Nothing was told of its calls so far: what was answered came before reading began.
            here = sum(call.state == intake.CALL_STATE_ANSWERED for call in told)
            self._answered_before.append(case.contacts > 1 and case.answered > here)
        return number

    def _label_number(self, link: dedup.Link) -> int:
        language = link.language.partition("-")[0].lower()
        key = (link.line, link.agency, language)
        number = self._label_of.get(key)
        if number is None:
            number = self._label_of[key] = len(self._labels)
            self._labels.append(Labels(*key))
        return number

    # What is asked of it.

    def scores(self, since_ms: int = 0, until_ms: int = 0) -> Iterator[Score]:
        """What people said in [since_ms, until_ms), one for each case, the last; `until_ms` 0 is no
        end."""
        for score in self._scores.values():
            if since_ms <= score.arrival_ms and (not until_ms or score.arrival_ms < until_ms):
                yield score

    def contacts(self, since_ms: int = 0, until_ms: int = 0) -> Iterator[Contact]:
        """Those that came in [since_ms, until_ms), in no certain order; `until_ms` 0 is no end."""
        for number, arrival_ms in enumerate(self.arrival_ms):
            if since_ms <= arrival_ms and (not until_ms or arrival_ms < until_ms):
                yield self.contact(number)

    def contact(self, number: int) -> Contact:
        """One of them."""
        marks = self._marks[number]
        return Contact(
            number=number,
            case=self._case[number],
            arrival_ms=self.arrival_ms[number],
            labels=self._labels[self._label[number]],
            call=bool(marks & _VOICE),
            answered=bool(marks & _ANSWERED),
            abandoned=bool(marks & _ABANDONED),
            ended=bool(marks & _ENDED),
            disposition_said=bool(marks & _SAID),
            resolved=bool(marks & _RESOLVED),
            outcome_ms=self._outcome_ms[number],
            wait_ms=self._wait_ms[number],
            handling_ms=self._handling_ms[number],
            ended_ms=self._ended_ms[number],
        )

    def case_of(self, key: bytes) -> int:
        """The number of a case by its UUID's bytes, NONE of one that was not met."""
        return self._case_of.get(key, NONE)

    @property
    def people(self) -> Mapping[bytes, int]:
        """The number of each person by the keyed hash of theirs."""
        return self._person_of

    def person(self, case: int) -> int:
        """Who has this case: the same number for the same person, NONE for a withheld number."""
        return self._person[case]

    def first_answered(self) -> dict[int, int]:
        """The call that was answered first, by case; none of a case that was answered before the
        log as it was read begins."""
        first: dict[int, int] = {}
        for number, marks in enumerate(self._marks):
            case = self._case[number]
            if not marks & _ANSWERED or self._answered_before[case]:
                continue
            held = first.get(case, NONE)
            if held == NONE or self._outcome_ms[number] < self._outcome_ms[held]:
                first[case] = number
        return first

    def came_back(self, first: dict[int, int], within_ms: int) -> set[int]:
        """The cases about which somebody reached out, or said that the need is still there, within
        `within_ms` after their call in `first` had ended."""
        back: set[int] = set()
        for number, arrival_ms in enumerate(self.arrival_ms):
            case = self._case[number]
            if number in self.replies:
                # To say how well it went is not to need it again.
                continue
            if case in first and 0 < arrival_ms - self._ended_ms[first[case]] <= within_ms:
                back.add(case)
        for case, at_ms in self._reopened_ms.items():
            if case in first and 0 < at_ms - self._ended_ms[first[case]] <= within_ms:
                back.add(case)
        return back
