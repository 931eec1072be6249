"""`mawja pid` and `mawja down`: which process of the local run is which, and the end of all."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from services.local.parts import running
from services.local.system import System
from services.local.watching import pids
from services.runtime.errors import ConfigError, MawjaError
from services.tools import where
from services.tools.local import home_folder
from services.tools.told import told

_FILE = "pids.json"


def write(system: System) -> None:
    """Writes down which process is which; one that was started again has another number."""
    path = system.parts.home / _FILE
    said = json.dumps(pids(system))
    if not path.exists() or path.read_text() != said:
        new = path.with_suffix(".new")
        new.write_text(said)
        new.replace(path)


def read(folder: Path) -> dict[str, int]:
    """The processes of the run in this folder, by name. Raises ConfigError when none runs there."""
    try:
        if running(folder) is not None:
            found: dict[str, int] = json.loads((folder / _FILE).read_text())
            return found
    except OSError:
        # It is just beginning.
        pass
    raise ConfigError(f"nothing runs in {folder}: start it (`mawja up`), or give its --home")


def command(
    name: Annotated[
        str, typer.Argument(help="kafka, valkey, smsc, or a replica: dedup-0; none: all.")
    ] = "",
    home: where.Home = None,
) -> None:
    """The process of a part or a replica of the local run, to end or to look at it.

    Example: `kill -KILL $(mawja pid valkey)`; but for Kafka, what is ended so is started again.
    """
    with told():
        found = read(home_folder(home))
        if name and name not in found:
            raise ConfigError(f"{name} does not run here; what runs: {', '.join(sorted(found))}")
        print(found[name] if name else "\n".join(f"{n} {p}" for n, p in sorted(found.items())))


def down(home: where.Home = None) -> None:
    """Stop what `mawja up` (or a surge) started in this folder."""
    with told():
        folder = home_folder(home)
        place = running(folder)
        if place is None:
            print(f"nothing runs in {folder}")
            return
        os.kill(place.pid, signal.SIGTERM)
        deadline = time.monotonic() + 90
        while running(folder) is not None:
            if time.monotonic() > deadline:
                raise MawjaError(f"process {place.pid} did not stop within 90 s; end it yourself")
            time.sleep(0.2)
        print("stopped")
