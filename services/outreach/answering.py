"""Whether a contact's question is answered at once, asked back, or left to a person. Pure.

Dedup says which entries of the knowledge file a text asks for and how surely; this says what may be
sent. Nothing is where a life may be in danger, where nobody approved the answer, or where its time
is over. One of two close questions is never guessed: the person is asked once.
"""

from dataclasses import dataclass

from mawja.dedup.v1 import events_pb2 as dedup

from services.outreach.rules import Event, Rule
from services.runtime.knowledge import Entry, Knowledge

NO_KNOWLEDGE = Knowledge(examples=False, sure=1, ask=1, close=0, asking={}, entries={})
"""Answers nothing."""
_LINKED = (dedup.CASE_CHANGE_OPENED, dedup.CASE_CHANGE_LINKED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a contact asks: the entry that answers it, or the two of which one was meant."""

    event: Event
    entries: tuple[Entry, ...]

    def label(self, rule: Rule) -> str:
        """Rule and entries with their versions, e.g. "answer@1 sandbags@2": what the log keeps."""
        return " ".join((rule.label, *(entry.label for entry in self.entries)))

    @property
    def agency(self) -> str:
        """In whose name it goes: of an answer its agency, else the centre's ("")."""
        return self.entries[0].agency if self.event is Event.QUESTION_ANSWERED else ""

    @property
    def words(self) -> dict[str, dict[str, str]]:
        """What the text's placeholders stand for, by language."""
        if self.event is Event.QUESTION_ANSWERED:
            return {"answer": dict(self.entries[0].answer)}
        first, second = self.entries
        return {"first": dict(first.ask), "second": dict(second.ask)}

    @property
    def valid_until_ms(self) -> int:
        """Nothing of it is sent from then on: Unix ms."""
        return min(entry.valid_until_ms for entry in self.entries)


def asked(knowledge: Knowledge, decision: dedup.CaseDecision, now_ms: int) -> Asked | None:
    """What the contact of `decision` asks, if it may be answered by itself at `now_ms`."""
    case, read = decision.case, decision.triage
    if decision.change not in _LINKED or not read.question:
        return None
    if case.life_safety or read.life_safety or case.triage.life_safety:
        return None
    if knowledge.examples and not case.drill:
        return None
    first = knowledge.entries.get(read.question)
    if first is None or not first.sendable(now_ms):
        return None
    sure, next_sure = read.question_confidence, read.next_question_confidence
    if read.next_question and knowledge.unclear(sure, next_sure):
        second = knowledge.entries.get(read.next_question)
        if second is None or not second.sendable(now_ms):
            return None
        return Asked(Event.QUESTION_UNCLEAR, (first, second))
    if sure < knowledge.sure:
        return None
    return Asked(Event.QUESTION_ANSWERED, (first,))


def step_of(rule: Rule, question: str) -> str:
    """The step of a case that `rule` takes for an entry: one for each entry that is answered, one
    in all for asking back."""
    return f"{rule.name}:{question}" if rule.event is Event.QUESTION_ANSWERED else rule.name
