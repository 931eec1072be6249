"""The files of ``filedrop.py``: a batch written so that it is there as a whole or not at all, and
receipts as the carrier writes them.
"""

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.broadcast.carriers.base import OutMessage, Receipt
from services.broadcast.carriers.entries import Unreadable
from services.broadcast.carriers.http import receipt_of
from services.broadcast.carriers.specs import Format

FIELDS = ("id", "to", "from", "text", "parts", "reference", "not_after")
LARGEST = 64 * 1024 * 1024
"""Bytes of a file of receipts."""
_MODE = 0o640


class Drop:
    """One batch on its way into the outbox."""

    def __init__(self, folder: Path, name: str, form: Format) -> None:
        self._folder = folder
        self._file = folder / f"{name}.{form}"
        self._manifest = folder / f"{name}.manifest.json"
        self._form: Format = form
        self.counts = False
        """The carrier may fetch it."""

    def write(self, messages: Sequence[OutMessage], write_by: float) -> bool:
        """Writes the batch, for good when it returns True. False: it was too late
        (``time.monotonic()`` seconds), and nothing is left of it. Raises OSError."""
        octets = written(messages, self._form)
        manifest = {
            "file": self._file.name,
            "messages": len(messages),
            "sha256": hashlib.sha256(octets).hexdigest(),
        }
        try:
            self._put(self._file, octets)
            hidden = self._hidden(self._manifest, json.dumps(manifest).encode())
            if time.monotonic() <= write_by:
                self.counts = True
                hidden.rename(self._manifest)
        finally:
            if not self.counts:
                for path in (self._file, self._hide(self._file), self._hide(self._manifest)):
                    path.unlink(missing_ok=True)
        if self.counts:
            self._sync()
        return self.counts

    def _put(self, path: Path, octets: bytes) -> None:
        self._hidden(path, octets).rename(path)
        # The messages' name must last before the manifest's does.
        self._sync()

    def _hide(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.tmp")

    def _hidden(self, path: Path, octets: bytes) -> Path:
        hidden = self._hide(path)
        with open(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        return hidden

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def written(messages: Sequence[OutMessage], form: Format) -> bytes:
    """The messages as the file holds them, UTF-8."""
    rows = [_row(message) for message in messages]
    if form == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(message: OutMessage) -> dict[str, Any]:
    until = ""
    if message.not_after is not None:
        until = datetime.fromtimestamp(message.not_after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": message.key,
        "to": message.destination,
        "from": message.sender,
        "text": message.text,
        "parts": message.parts,
        "reference": message.reference,
        "not_after": until,
    }


def read_receipts(path: Path, form: Format) -> tuple[list[Receipt], list[tuple[int, str]]]:
    """The receipts of a file, and the line and rule of each that can't be read.

    Raises ValueError for a file that is none, FileNotFoundError when it is gone, OSError.
    """
    with path.open("rb") as file:
        octets = file.read(LARGEST + 1)
    if len(octets) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes; divide it")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    receipts: list[Receipt] = []
    bad: list[tuple[int, str]] = []
    for line, entry in _entries(text, form):
        try:
            if entry is None:
                raise Unreadable("the line", "is not an object of JSON")
            receipts.append(receipt_of(entry))
        except Unreadable as error:
            bad.append((line, str(error)))
    return receipts, bad


def _entries(text: str, form: Format) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    if form == "csv":
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if "to" not in (rows.fieldnames or ()) or "status" not in (rows.fieldnames or ()):
            raise ValueError("its first line must name the columns, `to` and `status` among them")
        try:
            for row in rows:
                yield rows.line_num, row
        except csv.Error:
            raise ValueError(f"it is not CSV at line {rows.line_num}") from None
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            # A reference may be written as a number.
            if isinstance(entry, dict) and isinstance(entry.get("reference"), int):
                entry["reference"] = str(entry["reference"])
            yield number, entry if isinstance(entry, dict) else None
