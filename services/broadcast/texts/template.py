"""A campaign's text in one language, with places for each person's fields. Pure.

    Dear {name|citizen}, your appointment is on {day}. {{This stands in braces.}}

`{name}` is a field of the audience by its name; `{name|citizen}` says "citizen" for whom the field
is missing or empty; `{{` and `}}` are braces themselves. There is nothing else: no expressions, no
formats, nothing of a field's value is read as a template, so nothing can be executed. Literal text
stays letter for letter.

An author's mistake is a `Fault`: it names language, position and rule, and all faults of a text are
told at once. A person's field that does not fit is a `FieldError`.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.broadcast.texts import direction
from services.broadcast.texts.fields import MAX_VALUE, FieldError, TooLong, cleaned

LONGEST_NAME = 64
_IN_NAMES = frozenset(" _-./'’()\u200c\u200d")
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e")
_ISOLATES = frozenset("\u2066\u2067\u2068")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a text. `position` counts characters from 1; 0 is the text as a whole."""

    language: str
    position: int
    rule: str

    def __str__(self) -> str:
        where = f"{self.language}, character {self.position}" if self.position else self.language
        return f"{where}: {self.rule}"


class TemplateError(ValueError):
    """A text that can't be used; `faults` says why, in the order of the text."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Field:
    """A place for a field's value. `default` None: there is none. `line` is the direction of the
    line it stands in, "L" or "R"; `isolated`: its author has put it between isolates."""

    name: str
    default: str | None
    position: int
    line: str
    isolated: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was read. `language` is its BCP 47 tag; `pieces` stand in order."""

    language: str
    pieces: tuple[str | Field, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The places for values, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Field))


def parse(language: str, text: str) -> Template:
    """Reads `text`. Raises TemplateError with every fault in it."""
    reader = _Reader(language, text.replace("\r\n", "\n"))
    pieces = reader.read()
    said = any(isinstance(piece, Field) or piece.strip() for piece in pieces)
    if not said and not reader.faults:
        reader.fault(0, "the text is empty; write it, or leave the language out")
    if reader.faults:
        raise TemplateError(tuple(sorted(reader.faults, key=lambda one: one.position)))
    return Template(language, tuple(_with_lines(pieces)))


class _Reader:
    def __init__(self, language: str, text: str) -> None:
        self.faults: list[Fault] = []
        self._language = language
        self._text = text
        self._pieces: list[str | Field] = []
        # Characters of the piece that is being read.
        self._written: list[str] = []
        self._isolates: list[int] = []
        """Where isolates that are still open begin."""

    def fault(self, position: int, rule: str) -> None:
        self.faults.append(Fault(self._language, position, rule))

    def read(self) -> list[str | Field]:
        text, at = self._text, 0
        while at < len(text):
            two = text[at : at + 2]
            if two in ("{{", "}}"):
                self._written.append(two[0])
                at += 2
            elif text[at] == "{":
                at = self._field(at)
            elif text[at] == "}":
                self.fault(at + 1, "this brace closes nothing; write }} for a brace itself")
                at += 1
            else:
                self._character(text[at], at)
                self._written.append(text[at])
                at += 1
        self._end_literal()
        for position in self._isolates:
            self.fault(position, "this direction isolate is not closed; end it with U+2069")
        return self._pieces

    def _end_literal(self) -> None:
        if self._written:
            self._pieces.append("".join(self._written))
            self._written.clear()

    def _character(self, char: str, at: int) -> None:
        category = unicodedata.category(char)
        if category == "Cc" and char != "\n":
            self.fault(at + 1, "this is a control character; delete it")
        elif category == "Cs":
            self.fault(at + 1, "this is half a character; write it again")
        elif char in _OVERRIDES:
            self.fault(
                at + 1, "this mark overrides the order of what follows; use isolates, U+2068 U+2069"
            )
        elif char in _ISOLATES:
            self._isolates.append(at + 1)
        elif char == direction.PDI and self._isolates:
            self._isolates.pop()
        elif char == direction.PDI:
            self.fault(at + 1, "this mark ends a direction isolate, and none is open; delete it")
        elif char == "\n" and self._isolates:
            self.fault(self._isolates[-1], "this direction isolate is not closed in its line")
            self._isolates.clear()

    def _field(self, at: int) -> int:
        """Reads the placeholder that begins at `at`; gives the place after it."""
        text = self._text
        stop = next((i for i in range(at + 1, len(text)) if text[i] in "{}\n"), len(text))
        if stop == len(text) or text[stop] != "}":
            self.fault(at + 1, "this brace is not closed; write {{ for a brace itself")
            return stop
        name, bar, default = text[at + 1 : stop].partition("|")
        name = name.strip(" ")
        if not _is_name(name):
            self.fault(
                at + 1,
                f"a field's name is 1 to {LONGEST_NAME} letters, digits, spaces or _ - . / ' ( ), "
                "and begins with a letter or digit",
            )
        opened = len(self._isolates)
        for place, char in enumerate(default, start=stop - len(default)):
            self._character(char, place)
        if len(self._isolates) != opened:
            self.fault(at + 1, "a direction isolate in a default ends there too")
        isolated = bool(opened)
        self._end_literal()
        self._pieces.append(Field(name, default if bar else None, at + 1, "", isolated))
        return stop + 1


def _is_name(name: str) -> bool:
    return (
        0 < len(name) <= LONGEST_NAME
        and name[0].isalnum()
        and all(
            char.isalnum() or char in _IN_NAMES or unicodedata.category(char)[0] == "M"
            for char in name
        )
    )


def _with_lines(pieces: list[str | Field]) -> list[str | Field]:
    """The pieces with each field's line: by the letters that its author wrote there, else by those
    of the whole text, since a line of values alone belongs to it."""
    literals = "".join(piece if isinstance(piece, str) else "" for piece in pieces)
    general = direction.base(literals) or "L"
    lines = [direction.base(line) or general for line in literals.split("\n")]
    known: list[str | Field] = []
    number = 0
    for piece in pieces:
        if isinstance(piece, str):
            number += piece.count("\n")
            known.append(piece)
        else:
            known.append(
                Field(piece.name, piece.default, piece.position, lines[number], piece.isolated)
            )
    return known


def differences(templates: Mapping[str, Template], reference: str) -> tuple[Fault, ...]:
    """Where translations have other placeholders than the text in the language `reference`, the
    campaign's: fewer, or more of them than stand there."""
    meant = Counter(field.name for field in templates[reference].fields)
    found: list[Fault] = []
    for language, template in templates.items():
        seen: Counter[str] = Counter()
        for field in template.fields:
            seen[field.name] += 1
            if seen[field.name] > meant[field.name]:
                times = _times(meant[field.name])
                rule = f"{{{field.name}}} is one too many; {reference} has {times}"
                found.append(Fault(language, field.position, rule))
        found.extend(
            Fault(
                language,
                0,
                f"{{{name}}} is {'too seldom here' if seen[name] else 'missing'}; "
                f"{reference} has {_times(meant[name])}",
            )
            for name in meant - seen
        )
    return tuple(found)


def _times(number: int) -> str:
    return ("none", "it once")[number] if number < 2 else f"it {number} times"


def render(
    template: Template,
    values: Mapping[str, str],
    holds: Callable[[str], bool],
    limits: Mapping[str, int] | None = None,
) -> str:
    """The text for a person whose fields are `values`; what the template does not name is ignored.

    `holds` says whether the carrier can write a text without UCS-2 (`segments.Wire.holds`): then
    it has no isolates, and what it writes can't have them. `limits` is the longest value in
    characters by field, `MAX_VALUE` where it says nothing. Raises FieldError.
    """
    filled = [
        piece if isinstance(piece, str) else _value(template, piece, values, limits or {})
        for piece in template.pieces
    ]
    text = "".join(filled)
    if holds(text):
        return text
    return "".join(
        direction.isolated(value)
        if isinstance(piece, Field)
        and not piece.isolated
        and direction.needs_isolate(value, piece.line)
        else value
        for piece, value in zip(template.pieces, filled, strict=True)
    )


def gaps(template: Template, values: Mapping[str, str]) -> Iterator[FieldError]:
    """What `render` would raise for a person whose fields are `values`, of every field once."""
    told = set[str]()
    for field in template.fields:
        try:
            _value(template, field, values, {})
        except FieldError as error:
            if field.name not in told:
                told.add(field.name)
                yield error


def _value(
    template: Template, field: Field, values: Mapping[str, str], limits: Mapping[str, int]
) -> str:
    value = cleaned(values.get(field.name, ""))
    if not value:
        if field.default is None:
            raise FieldError(
                template.language,
                field.position,
                field.name,
                "has no value and the text no default; give either",
            )
        return field.default
    limit = limits.get(field.name, MAX_VALUE)
    if len(value) > limit:
        raise TooLong(
            template.language,
            field.position,
            field.name,
            f"is longer than {limit} characters; shorten it or raise the limit",
        )
    return value
