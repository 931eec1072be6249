"""Parts of a run that are stopped together, in order."""

from collections.abc import Iterator
from typing import Protocol, TypeVar


class Part(Protocol):
    """What can be stopped in order with the others."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def alive(self) -> bool:
        """True while it runs."""

    def stop(self) -> None:
        """Ends it, politely first. Does nothing if it has ended."""

    def destroy(self) -> None:
        """Ends it at once and for good, with SIGKILL."""


P = TypeVar("P", bound=Part)


class Children:
    """Parts that are stopped together, the last started first.

    As a context manager it stops them on the way out. An interruption while stopping (a second
    Ctrl-C) kills the rest at once.
    """

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def __iter__(self) -> Iterator[Part]:
        return iter(tuple(self._parts))

    def add(self, part: P) -> P:
        """Takes a part into care and gives it back. Add it before its start: a start can fail."""
        self._parts.append(part)
        return part

    def forget(self, part: Part) -> None:
        """Lets go of a part that somebody else has stopped."""
        self._parts.remove(part)

    def dead(self) -> list[Part]:
        """The parts that do not run."""
        return [part for part in self._parts if not part.alive()]

    def stop(self) -> None:
        """Stops all, in reverse order, each with its own grace."""
        try:
            while self._parts:
                self._parts[-1].stop()
                self._parts.pop()
        except BaseException:
            for part in reversed(self._parts):
                part.destroy()
            raise

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
