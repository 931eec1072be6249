"""A file lock between processes. The kernel lets go of it when its holder dies, however it dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_GLANCE_S = 0.2


class Taken(Exception):
    """Another process holds the lock. `holder` is what it wrote into the file, or empty."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(holder)


@contextlib.contextmanager
def locked(path: Path, *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the lock `path`. If it is taken, waits, having said so once by `waiting(holder)`.

    Without `waiting` it raises Taken, after as long as `holder` may keep it. The holder is the
    process id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        said = False
        deadline = time.monotonic() + _GLANCE_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                who = _holder(handle)
                if waiting is None and time.monotonic() >= deadline:
                    raise Taken(who) from None
                if waiting is not None and not said:
                    waiting(who)
                    said = True
                time.sleep(0.05)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def holder(path: Path) -> str | None:
    """The process id of who holds the lock `path`; None if nobody does."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    finally:
        os.close(handle)
    return None


def _holder(handle: int) -> str:
    return os.pread(handle, 32, 0).decode(errors="replace").strip()
