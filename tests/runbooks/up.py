"""`mawja up`, with a clock of its own for Redis: ahead by what stands in the file RUNBOOKS_CLOCK.

Only Valkey's process is given it: a preloaded clock is nothing for gRPC's.
"""

import os
import shlex
from pathlib import Path

from services.local import valkey
from services.tools.__main__ import main
from tests import faketime


def wrapped(binary: Path, clock: Path, script: Path) -> Path:
    """A program that is `binary` with that clock, written to `script`."""
    own = shlex.join(f"{name}={value}" for name, value in faketime.environment(clock).items())
    script.write_text(f'#!/bin/sh\nexec env {own} {shlex.quote(str(binary))} "$@"\n')
    script.chmod(0o755)
    return script


if __name__ == "__main__":
    _clock = Path(os.environ["RUNBOOKS_CLOCK"])
    _script = wrapped(valkey.valkey_binary(), _clock, _clock.with_name("valkey-server"))
    valkey.valkey_binary = lambda: _script
    main()
