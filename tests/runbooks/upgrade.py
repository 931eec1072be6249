"""The upgrade, typed line by line while a rehearsed wave goes through: nothing is lost by it.

The code is the same before and after; what is performed is that every room gives way to the process
that comes after it.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable

from tests.runbooks import pages
from tests.runbooks.local import Local

PAGE = "upgrade.md"
ENDS = re.compile(r'kill -TERM "\$\(mawja pid ((\w+)-0)\)"')
"""A line that ends a room's replica; what follows waits until it serves again."""
MUST_BE_0 = ("lost", "duplicate_cases", "duplicate_messages", "problems")
_WAVE = ("drill", "play", "flash", "--size", "600", "--speed", "20", "--json")
"""A storm of half an hour in a minute and a half: it is under way for as long as the page takes."""
_SERVES_S = 60.0
_SETTLES_S = 240.0


def perform(on: Local) -> str:
    """Types the page, told in a line. Raises AssertionError, CalledProcessError."""
    began = time.monotonic()
    with on.going_on:
        wave = _wave(on)
        _until(lambda: on.taken() > 0 or wave.poll() is not None, "the wave has begun")
        for line in pages.lines(PAGE):
            _type(line, on)
            if ENDS.fullmatch(line):
                assert wave.poll() is None, f"the wave was over before {line}"
        typed_s = time.monotonic() - began
        said, wrong = wave.communicate(timeout=_SETTLES_S)
    assert wave.returncode == 0, said + wrong
    figures = json.loads(said)["figures"]
    assert not any(figures[one] for one in MUST_BE_0), said
    # Once more when all has its end.
    on.said("ledger")
    return f"typed in {typed_s:.0f} s; of {figures['contacts']:,} contacts none lost or twice"


def _wave(on: Local) -> "subprocess.Popen[str]":
    started = on.going_on.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "services.tools", *_WAVE],
            # Who plays a drill is on the machine, where its token is made.
            env=on.env | {"MAWJA_TOKEN": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    on.going_on.callback(started.kill)
    return started


def _type(line: str, on: Local) -> None:
    ended = ENDS.fullmatch(line)
    if ended is None:
        on.typed(line, {"KAFKA": on.kafka})
        return
    name, room = ended[1], ended[2]
    before = on.pid(name)
    on.typed(line)
    _until(lambda: on.pid(name) != before and on.serves(room), f"{name} serves again")


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SERVES_S
    while not done():
        assert time.monotonic() < deadline, f"not within {_SERVES_S:g} s: {what}"
        time.sleep(0.2)
