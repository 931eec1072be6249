"""Reads YAML data files, with the fast parser where the installed library has it."""

from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from services.runtime.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_of(where: str, text: str) -> object:
    """What `text` says. Raises ConfigError naming `where`, and the line when it is not YAML."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 (the safe loader, written in C)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where} is not YAML{line}") from error


def yaml_files(place: Traversable | Path) -> list[tuple[str, str]]:
    """(name, text) of each .yaml file of a folder, by name. Raises OSError."""
    found = sorted(
        (one for one in place.iterdir() if one.name.endswith(".yaml")), key=lambda one: one.name
    )
    return [(one.name, one.read_text("utf-8")) for one in found]


def list_of(where: str, given: object) -> list[object]:
    """A list. Raises ConfigError naming `where`."""
    if not isinstance(given, list):
        raise ConfigError(f"{where}: must be a list")
    return given


def texts_of(where: str, given: object) -> list[str]:
    """A list of texts. Raises ConfigError naming `where`."""
    texts = [text for text in list_of(where, given) if isinstance(text, str)]
    # YAML reads no, off and 112 as what they are not here.
    if len(texts) != len(list_of(where, given)):
        raise ConfigError(f"{where}: each must be a text; quote no, yes, on, off and numbers")
    return texts
