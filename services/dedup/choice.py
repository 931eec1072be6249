"""A reply of one figure to the question which of two was meant. Pure.

Outreach asks "1 … or 2 …" when two entries of the knowledge file are close; which they were stands
in what the case's last text said.
"""

from mawja.dedup.v1 import events_pb2

from services.dedup.normalise import normalise

_LONGEST = 8
_SAID = {"1": 1, "2": 2}


def choice(text: str) -> int:
    """1 or 2 when that is all the text says, in digits of any script; otherwise 0."""
    if len(text) > _LONGEST:
        return 0
    return _SAID.get(normalise(text).strip(" .)"), 0)


def chosen(which: int, before: events_pb2.Triage) -> events_pb2.Triage | None:
    """What a reply says about a case whose last text said `before`: the entry that was chosen, for
    sure. None when nothing was to be chosen."""
    if not which or not before.next_question:
        return None
    triage = events_pb2.Triage()
    triage.CopyFrom(before)
    triage.question = before.question if which == 1 else before.next_question
    triage.question_confidence = 1.0
    triage.next_question, triage.next_question_confidence = "", 0.0
    return triage
