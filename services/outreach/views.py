"""How callbacks stand in Redis: by id, the due ones in the order in which to call, and by agent.

The order is the house's promise: life-safety before everybody, then who was promised a time that
has come, then whoever reached out first. The lists of due ones are by agency and by language, so
that an agent who speaks one of ten finds the next person without reading the others. Callbacks of
drills have lists of their own, and exercises those of the agent who practises: what a list holds
is never mixed.
"""

import re
from collections.abc import Iterator

from mawja.outreach.v1 import events_pb2

from services.outreach.working import (
    CLAIMED,
    COMPLETED,
    DRILL,
    DUE,
    GIVEN_UP,
    PRACTICE,
    REAL,
    Work,
    work_of,
)
from services.runtime import ids
from services.runtime.store import IndexOp, Item

ROOM = "outreach"
UNKNOWN = "und"
"""The language of those of whom nobody knows it (ISO 639)."""
# Above every place in milliseconds until the year 2128, and exact in Redis's doubles.
_BEHIND = 5e12
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def key(callback_id: str) -> str:
    """Where a callback stands."""
    return f"{ROOM}:callback:{callback_id}"


_PLACES: dict[Work, str] = {REAL: "due", DRILL: "drill-due", PRACTICE: "practice-due"}


def due_index(agency: str, language: str = "", work: Work = REAL) -> str:
    """The sorted set of due callback ids of one work: of one agency, or of all when `agency` is
    empty; and of one language (see `language_of`), or of all when `language` is empty. Of practice
    the lists are those of an agent: `agency` is then what `trainee` gives."""
    name = f"{ROOM}:{_PLACES[work]}:{agency}"
    return f"{name}:{language}" if language else name


def trainee(subject: str) -> str:
    """An agent, in the names of lists of exercises."""
    return ids.derive("agent", subject)


def practised_index(subject: str) -> str:
    """The sorted set of the exercises that an agent completed, the latest first; of all agents when
    `subject` is empty."""
    return f"{ROOM}:practised:{trainee(subject) if subject else ''}"


def held_index(subject: str) -> str:
    """The sorted set of the callback ids that an agent has claimed."""
    return f"{ROOM}:held:{ids.derive('agent', subject)}"


def language_of(callback: events_pb2.Callback) -> str:
    """The language in whose list a callback is: ISO 639, without region or script."""
    language = callback.language.lower().partition("-")[0]
    return language if _LANGUAGE.fullmatch(language) else UNKNOWN


def score(callback: events_pb2.Callback) -> float:
    """The place in the order of calling; lowest first."""
    if callback.life_safety:
        return float(callback.place_ms)
    return callback.place_ms + (_BEHIND if callback.promised_until_ms else 2 * _BEHIND)


def _lists(callback: events_pb2.Callback) -> Iterator[str]:
    language, work = language_of(callback), work_of(callback)
    of = {trainee(callback.exercise.agent)} if work == PRACTICE else {"", callback.agency}
    for one in of:
        yield due_index(one, "", work)
        yield due_index(one, language, work)


def item(
    callback: events_pb2.Callback, offset: int, before: events_pb2.Callback | None = None
) -> Item:
    """The view entry of a callback decided at `offset`; `before` is how it stood until then.

    The number and the note are left out: nobody reads them here.
    """
    shown = events_pb2.Callback()
    shown.CopyFrom(callback)
    shown.ClearField("sealed_number")
    shown.ClearField("sealed_note")
    member = callback.callback_id.encode()
    place = score(callback) if callback.state == DUE else None
    lists = set(_lists(callback))
    operations = [IndexOp(name, member, place) for name in sorted(lists)]
    if before is not None:
        operations += [IndexOp(name, member, None) for name in sorted(set(_lists(before)) - lists)]
        if before.claimed_by not in ("", callback.claimed_by):
            operations.append(IndexOp(held_index(before.claimed_by), member, None))
    if callback.claimed_by:
        # Its last holder stands on it for ever, so that a new owner can take it off their list.
        since = float(callback.claimed_ms) if callback.state == CLAIMED else None
        operations.append(IndexOp(held_index(callback.claimed_by), member, since))
    if work_of(callback) == PRACTICE and callback.state in (COMPLETED, GIVEN_UP):
        # Given up is an end too, but nothing that could be judged.
        latest = -float(callback.decided_ms) if callback.state == COMPLETED else None
        operations += [
            IndexOp(practised_index(subject), member, latest)
            for subject in ("", callback.exercise.agent)
        ]
    return Item(key(callback.callback_id), shown.SerializeToString(), offset, tuple(operations))
