"""How a long wait is told to a person: on a terminal one changing line, elsewhere plain ones."""

import sys
import threading
import time
from typing import TextIO

_PLAIN_EVERY_S = 5.0


class Progress:
    """Writes progress to `stream` (standard error by default). Several threads may call it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._tty = self._stream.isatty()
        self._lock = threading.Lock()
        self._open = False
        self._last = 0.0

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            self._stream.write(line + "\n")
            self._stream.flush()

    def update(self, line: str) -> None:
        """A line that the next one replaces; off a terminal at most one every 5 s is written."""
        with self._lock:
            now = time.monotonic()
            if self._tty:
                self._stream.write("\r\x1b[2K" + line)
                self._open = True
            elif now - self._last >= _PLAIN_EVERY_S:
                self._stream.write(line + "\n")
                self._last = now
            self._stream.flush()

    def clear(self) -> None:
        """Takes away the line that the next one would replace."""
        with self._lock:
            self._clear()
            self._stream.flush()

    def _clear(self) -> None:
        if self._open:
            self._stream.write("\r\x1b[2K")
            self._open = False


class Silent(Progress):
    """Says nothing: for tests and for callers that show their own."""

    def say(self, line: str) -> None:
        """Nothing."""

    def update(self, line: str) -> None:
        """Nothing."""

    def clear(self) -> None:
        """Nothing."""
