"""A report as a document: what stands in it, in which order; not how it looks. Pure.

Who tells facts makes one; who writes HTML or PDF reads one. Texts are plain: whoever writes them
escapes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Tone = Literal["plain", "note", "good", "bad"]
Direction = Literal["rtl", "ltr"]


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section. `fresh`: on a new page, where there are pages."""

    text: str
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text. `tone`: a note is small; good and bad are set off."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is to be seen at once, what it is, and what it is of."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Some of them."""

    items: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `number`: stands at the end, so that digits are below digits."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. `minor`: rows that belong to the one before; `total`: whether the last
    row is the sum; `marked`: cells (row, column) that are to be seen at once. Without titles there
    is no head."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    minor: frozenset[int] = frozenset()
    total: bool = False
    marked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture as SVG, and what it shows in words."""

    svg: str
    says: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A text as people got it, in its own direction, under a title."""

    title: str
    text: str
    language: str
    direction: Direction


Block: TypeAlias = Heading | Paragraph | Figures | Table | Chart | Quote


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. `banner`: stands on every page, "" for none; `mark`: a word that stands large
    behind every page, "" for none; `page_of`: with {page} and {pages}; `made_ms`: Unix
    milliseconds."""

    title: str
    name: str
    lines: Sequence[str]
    banner: str
    page_of: str
    language: str
    direction: Direction
    made_ms: int
    blocks: Sequence[Block]
    mark: str = ""
