"""`make runbooks`: works a shift by the pages, then breaks the local system and mends it by them.

First the pages for who leads are typed on a system that is well (`shift.py`); all of them where one
is named, since what one prints the next one names. Then, on another, the upgrade is typed while a
wave goes through (`upgrade.py`). There, for each page of an alert whose fault can be made here, the
fault is injected, the alert must fire within 2 minutes, the commands of the page are run in order,
and the alert must end within 3. Pages may be named: `make runbooks ARGS="redis-lost.md"`. Ends with
code 1 when a page failed.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc

from deploy.monitoring import generate
from tests.processes import heed_interrupts
from tests.runbooks import recover, shift, upgrade
from tests.runbooks.faults import copied, inject
from tests.runbooks.local import Local
from tests.runbooks.pages import Page, pages

FIRES_S = 120.0
ENDS_S = 180.0
_CALM_S = 120.0
_SHIPPED = Path(__file__).resolve().parents[2] / "services" / "outreach" / "playbooks"


def waited(done: Callable[[], bool], within_s: float, what: str) -> float:
    """Seconds until something is so. Raises AssertionError when it is not in time."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(1)
    return time.monotonic() - began


def perform(page: Page, on: Local) -> str:
    """One page from fault to end, told in a line. Raises AssertionError."""
    waited(lambda: not on.firing(), _CALM_S, f"nothing fires beforehand, {on.firing()} do")
    with on.going_on:
        return _performed(page, on)


def _performed(page: Page, on: Local) -> str:
    variables = inject(on, page.fault)
    fired_s = waited(lambda: page.alert in on.firing(), FIRES_S, f"{page.alert} fires")
    beside = sorted(on.firing() - {page.alert})
    assert page.steps, f"{page.name} has no commands"
    for step in page.steps:
        on.typed(step, variables)
    ended_s = waited(lambda: page.alert not in on.firing(), ENDS_S, f"{page.alert} ends")
    also = f", beside it {', '.join(beside)}" if beside else ""
    return f"fired after {fired_s:.0f} s{also}; ended {ended_s:.0f} s after the steps"


def worked(on: Local, folder: Path) -> int:
    """Works a shift; how many of its pages failed. After one that failed the next ones are not
    typed: they would name what was never printed."""
    folder.mkdir()
    people = shift.Shift(on, folder)
    for page in shift.PAGES:
        if not told(page, partial(people.perform, page)):
            return 1
    return 0


def exercised(on: Local, chosen: Sequence[Page]) -> int:
    """Makes the faults of pages; how many failed. The pages after one that failed are performed all
    the same."""
    # What each room shows is the list, neither less nor more.
    listed = {generate.name_of(metric) for metric in generate.listed()}
    for name, names in on.shown().items():
        assert names == listed, f"{name} shows other metrics: {sorted(names ^ listed)}"
    failed = 0
    for page in chosen:
        if page.fault == "none":
            print(f"  –  {page.name:28} not made here: {page.why}", flush=True)
        else:
            failed += not told(page.name, partial(perform, page, on))
    return failed


def told(page: str, does: Callable[[], str]) -> bool:
    """Does something about a page and prints what came of it; whether it went well."""
    try:
        print(f" ok  {page:28} {does()}", flush=True)
    except (AssertionError, OSError, subprocess.SubprocessError, grpc.RpcError) as error:
        said = getattr(error, "stderr", None) or ""
        print(f"RED  {page:28} {error} {said}", flush=True)
        return False
    return True


def main() -> None:
    """Performs the pages that were named, or all."""
    heed_interrupts()
    named = set(sys.argv[1:])
    folder = Path(tempfile.mkdtemp(prefix="mawja-runbooks-"))
    began = time.monotonic()
    failed = 0
    if not named or named & set(shift.PAGES):
        with up(folder / "shift") as on:
            failed += worked(on, folder / "desk")
    chosen = [page for page in pages() if not named or page.name in named]
    upgraded = not named or upgrade.PAGE in named
    lost = [page for page in recover.PAGES if not named or page in named]
    if chosen or upgraded or lost:
        with up(folder / "faults") as on:
            if upgraded:
                failed += not told(upgrade.PAGE, partial(upgrade.perform, on))
            failed += exercised(on, chosen)
            for page in lost:
                failed += not told(page, partial(recover.PAGES[page], on))
    print(f"{time.monotonic() - began:.0f} s; {failed} failed", flush=True)
    if failed:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


@contextmanager
def up(folder: Path) -> Iterator[Local]:
    """A system of its own in a folder, and its end."""
    folder.mkdir()
    on = Local(folder / "home", copied(_SHIPPED, folder / "playbooks"))
    try:
        on.start()
        yield on
    finally:
        on.stop()


if __name__ == "__main__":
    main()
