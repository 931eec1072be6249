"""The file of what estimates assume: the shipped one, or a centre's own."""

from importlib import resources
from pathlib import Path

from services.outreach.proposals.assumptions import Assumptions, parse
from services.runtime.errors import ConfigError


def read(path: Path | None) -> Assumptions:
    """Those of the file at `path`, or the shipped ones. Raises ConfigError with line and field."""
    if path is None:
        shipped = resources.files("services.outreach.proposals") / "assumptions.yaml"
        return parse(shipped.read_text("utf-8"), shipped.name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_PROPOSALS: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    return parse(text, path.name)
