"""The matrix' own fixtures, and its table at the end of the run."""

import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.stage import Size
from tests.faults.table import HEADINGS, Row, write

# Where brokers are killed on purpose, every lost connection would be told many times a second.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

_ROWS = pytest.StashKey[list[Row]]()
_ROW = pytest.StashKey[Row]()


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """Every chance that a row takes comes from it."""
    given: int = pytestconfig.getoption("--seed")
    return given


@pytest.fixture(scope="session")
def size(pytestconfig: pytest.Config) -> Size:
    """How big the rows are: as the issue of the matrix wants them, or short."""
    return Size(full=pytestconfig.getoption("--full"))


@pytest.fixture
def rng(request: pytest.FixtureRequest, seed: int) -> random.Random:
    """The row's own chance."""
    return random.Random(f"{request.node.name}/{seed}")


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The row that this test fills."""
    marker = request.node.get_closest_marker("row")
    assert marker is not None, "a test of the matrix is marked @pytest.mark.row(fault, must=…)"
    made = Row(
        fault=marker.args[0],
        must=marker.kwargs["must"],
        variant=request.node.callspec.id if hasattr(request.node, "callspec") else "",
    )
    request.node.stash[_ROW] = made
    request.config.stash.setdefault(_ROWS, []).append(made)
    started = time.monotonic()
    yield made
    made.seconds = time.monotonic() - started


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A row is green when its test has passed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and _ROW in item.stash:
        item.stash[_ROW].passed = report.passed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the table, and writes it where `--table` says."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    table = Table(*HEADINGS, title="What happens when it breaks in the middle")
    for made in rows:
        table.add_row(*made.cells, style=None if made.passed else "bold red")
    # As wide as the terminal, or readable in a log.
    console = Console(file=None, width=None if terminalreporter.isatty else 160)
    with console.capture() as capture:
        console.print(table)
    terminalreporter.write_line("")
    terminalreporter.write_line(capture.get())
    path: Path | None = config.getoption("--table")
    if path is not None:
        write(rows, path, seed=config.getoption("--seed"), full=config.getoption("--full"))
        terminalreporter.write_line(f"table: {path}, {path.with_suffix('.md')}")
