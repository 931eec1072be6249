"""Reads a file of what happened to people, to be played through playbooks: CSV or a JSON a line."""

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from services.outreach import scenes
from services.outreach.reader import Reader
from services.outreach.scenes import Happening
from services.runtime.errors import ConfigError

_SHOWN = 20
"""Mistakes that are told; a wrong file has one in every line."""


def read(path: Path) -> list[tuple[int, Happening]]:
    """(when in Unix ms, what), in order of time. Raises ConfigError naming line and field."""
    if path.suffix.lower() in (".yaml", ".yml"):
        raise ConfigError(
            f"{path} looks like a playbook; what happened is a CSV with headings or a JSON "
            "object a line. Name playbooks with --playbooks FOLDER; `mawja playbook check FOLDER` "
            "says whether they are right"
        )
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text ({type(error).__name__})") from None
    reader = Reader(str(path))
    found: list[tuple[int, Happening]] = []
    for line, row in _rows(path, text, reader):
        mark = yaml.Mark(str(path), 0, line - 1, 0, None, 0)
        at = row.pop("at", None)
        node = yaml.MappingNode(
            "map",
            [(_scalar(name, mark), _scalar(value, mark)) for name, value in row.items() if value],
            mark,
        )
        at_ms = _time(at or "")
        if at_ms is None:
            reader.wrong(node, "at", "must be a time such as 2026-11-22T10:00:00+04:00 or Unix ms")
        one = scenes.happening(reader, node, "")
        if at_ms is not None:
            found.append((at_ms, one))
    if reader.problems:
        more = len(reader.problems) - _SHOWN
        told = reader.problems[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
        raise ConfigError("\n".join(told))
    return sorted(found, key=lambda one: one[0])


def _rows(path: Path, text: str, reader: Reader) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields) of each row."""
    if path.suffix.lower() == ".csv":
        rows = csv.DictReader(text.splitlines())
        for row in rows:
            yield rows.line_num, {str(k): v for k, v in row.items() if isinstance(v, str)}
        return
    for line, one in enumerate(text.splitlines(), start=1):
        if not one.strip():
            continue
        try:
            found = json.loads(one)
        except ValueError:
            found = None
        if isinstance(found, Mapping):
            yield line, {str(k): _said(v) for k, v in found.items()}
        else:
            reader.problems.append(f"{path}: line {line}: is no JSON object")


def _said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _scalar(value: str, mark: yaml.Mark) -> yaml.ScalarNode:
    return yaml.ScalarNode("str", value, mark)


def _time(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
