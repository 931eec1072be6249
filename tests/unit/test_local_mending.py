"""A part that ends by itself is started again, as long as that helps."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.local.errors import LocalPartError
from services.local.listener import Listener
from services.local.mending import Mending
from services.local.supervised import RestartPolicy
from tests.processes import until

QUICK = RestartPolicy(first_s=0.01, max_s=0.01, healthy_s=60, limit=2)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def part(stack: ExitStack, folder: Path, code: str) -> Listener:
    made = Listener("the part", lambda port: [sys.executable, "-c", code, str(port)], folder)
    stack.callback(made.destroy)
    made.start()
    return made


def _told(mending: Mending, told: list[str]) -> bool:
    if said := mending.look():
        told.append(said)
    return bool(said)


def test_a_part_that_was_killed_runs_again_at_the_same_port(
    tmp_path: Path, stack: ExitStack
) -> None:
    one = part(stack, tmp_path, "import time; time.sleep(60)")
    port, pid, mending = one.port, one.pid, Mending(one, QUICK)
    assert mending.look() == ""
    one.kill9()
    told = list[str]()
    assert until(lambda: _told(mending, told))
    assert told == [
        f"the part ended with code -9 and was started again; see {tmp_path / 'output.log'}"
    ]
    assert (one.alive(), one.port) == (True, port)
    assert one.pid != pid
    assert str(port) in one.child.command
    assert mending.look() == ""


def test_a_part_that_ends_again_and_again_is_given_up(tmp_path: Path, stack: ExitStack) -> None:
    one = part(stack, tmp_path, "import sys; sys.exit('its port is taken')")
    mending, told = Mending(one, QUICK), list[str]()
    with pytest.raises(LocalPartError, match=r"its port is taken .*started again 2 times in vain"):
        until(lambda: _told(mending, told) and len(told) > 9)
    assert len(told) == 2


def test_a_part_that_ran_long_may_end_as_often_as_it_likes(
    tmp_path: Path, stack: ExitStack
) -> None:
    one = part(stack, tmp_path, "import sys; sys.exit(1)")
    mending = Mending(one, RestartPolicy(first_s=0.01, healthy_s=0, limit=1))
    for _ in range(4):
        assert until(lambda: mending.look() != "")
