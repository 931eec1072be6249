"""The SMS centre's own record of every submit: the outside witness of who was sent what.

One JSON object a line, handed to the operating system before the submit is answered, so that it
survives a kill of the SMS centre. This module writes lines, reads them back, joins parts as a
phone would, and finds what a phone would have shown twice.

Keys: ``t`` Unix seconds, ``to``, ``from``, ``dc`` data_coding, ``udhi``, ``hex`` payload with its
header, ``ref``/``total``/``seq`` of the concatenation or null, ``umr`` user_message_reference or
null, ``until`` validity as written, ``id`` the carrier's id in decimal or null if refused,
``status`` of the answer or null if it was never answered, ``bind`` the system id.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.smpp_text import Alphabet, Concat, join_payloads


@dataclass(frozen=True, slots=True)
class Submit:
    """One ``submit_sm`` as the SMS centre saw it.

    ``carrier_id`` is None if it was refused; ``status`` is None if it was never answered.
    ``destination`` and ``sender`` are as on the wire (E.164 without plus).
    """

    t: float
    destination: str
    sender: str
    data_coding: int
    udhi: bool
    payload: bytes
    concat: Concat | None
    reference: int | None
    validity: str
    carrier_id: str | None
    status: int | None
    system_id: str

    @property
    def accepted(self) -> bool:
        """Whether the SMS centre took it, that is, whether a phone gets it."""
        return self.carrier_id is not None


@dataclass(frozen=True, slots=True)
class Message:
    """What a phone shows: a text from its parts. An incomplete one has text None."""

    destination: str
    sender: str
    text: str | None
    parts: tuple[Submit, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same text to the same phone more than once, or parts of it again (``text`` None)."""

    destination: str
    text: str | None
    count: int
    parts: tuple[Submit, ...]


_PLAIN = re.compile(r"[A-Za-z0-9 +._-]*")


def line_of(submit: Submit) -> bytes:
    """The record line of a submit, newline included."""
    concat = submit.concat
    place = (
        f'"ref":{concat.reference},"total":{concat.total},"seq":{concat.sequence}'
        if concat
        else '"ref":null,"total":null,"seq":null'
    )
    line = (
        f'{{"t":{submit.t:.6f},"to":{_string(submit.destination)},"from":{_string(submit.sender)},'
        f'"dc":{submit.data_coding},"udhi":{"true" if submit.udhi else "false"},'
        f'"hex":"{submit.payload.hex()}",{place},"umr":{_number(submit.reference)},'
        f'"until":{_string(submit.validity)},'
        f'"id":{"null" if submit.carrier_id is None else _string(submit.carrier_id)},'
        f'"status":{_number(submit.status)},"bind":{_string(submit.system_id)}}}\n'
    )
    return line.encode()


def _string(value: str) -> str:
    return f'"{value}"' if _PLAIN.fullmatch(value) else json.dumps(value)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


class RecordFile:
    """The append-only file. A torn last line was never answered, so it is cut off."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.last_id = 0
        """Highest id in the file: ids are never used again, also after a restart."""
        whole = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                found = re.search(rb'"id":"(\d+)"', line)
                if found:
                    self.last_id = max(self.last_id, int(found[1]))
        os.ftruncate(self._fd, whole)
        self._size = whole

    def append(self, lines: Sequence[bytes]) -> None:
        """Hand lines to the operating system; OSError (disk full) leaves none of them behind."""
        data = b"".join(lines)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += done

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class RecordReader:
    """Reads a record, and what is added to it later."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._read = 0
        self._lines = 0

    def more(self) -> Iterator[Submit]:
        """Every submit that was not read yet, in order of arrival.

        A torn last line is left out (it was never answered); any other broken line is a ValueError
        that names it, since a record with holes proves nothing.
        """
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                self._lines += 1
                try:
                    submit = _submit(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"{self._path}, line {self._lines}: not a submit record: {error!r}"
                    ) from None
                yield submit


def read_record(path: Path | str) -> Iterator[Submit]:
    """Every submit in a record, in order of arrival; see `RecordReader`."""
    return RecordReader(path).more()


def _submit(row: dict[str, object]) -> Submit:
    def text(key: str) -> str:
        value = row[key]
        if not isinstance(value, str):
            raise TypeError(key)
        return value

    def number(key: str) -> int | None:
        value = row[key]
        if value is not None and not isinstance(value, int):
            raise TypeError(key)
        return value

    when = row["t"]
    if not isinstance(when, int | float):
        raise TypeError("t")
    reference, total, sequence = number("ref"), number("total"), number("seq")
    concat = (
        Concat(reference, total, sequence)
        if reference is not None and total is not None and sequence is not None
        else None
    )
    return Submit(
        t=float(when),
        destination=text("to"),
        sender=text("from"),
        data_coding=number("dc") or 0,
        udhi=row["udhi"] is True,
        payload=bytes.fromhex(text("hex")),
        concat=concat,
        reference=number("umr"),
        validity=text("until"),
        carrier_id=None if row["id"] is None else text("id"),
        status=number("status"),
        system_id=text("bind"),
    )


def reassemble(submits: Iterable[Submit], alphabet: Alphabet = Alphabet.GSM7) -> list[Message]:
    """Join accepted parts into messages as a phone does; in order of their first part.

    Parts belong together by destination, sender, reference and total. A part that its message
    has already begins another message; a part that several lack goes to the newest.
    """
    messages: list[list[Submit]] = []
    open_by_key: dict[tuple[str, str, int, int, int], list[dict[int, Submit]]] = defaultdict(list)
    whole: list[dict[int, Submit] | Submit] = []
    for submit in submits:
        if not submit.accepted:
            continue
        concat = submit.concat
        if concat is None:
            whole.append(submit)
            continue
        key = (
            submit.destination,
            submit.sender,
            concat.reference,
            concat.total,
            submit.data_coding,
        )
        groups = open_by_key[key]
        group = next((one for one in reversed(groups) if concat.sequence not in one), None)
        if group is None:
            group = {}
            groups.append(group)
            whole.append(group)
        group[concat.sequence] = submit
        if len(group) == concat.total:
            groups.remove(group)
    for one in whole:
        messages.append([one] if isinstance(one, Submit) else [one[key] for key in sorted(one)])
    return [_message(parts, alphabet) for parts in messages]


def _message(parts: list[Submit], alphabet: Alphabet) -> Message:
    first = parts[0]
    complete = first.concat is None or len(parts) == first.concat.total
    text = (
        join_payloads((one.payload for one in parts), first.data_coding, first.udhi, alphabet)
        if complete
        else None
    )
    return Message(first.destination, first.sender, text, tuple(parts), complete)


def duplicates(submits: Iterable[Submit], alphabet: Alphabet = Alphabet.GSM7) -> list[Duplicate]:
    """Whatever a phone got more than once.

    The same complete text to the same destination (``count`` times), and leftover parts that the
    destination already has under the same reference, whole or not (``text`` None, ``count``
    leftover parts). Parts of two messages that merely begin alike have other references.
    """
    messages = reassemble(submits, alphabet)
    same: dict[tuple[str, str | bytes], list[Message]] = defaultdict(list)
    parts_seen: dict[tuple[str, Concat | None, bytes], int] = defaultdict(int)
    for message in messages:
        if message.complete:
            content = message.text
            octets = b"".join(one.payload for one in message.parts)
            same[message.destination, octets if content is None else content].append(message)
            for part in message.parts:
                parts_seen[_content(part)] += 1
    found = [
        Duplicate(key[0], group[0].text, len(group), tuple(p for one in group for p in one.parts))
        for key, group in same.items()
        if len(group) > 1
    ]
    for message in messages:
        if message.complete:
            continue
        again = tuple(part for part in message.parts if parts_seen[_content(part)])
        for part in message.parts:
            parts_seen[_content(part)] += 1
        if again:
            found.append(Duplicate(message.destination, None, len(again), again))
    return found


def _content(part: Submit) -> tuple[str, Concat | None, bytes]:
    return part.destination, part.concat, part.payload
