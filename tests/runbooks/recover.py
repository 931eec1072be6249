"""The operators' pages of a loss, typed on the local stack with the loss made.

Redis is killed and comes back empty. A lost site is played by what is left of it elsewhere: Kafka
as it was put back, an empty Redis, and rooms that stand still until it was said to be restored.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from tests.runbooks import pages
from tests.runbooks.local import Local

_ROOMS = ("intake", "dedup", "outreach", "broadcast")
_WAITS_S = 120.0
_DECLARE, _VERIFY, _RESUME = range(3)
"""The blocks of restore-site.md, in its order."""


def redis(on: Local) -> str:
    """restore-redis.md. Raises AssertionError, CalledProcessError."""
    began = time.monotonic()
    before = on.pid("valkey")
    os.kill(before, signal.SIGKILL)
    _wait(lambda: on.pid("valkey") != before and on.serves("intake"), "intake serves again")
    back_s = time.monotonic() - began
    for step in _blocks("restore-redis.md"):
        on.typed(step)
    return f"intake served {back_s:.0f} s after Redis was killed; typed in all"


def site(on: Local) -> str:
    """restore-site.md. Raises AssertionError, CalledProcessError."""
    blocks = _blocks("restore-site.md")
    now = datetime.now(UTC).isoformat()
    variables = {"BACKUP_AT": now, "REASON": "the site is lost, opt-outs were brought"}
    rooms = [on.pid(f"{room}-0") for room in _ROOMS]
    for pid in rooms:
        os.kill(pid, signal.SIGSTOP)
    try:
        # It is refused until Kafka believes that they are gone.
        _wait(lambda: _goes(on, blocks[_DECLARE], variables), "the restore is declared")
        on.typed(blocks[_VERIFY])
    finally:
        # Who ended is started again, on what was restored.
        for pid in rooms:
            os.kill(pid, signal.SIGKILL)
    _wait(
        lambda: (
            all(on.pid(f"{room}-0") not in rooms for room in _ROOMS)
            and all(on.serves(room) for room in _ROOMS)
        ),
        "the rooms serve again",
    )
    on.typed(blocks[_RESUME], variables)
    return "declared, its audit verified, its rooms started and resumed"


PAGES: Mapping[str, Callable[[Local], str]] = {"restore-redis.md": redis, "restore-site.md": site}


def _blocks(page: str) -> tuple[str, ...]:
    return pages.steps((pages.FOLDER / page).read_text("utf-8"))


def _goes(on: Local, step: str, variables: Mapping[str, str]) -> bool:
    try:
        on.typed(step, variables)
    except AssertionError:
        return False
    return True


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAITS_S
    while not done():
        assert time.monotonic() < deadline, f"not within {_WAITS_S:g} s: {what}"
        time.sleep(0.5)
