"""What `mawja calibrate` measured of this machine, as a file in the home folder."""

import json
from pathlib import Path

from services.runtime.errors import ConfigError
from services.tools.planner.measured import ROOMS, Rates, documented

NAME = "rates.json"


def read(home: Path) -> Rates:
    """The rates of this machine; of the documented one where nobody measured. Raises ConfigError
    for a file that says something else."""
    path = home / NAME
    if not path.exists():
        return documented()
    try:
        said = json.loads(path.read_text("utf-8"))
        cpu_s = {room: float(said["cpu_s"][room]) for room in ROOMS}
        if not all(0 < used < 60 for used in cpu_s.values()):
            raise ValueError("a time is out of range")
        return Rates(str(said["machine"]), cpu_s, str(said["measured_at"]))
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise ConfigError(
            f"{path} can't be used ({type(wrong).__name__}: {wrong}): "
            "measure again with `mawja calibrate`, or delete it"
        ) from None


def write(home: Path, rates: Rates) -> Path:
    """Keeps them; whole or not at all."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / NAME
    made = path.with_suffix(".new")
    said = {
        "machine": rates.machine,
        "measured_at": rates.measured_at,
        "cpu_s": {room: round(rates.cpu_s[room], 7) for room in ROOMS},
    }
    made.write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    made.replace(path)
    return path
