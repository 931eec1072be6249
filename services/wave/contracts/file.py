"""Reads the contracts file: the one that MAWJA_CONTRACTS names, or the shipped examples."""

from importlib.resources import files
from pathlib import Path

from services.runtime.errors import ConfigError
from services.wave.contracts.terms import Terms, parse


def read(path: Path | None = None) -> Terms:
    """The terms in the file at `path`, or the shipped examples. Raises ConfigError."""
    if path is None:
        shipped = files(__package__) / "contracts.yaml"
        return parse(shipped.read_text("utf-8"), shipped.name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_CONTRACTS: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    return parse(text, path.name)
