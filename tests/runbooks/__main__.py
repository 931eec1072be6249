"""`make runbooks`: breaks the local system, waits for the alert, and does what its page says.

For each page of an alert whose fault can be made here: the fault is injected, the alert must fire
within 2 minutes, the commands of the page are run in order, and the alert must end within 3. Pages
may be named: `make runbooks ARGS="redis-lost.md"`. Ends with code 1 when a page failed.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc

from deploy.monitoring import generate
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
    variables = inject(on, page.fault)
    fired_s = waited(lambda: page.alert in on.firing(), FIRES_S, f"{page.alert} fires")
    beside = sorted(on.firing() - {page.alert})
    assert page.steps, f"{page.name} has no commands"
    for step in page.steps:
        run(step, on, variables)
    ended_s = waited(lambda: page.alert not in on.firing(), ENDS_S, f"{page.alert} ends")
    also = f", beside it {', '.join(beside)}" if beside else ""
    return f"fired after {fired_s:.0f} s{also}; ended {ended_s:.0f} s after the steps"


def run(step: str, on: Local, variables: Mapping[str, str]) -> None:
    """Runs the commands of one block. Raises AssertionError with what they said."""
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step],
        env=on.env | dict(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, f"{step}\n{ran.stdout}{ran.stderr}"


def main() -> None:
    """Performs the pages that were named, or all."""
    named = set(sys.argv[1:])
    folder = Path(tempfile.mkdtemp(prefix="mawja-runbooks-"))
    on = Local(folder / "home", copied(_SHIPPED, folder / "playbooks"))
    began = time.monotonic()
    failed = 0
    try:
        on.start()
        # What each room shows is the list, neither less nor more.
        listed = {generate.name_of(metric) for metric in generate.listed()}
        for name, names in on.shown().items():
            assert names == listed, f"{name} shows other metrics: {sorted(names ^ listed)}"
        for page in pages():
            if named and page.name not in named:
                continue
            if page.fault == "none":
                print(f"  –  {page.name:28} not made here: {page.why}", flush=True)
                continue
            try:
                print(f" ok  {page.name:28} {perform(page, on)}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, grpc.RpcError) as error:
                # The pages after it are performed all the same.
                failed += 1
                said = getattr(error, "stderr", None) or ""
                print(f"RED  {page.name:28} {error} {said}", flush=True)
    finally:
        on.stop()
    print(f"{time.monotonic() - began:.0f} s; {failed} failed", flush=True)
    if failed:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
