"""Reads the knowledge file: the one that MAWJA_KNOWLEDGE names, or the shipped examples.

A file is read whole and refused at the start of both rooms that use it when anything is wrong.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from services.runtime.errors import ConfigError
from services.runtime.knowledge import NEEDED, Entry, Knowledge
from services.runtime.smpp_text import Alphabet
from services.runtime.yamls import texts_of, yaml_of

LONGEST_LATIN = 460
"""Characters of an answer in the 7-bit alphabet: with who writes, the case's number and that it is
automatic, 4 parts of an SMS, or 5 (3GPP TS 23.040: 153 to a part)."""
LONGEST_OTHER = 200
"""UTF-16 units of any other answer, for the same reason (67 to a part)."""
_LONGEST_ASK = 60
_HEAD = {"version", "sure", "ask", "close", "asking", "entries"}
_ENTRY = {
    "version",
    "agency",
    "topic",
    "questions",
    "ask",
    "answer",
    "valid_from",
    "valid_until",
}
_APPROVAL = frozenset({"approver", "approved_on"})
_CODE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_FORMAT = 1


def read(path: Path | None = None) -> Knowledge:
    """The knowledge in the file at `path`, or the shipped examples. Raises ConfigError."""
    if path is None:
        shipped = files(__package__) / "knowledge.yaml"
        return parse(shipped.read_text("utf-8"), shipped.name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_KNOWLEDGE: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    return parse(text, path.name)


def parse(text: str, file: str) -> Knowledge:
    """The knowledge in a file's `text`. Raises ConfigError naming `file`, entry, field and rule."""
    given = _mapping(file, yaml_of(file, text), _HEAD, frozenset({"examples"}))
    if given["version"] != _FORMAT:
        raise ConfigError(f"{file}: version must be {_FORMAT}: how the file is written")
    examples = given.get("examples", False)
    if not isinstance(examples, bool):
        raise ConfigError(f"{file}: examples must be true, or left out")
    sure, ask, close = (_share(f"{file}: {name}", given[name]) for name in ("sure", "ask", "close"))
    if ask > sure:
        raise ConfigError(f"{file}: ask must not be above sure")
    entries = given["entries"]
    if not isinstance(entries, dict):
        raise ConfigError(f"{file}: entries must be names, each with its entry; or {{}}")
    return Knowledge(
        examples=examples,
        sure=sure,
        ask=ask,
        close=close,
        asking=_lists(f"{file}: asking", given["asking"]),
        entries={str(name): _entry(file, str(name), one) for name, one in entries.items()},
    )


def _entry(file: str, name: str, given: Any) -> Entry:
    where = f"{file}: {name}"
    _code(where, name)
    given = _mapping(where, given, _ENTRY, _APPROVAL)
    version = given["version"]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError(f"{where}: version must be a whole number from 1")
    for field in ("agency", "topic"):
        _code(f"{where}: {field}", str(given[field]))
    valid_from_ms = _time_ms(f"{where}: valid_from", given["valid_from"])
    valid_until_ms = _time_ms(f"{where}: valid_until", given["valid_until"])
    if valid_from_ms >= valid_until_ms:
        raise ConfigError(f"{where}: valid_until must be after valid_from")
    approver, approved_ms = _approval(where, given)
    entry = Entry(
        name=name,
        version=version,
        agency=str(given["agency"]),
        topic=str(given["topic"]),
        questions=_lists(f"{where}: questions", given["questions"]),
        ask=_texts(f"{where}: ask", given["ask"]),
        answer=_texts(f"{where}: answer", given["answer"]),
        valid_from_ms=valid_from_ms,
        valid_until_ms=valid_until_ms,
        approver=approver,
        approved_ms=approved_ms,
    )
    for language, text in entry.ask.items():
        if len(text) > _LONGEST_ASK:
            raise ConfigError(f"{where}: ask, {language}: at most {_LONGEST_ASK} characters")
    for language, text in entry.answer.items():
        _length(f"{where}: answer, {language}", text)
    return entry


def _approval(where: str, given: Mapping[str, Any]) -> tuple[str, int]:
    """(staff id, when); ("", 0) for a draft."""
    if not set(given) & _APPROVAL:
        return "", 0
    if not set(given) >= _APPROVAL:
        raise ConfigError(f"{where}: approver and approved_on go together; a draft has neither")
    approver = given["approver"]
    if not isinstance(approver, str) or not approver.strip():
        raise ConfigError(f"{where}: approver must be a staff id")
    return approver, _time_ms(f"{where}: approved_on", given["approved_on"])


def _mapping(where: str, given: object, needed: set[str], allowed: frozenset[str]) -> Any:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: names and values, one a line")
    if odd := (needed - set(given)) | (set(given) - needed - allowed):
        raise ConfigError(f"{where}: missing or not known: {', '.join(sorted(map(str, odd)))}")
    return given


def _lists(where: str, given: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"{where}: must be lists of texts by language")
    lists = {}
    for language, listed in given.items():
        texts = texts_of(f"{where}, {language}", listed)
        if not texts or not all(text.strip() for text in texts):
            raise ConfigError(f"{where}, {language}: must be a list of one text or more")
        lists[str(language)] = tuple(texts)
    return lists


def _texts(where: str, given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not set(NEEDED) <= set(given):
        raise ConfigError(f"{where}: must be given by language, at least {' and '.join(NEEDED)}")
    texts = {}
    for language, text in given.items():
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{where}, {language}: must be a text")
        if "{" in text or "}" in text:
            raise ConfigError(f"{where}, {language}: nothing is filled in; leave out {{ and }}")
        texts[str(language)] = text.strip()
    return texts


def _length(where: str, text: str) -> None:
    latin = Alphabet.GSM7.can_encode(text)
    length = len(text) if latin else len(text.encode("utf-16-le")) // 2
    if length > (most := LONGEST_LATIN if latin else LONGEST_OTHER):
        raise ConfigError(f"{where}: {length} characters, at most {most} fit in five parts")


def _share(where: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, float | int) or not 0 < given <= 1:
        raise ConfigError(f"{where} must be above 0 and at most 1")
    return float(given)


def _time_ms(where: str, given: object) -> int:
    if isinstance(given, datetime) and given.tzinfo is not None:
        return int(given.timestamp() * 1000)
    if isinstance(given, date) and not isinstance(given, datetime):
        return int(datetime(given.year, given.month, given.day, tzinfo=UTC).timestamp() * 1000)
    raise ConfigError(f"{where} must be a date, or a time such as 2026-11-22T18:00:00Z")


def _code(where: str, code: str) -> None:
    if not code or not set(code) <= _CODE or len(code) > 32:
        raise ConfigError(f"{where}: must be 1 to 32 of a-z, 0-9 and -")
