"""The history of drills: one JSON file for each, under a folder of its own.

Not in Kafka, which keeps nothing so long, nor in a local run's folder, which the next run empties.
Nothing personal stands in it but the token subjects of agents who took part.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from services.runtime.errors import ConfigError, NotFound

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. Times are Unix ms. `figures` by key (`figures.FIGURES`); `agents` by subject."""

    id: str
    shape: str
    size: int
    speed: float
    seed: int
    began_ms: int
    ended_ms: int
    ended_early: str
    """Why it ended before its time; empty when it did not."""
    figures: dict[str, float | int | None] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    drill: bool = True


def folder_of(given: Path | None) -> Path:
    """Where drills are kept: the given folder, MAWJA_DRILLS, else mawja/drills of the user's data
    ($XDG_DATA_HOME, ~/.local/share)."""
    if given is not None:
        return given
    if named := os.environ.get("MAWJA_DRILLS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "mawja" / "drills"


class History:
    """The drills in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, drill: Drill) -> Path:
        """Writes one, whole or not at all. Raises ConfigError."""
        path = self.folder / f"{drill.id}.json"
        text = json.dumps({"format": _FORMAT, **asdict(drill)}, indent=2, ensure_ascii=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(text + "\n", "utf-8")
            partial.replace(path)
        except OSError as error:
            raise ConfigError(f"{path} can't be written: {error.strerror}") from None
        return path

    def all(self) -> list[Drill]:
        """Every drill, the latest first. Raises ConfigError for a file that is none."""
        found = [self._read(path) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda drill: (-drill.began_ms, drill.id))

    def get(self, name: str) -> Drill:
        """The drill whose id begins with `name`; `last` for the latest. Raises NotFound."""
        drills = self.all()
        found = drills[:1] if name == "last" else [one for one in drills if one.id == name]
        found = found or [one for one in drills if one.id.startswith(name)]
        if len(found) != 1:
            what = "no drill" if not found else f"{len(found)} drills"
            raise NotFound(f"{self.folder} has {what} whose id begins with {name!r}")
        return found[0]

    def before(self, drill: Drill) -> Drill | None:
        """The latest drill of the same shape before this one that was not broken off."""
        return next(
            (
                one
                for one in self.all()
                if one.shape == drill.shape
                and one.began_ms < drill.began_ms
                and not one.ended_early
            ),
            None,
        )

    def _read(self, path: Path) -> Drill:
        try:
            said = json.loads(path.read_text("utf-8"))
            if said.pop("format") != _FORMAT:
                raise ValueError
            return Drill(**said)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(f"{path} is no drill that this mawja wrote; move it away") from None
