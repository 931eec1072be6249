"""What a person can mend is told in one clear line, never as a traceback."""

import contextlib
import sys
from collections.abc import Iterator

import typer

from services.runtime.errors import Away, MawjaError

AWAY = 3
"""Exit code when what was asked did not answer: it may be asked again."""


@contextlib.contextmanager
def told(*also: type[Exception]) -> Iterator[None]:
    """Ends the command with exit code 1 and one line for an error of the closed list, or of
    `also`."""
    mendable: tuple[type[Exception], ...] = (MawjaError, *also)
    try:
        yield
    except mendable as error:
        print(f"mawja: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("mawja: interrupted; everything it started has been stopped", file=sys.stderr)
        raise typer.Exit(130) from None


@contextlib.contextmanager
def told_if_away() -> Iterator[None]:
    """Ends the command with exit code `AWAY` and one line when a part of the system is away."""
    try:
        yield
    except Away as error:
        print(f"mawja: {error}", file=sys.stderr)
        raise typer.Exit(AWAY) from None
