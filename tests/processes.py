"""What tests look for in processes that they start and end."""

import signal
import time
from collections.abc import Callable

import psutil


def heed_interrupts() -> None:
    """Undoes that who is started in the background ignores Ctrl-C: so would everything that it
    starts and wants to interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def gone(pid: int) -> bool:
    """True if no such process runs (an orphan that nobody has collected yet does not run)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(true: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False
