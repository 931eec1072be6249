"""Parts of a run that are stopped together, in order."""

import threading
from collections.abc import Iterator, Sequence
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
            self._destroy()
            raise

    def stop_together(self, parts: Sequence[Part]) -> None:
        """Stops some of them at the same time, each with its own grace."""
        stopping = [
            threading.Thread(target=part.stop, name=f"stop {part.name}", daemon=True)
            for part in parts
        ]
        try:
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
        except BaseException:
            self._destroy()
            raise
        for part in parts:
            self._parts.remove(part)

    def _destroy(self) -> None:
        for part in reversed(self._parts):
            part.destroy()

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
