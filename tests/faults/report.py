"""Takes up the rows as their tests end, and prints the table at the end of the run.

Apart from the matrix' own `conftest`, which is not loaded in the process that only hands tests out
to others; a row comes to it in its test's report.
"""

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.table import HEADINGS, Row, read, write

PROPERTY = "row of the fault matrix"
_rows: list[Row] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Takes up the rows as their tests end."""
    if report.when == "teardown":
        _rows.extend(Row(**row) for name, row in report.user_properties if name == PROPERTY)  # type: ignore[arg-type]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the table below what stands where `--table` says, and writes both there."""
    if not _rows or hasattr(config, "workerinput"):  # Another process gave the tests, and tells.
        return
    path: Path | None = config.getoption("--table")
    rows = [*read(path), *_rows] if path is not None else _rows
    table = Table(*HEADINGS, title="What happens when it breaks in the middle")
    for made in rows:
        table.add_row(*made.cells, style=None if made.passed else "bold red")
    # As wide as the terminal, or readable in a log.
    console = Console(file=None, width=None if terminalreporter.isatty else 160)
    with console.capture() as capture:
        console.print(table)
    terminalreporter.write_line("")
    terminalreporter.write_line(capture.get())
    if path is not None:
        write(rows, path, seed=config.getoption("--seed"), full=config.getoption("--full"))
        terminalreporter.write_line(f"table: {path}, {path.with_suffix('.md')}")
