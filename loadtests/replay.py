"""Real messages from a CSV as a surge: one SMS a row, from a synthetic number per id.

One bad row must not cost the others, not even one whose quote is never closed: each row that can't
be sent is kept with its line and the reason, and reading goes on at the next line.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.people import number
from loadtests.steps import Step, Submit, Truth


class ReplayError(ValueError):
    """A file that can't be replayed at all; the sentence says why."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not sent: the line of the file where it begins, from 1, and the reason."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Message:
    id: str
    text: str
    number: str


class Replay:
    """Messages to be performed: iterate it for its steps. Each iteration gives the same ones.

    A row that repeats an id with the same text is sent again under the same key at the same
    virtual second, as a gateway's retry; with another text it is a bad row.
    """

    def __init__(
        self, messages: Sequence[_Message], bad_rows: Sequence[BadRow], over_s: float, prefix: str
    ) -> None:
        self.bad_rows = tuple(bad_rows)
        self.over_s = over_s
        self.prefix = prefix
        self.truth = Truth()
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Step]:
        self.truth = Truth()
        return self._steps(self.truth)

    def _steps(self, truth: Truth) -> Iterator[Step]:
        by_id: dict[str, list[_Message]] = {}
        for message in self._messages:
            by_id.setdefault(message.id, []).append(message)
        for i, (id_, rows) in enumerate(by_id.items()):
            truth.people += 1
            truth.needs += 1
            for message in rows:
                truth.calls += 1
                truth.dialled += 1
                yield _submit(f"{self.prefix}/{id_}", i * self.over_s / len(by_id), message)


def replay(path: Path | str, *, over_s: float = 600.0, prefix: str | None = None) -> Replay:
    """A script of the SMS in a CSV with the columns `id`, and `original` or `message` or both.

    The text is `original`, or `message` where that is blank. Messages are spread evenly over
    `over_s` virtual seconds. Keys are `<prefix>/<id>`, by default `replay/<name of the file>/<id>`.
    Raises `ReplayError` for a file without these columns or without a row.
    """
    path = Path(path)
    if over_s <= 0:
        raise ReplayError(f"a replay lasts more than 0 seconds, not {over_s}")
    try:
        # Bytes that are no UTF-8 must cost one row only, so they are let through and found there.
        content = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as wrong:
        raise ReplayError(f"{path}: can't be read: {wrong.strerror}") from None
    lines = _Lines([line + "\n" for line in content.split("\n")])
    try:
        header = [h.strip().lower() for h in next(csv.reader(lines, strict=True), [])]
    except csv.Error as wrong:
        raise ReplayError(f"{path.name} line 1: is not a CSV header ({wrong})") from None
    if "id" not in header or not {"original", "message"} & set(header):
        raise ReplayError(f"{path.name} line 1: needs the columns id, and original or message")
    messages, bad_rows = _messages(lines, header)
    if not messages:
        raise ReplayError(f"{path.name}: has no row that can be sent ({len(bad_rows)} bad rows)")
    return Replay(messages, bad_rows, over_s, prefix or f"replay/{path.stem}")


class _Lines:
    """Lines of a file with a position that can be set back."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.at >= len(self.lines):
            raise StopIteration
        self.at += 1
        return self.lines[self.at - 1]


def _messages(lines: _Lines, header: list[str]) -> tuple[list[_Message], list[BadRow]]:
    messages: list[_Message] = []
    bad_rows: list[BadRow] = []
    first: dict[str, tuple[int, _Message]] = {}
    numbers: set[int] = set()
    while lines.at < len(lines.lines):
        begin = lines.at
        row, reason = _row(lines, header)
        if reason is not None:
            bad_rows.append(BadRow(begin + 1, reason))
            # A quote left open has swallowed the rows after it: give them back.
            lines.at = begin + 1
            continue
        if row is None:
            continue
        id_ = row["id"].strip()
        text = row.get("original", "").strip() or row.get("message", "").strip()
        if not id_:
            bad_rows.append(BadRow(begin + 1, "has no id"))
        elif not text:
            bad_rows.append(BadRow(begin + 1, "has no text"))
        elif any("\udc80" <= c <= "\udcff" for c in id_ + text):
            bad_rows.append(BadRow(begin + 1, "is not UTF-8 text"))
        elif id_ not in first:
            message = _Message(id_, text, number(0, _index(id_, numbers)))
            first[id_] = (begin + 1, message)
            messages.append(message)
        elif first[id_][1].text == text:
            messages.append(first[id_][1])
        else:
            where = first[id_][0]
            bad_rows.append(BadRow(begin + 1, f"has the id of line {where} with another text"))
    return messages, bad_rows


def _row(lines: _Lines, header: list[str]) -> tuple[dict[str, str] | None, str | None]:
    try:
        cells = next(csv.reader(lines, strict=True), [])
    except csv.Error as wrong:
        return None, f"is not CSV ({wrong})"
    if not any(cell.strip() for cell in cells):
        return None, None
    if len(cells) != len(header):
        return None, f"has {len(cells)} columns, the header has {len(header)}"
    return dict(zip(header, cells, strict=True)), None


def _index(id_: str, taken: set[int]) -> int:
    """A number's index from the id alone, the next free one where two ids meet."""
    index = int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest()) % 10**8
    while index in taken:
        index = (index + 1) % 10**8
    taken.add(index)
    return index


def _submit(key: str, at: float, message: _Message) -> Submit:
    return Submit(
        at=at,
        key=key,
        person=message.id,
        need=message.id,
        topic=None,
        family=None,
        reason="new",
        attempt=1,
        channel="sms",
        kind="request",
        number=message.number,
        handle=None,
        shared_number=False,
        organisation=False,
        line=None,
        agency=None,
        language=None,
        speaks=None,
        text=message.text,
        place=None,
        life_safety=False,
    )
