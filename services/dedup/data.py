"""Reads dedup's small data files: its rules, and the numbers that are shared."""

import re
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from services.dedup.catalogue import Catalogue
from services.dedup.match import NEED, Rules
from services.dedup.tally import BUCKET_MS
from services.runtime import knowledge_file
from services.runtime.errors import ConfigError
from services.runtime.knowledge import Knowledge
from services.runtime.privacy import Keyring
from services.runtime.spans import span_ms
from services.runtime.yamls import yaml_of

_RULES = "services/dedup/rules.yaml"
_AGENCY = re.compile(r"[a-z0-9-]{1,32}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def rules(text: str | None = None) -> Rules:
    """The thresholds in rules.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    given = _mapping(text)
    names = {field.name: field.type for field in fields(Rules)}
    if set(given) != set(names):
        odd = ", ".join(sorted(set(given) ^ set(names)))
        raise ConfigError(f"{_RULES}: missing or not known: {odd}")
    own = _agencies(given.pop("agencies"))
    values = {name: _value(name, value, names[name] is float) for name, value in given.items()}
    read = Rules(**values, agencies=own)
    for code in ("", *own):
        of = read.of(code)
        if of.need_other > of.need_same:
            where = f"agencies: {code}: " if code else ""
            raise ConfigError(f"{_RULES}: {where}need_other must not be above need_same")
    if read.tally_keep < read.repeat_window + BUCKET_MS:
        raise ConfigError(f"{_RULES}: tally_keep must outlast repeat_window")
    return read


def shared_numbers(path: Path | None, keyring: Keyring) -> frozenset[bytes]:
    """Hashes of the numbers in a file (E.164, one a line, # for remarks) that many people share:
    switchboards, camps, public telephones. Raises ConfigError naming the line."""
    if path is None:
        return frozenset()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the file MAWJA_SHARED_NUMBERS names can't be read") from error
    hashes = set()
    for place, line in enumerate(lines, start=1):
        number = line.partition("#")[0].strip()
        if not number:
            continue
        if not _E164.fullmatch(number):
            raise ConfigError(f"MAWJA_SHARED_NUMBERS, line {place}: not a number like +97150…")
        hashes.add(keyring.person(number))
    return frozenset(hashes)


def knowledge(path: Path | None, services: Catalogue) -> Knowledge:
    """What may be answered without an agent: the file at `path` or the shipped examples. Raises
    ConfigError also when an entry is of no service of the catalogue, or of another agency's."""
    known = knowledge_file.read(path)
    kept = {}
    for name, entry in known.entries.items():
        if services.agency_of(entry.topic) == entry.agency:
            kept[name] = entry
        elif path is not None:
            raise ConfigError(
                f"MAWJA_KNOWLEDGE: {name}: {entry.topic} is no service of {entry.agency} in the "
                "catalogue"
            )
    # A government's own catalogue may lack services that the examples are about.
    return replace(known, entries=kept)


def _mapping(text: str | None) -> dict[str, Any]:
    if text is None:
        text = (files(__package__) / "rules.yaml").read_text("utf-8")
    read = yaml_of(_RULES, text)
    if not isinstance(read, dict):
        raise ConfigError(f"{_RULES}: names and values, one a line")
    return read


def _agencies(given: object) -> dict[str, dict[str, float]]:
    """What agencies have of their own."""
    where = f"{_RULES}: agencies"
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be agency codes, each with {' or '.join(NEED)}")
    read: dict[str, dict[str, float]] = {}
    for code, own in given.items():
        if not isinstance(code, str) or not _AGENCY.fullmatch(code):
            raise ConfigError(f"{where}: {code} must be an agency code such as civil-defence")
        if not isinstance(own, dict) or not own or not own.keys() <= set(NEED):
            raise ConfigError(f"{where}: {code} must give {' or '.join(NEED)}, and nothing else")
        read[code] = {
            name: _value(f"agencies: {code}: {name}", score, share=True)
            for name, score in own.items()
        }
    return read


def _value(name: str, given: object, share: bool) -> Any:
    where = f"{_RULES}: {name}"
    if share:
        if isinstance(given, float | int) and not isinstance(given, bool) and 0 <= given <= 1:
            return float(given)
        raise ConfigError(f"{where} must be a share from 0 to 1")
    if (length_ms := span_ms(given)) is not None:
        return length_ms
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    raise ConfigError(f"{where} must be a count, or a time such as 90s, 20m, 36h or 7d")
