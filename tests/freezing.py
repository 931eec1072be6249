"""Stopping a real part where it stands, as a frozen machine does: it is there and says nothing."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Inside, no thread of the process runs. A stop is asked for, not done, when `kill` returns: on
    a busy machine a thread may answer one question more meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 10
        while any(state != "T" for state in _states(pid)):
            assert time.monotonic() < deadline, f"process {pid} did not stop"
            time.sleep(0.005)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> list[str]:
    # The name, in brackets, may hold anything; the state is the first word after it.
    return [
        stat.read_text().rpartition(") ")[2][0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
