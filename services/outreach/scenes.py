"""Scenes: what happens to people, and what a playbook should do then. Pure.

The section `tests` of a playbook holds scenes with what is expected; a file of recorded events is
one long scene without.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import yaml

from services.outreach.reader import FieldNodes, Reader, join
from services.outreach.rules import CHANNELS
from services.runtime.spans import span_ms

HAPPENS = (
    "contact",
    "abandoned",
    "answered",
    "resolved",
    "reopened",
    "assigned",
    "confirmed",
    "burst",
    "incident",
)
"""What can happen to a case: somebody reaches out about it (for the first time: it is opened), the
caller hangs up, an agent answers, the need is met or comes back, an agent takes it, or confirms
what was handed over; a burst or an incident is of many people."""
LINES = ("mobile", "landline", "withheld")
WHAT = ("message", "callback", "hand-over", "announcement", "proposal")
_LONGEST_MS = 30 * 86_400_000
_AT = "must be a number and s, m, h or d after the beginning, e.g. 30m, or 0s, to 30d"
_WORD = re.compile(r"\S{1,64}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens `at_ms` after the beginning of a scene. `question`: the entry of the
    knowledge file that the contact asks for, surely; `instead`: one that is as likely."""

    at_ms: int
    what: str
    case: str = "a"
    person: str = "a"
    channel: int = CHANNELS["sms"]
    language: str = "ar"
    agency: str = ""
    line: str = ""
    number: str = "mobile"
    life_safety: bool = False
    confidence: float = 1.0
    question: str = ""
    people: int = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What a playbook should do `at_ms` after the beginning. `language`: of the message; "" any.
    `to`: who is told of what is handed over; "" any."""

    at_ms: int
    what: str
    case: str = "a"
    language: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene. `line`: in the file, from 1. `until_ms`: when it ends, after its beginning."""

    name: str
    line: int
    given: tuple[Happening, ...]
    expect: tuple[Expected, ...]
    until_ms: int


def read(reader: Reader, node: yaml.Node, at: str) -> tuple[Scene, ...]:
    """The scenes in the section `tests`."""
    found = []
    for i, item in enumerate(reader.items(node, at)):
        where = f"{at}[{i}]"
        fields = reader.fields(item, where, ("name", "given", "expect"), ("until",))
        name = _one(reader, fields, where, "name", lambda text: text.strip() or None, "", "a name")
        given = [
            happening(reader, one, f"{where}.given[{n}]")
            for n, one in enumerate(
                reader.items(fields["given"], f"{where}.given") if "given" in fields else ()
            )
        ]
        expect = [
            _expected(reader, one, f"{where}.expect[{n}]")
            for n, one in enumerate(_maybe_none(reader, fields, f"{where}.expect"))
        ]
        until_ms = _one(reader, fields, where, "until", _at, 86_400_000, _AT)
        line = item.start_mark.line + 1
        found.append(Scene(name, line, tuple(given), tuple(expect), until_ms))
    return tuple(found)


def _maybe_none(reader: Reader, fields: FieldNodes, at: str) -> list[yaml.Node]:
    """A list that may be empty: nothing is expected."""
    node = fields.get("expect")
    if node is None or (isinstance(node, yaml.SequenceNode) and not node.value):
        return []
    return reader.items(node, at)


def happening(reader: Reader, node: yaml.Node, at: str) -> Happening:
    """What happens, as a mapping says it."""
    fields = reader.fields(
        node,
        at,
        ("event",),
        (
            "at",
            "case",
            "person",
            "channel",
            "language",
            "agency",
            "line",
            "number",
            "life-safety",
            "confidence",
            "question",
            "people",
        ),
    )
    case = _one(reader, fields, at, "case", _word, "a", "must be a word")
    return Happening(
        at_ms=_one(reader, fields, at, "at", _at, 0, _AT),
        what=_of(reader, fields, at, "event", HAPPENS, "contact"),
        case=case,
        person=_one(reader, fields, at, "person", _word, case, "must be a word"),
        channel=CHANNELS[_of(reader, fields, at, "channel", tuple(CHANNELS), "sms")],
        language=_one(reader, fields, at, "language", _any, "ar", "must be a language"),
        agency=_one(reader, fields, at, "agency", _any, "", "must be a code"),
        line=_one(reader, fields, at, "line", _any, "", "must be a line"),
        number=_of(reader, fields, at, "number", LINES, "mobile"),
        life_safety=_of(reader, fields, at, "life-safety", ("true", "false"), "false") == "true",
        confidence=_one(
            reader, fields, at, "confidence", _share, 1.0, "must be a number from 0 to 1"
        ),
        question=_one(reader, fields, at, "question", _any, "", "must be an entry's name"),
        people=_one(
            reader,
            fields,
            at,
            "people",
            lambda text: int(text) if re.fullmatch("[1-9][0-9]{0,6}", text) else None,
            1,
            "must be a whole number",
        ),
    )


def _expected(reader: Reader, node: yaml.Node, at: str) -> Expected:
    fields = reader.fields(node, at, ("do",), ("at", "case", "language", "to"))
    return Expected(
        at_ms=_one(reader, fields, at, "at", _at, 0, _AT),
        what=_of(reader, fields, at, "do", WHAT, "message"),
        case=_one(reader, fields, at, "case", _word, "a", "must be a word"),
        language=_one(reader, fields, at, "language", _any, "", "must be a language"),
        to=_one(reader, fields, at, "to", _any, "", "must be who is told"),
    )


def _of(
    reader: Reader, fields: FieldNodes, at: str, name: str, of: tuple[str, ...], default: str
) -> str:
    rule = f"must be {', '.join(of)}"
    return _one(reader, fields, at, name, lambda text: text if text in of else None, default, rule)


def _one(
    reader: Reader,
    fields: FieldNodes,
    at: str,
    name: str,
    read: Callable[[str], _T | None],
    default: _T,
    rule: str,
) -> _T:
    if name not in fields:
        return default
    found = reader.scalar(fields[name], join(at, name), read, rule)
    return default if found is None else found


def _at(text: str) -> int | None:
    if text == "0s":
        return 0
    found = span_ms(text)
    return found if found is not None and found <= _LONGEST_MS else None


def _word(text: str) -> str | None:
    return text if _WORD.fullmatch(text) else None


def _any(text: str) -> str | None:
    return text if len(text) <= 64 else None


def _share(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None
