"""Where tables go: as wide as the terminal, and wide enough for their words where there is none."""

import os
import sys

from rich.console import Console

_WIDE = 200


def console() -> Console:
    """For standard output. Into a pipe or a log nothing is cut; COLUMNS says otherwise."""
    fixed = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if fixed else _WIDE)
