"""The matrix' own fixtures."""

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.faults.report import PROPERTY
from tests.faults.stage import Size
from tests.faults.table import Row

# Where brokers are killed on purpose, every lost connection would be told many times a second.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

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
    started = time.monotonic()
    yield made
    made.seconds = time.monotonic() - started
    request.node.user_properties.append((PROPERTY, asdict(made)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes the whole machine at its full size is alone then: before `-m` chooses."""
    if config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("large"):
                item.add_marker("alone")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A row is green when its test has passed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and _ROW in item.stash:
        item.stash[_ROW].passed = report.passed
