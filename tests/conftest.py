"""Real parts for every test that needs them: a Kafka and a Valkey of its own for each module."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from services.local.parts import Parts
from services.local.progress import Silent
from services.local.system import make_keys
from services.runtime import topics
from services.runtime.config import Settings
from tests.faults.report import pytest_runtest_logreport, pytest_terminal_summary
from tests.processes import heed_interrupts

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]

PARTITIONS = 4

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")

heed_interrupts()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make faults` says beyond `make test`."""
    group = parser.getgroup("fault matrix")
    group.addoption("--full", action="store_true", help="the fault matrix at its full size")
    group.addoption("--seed", type=int, default=1, help="of every chance in the fault matrix")
    group.addoption("--people", type=int, help="recipients of the campaign's soak")
    group.addoption("--table", type=Path, help="add the rows to the table here (.json, and .md)")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Apache Kafka and Valkey on loopback, with every topic made."""
    with Parts(tmp_path_factory.mktemp("mawja"), progress=Silent()) as started:
        topics.ensure(started.kafka, PARTITIONS, 1)
        yield started


@pytest.fixture(scope="module")
def kafka(parts: Parts) -> str:
    """Kafka's bootstrap servers."""
    return parts.kafka


@pytest.fixture(scope="module")
def redis_url(parts: Parts) -> str:
    """Valkey's address."""
    return parts.redis_url


@pytest.fixture(scope="module")
def keys(parts: Parts) -> Path:
    """A key ring's folder."""
    folder = parts.home / "keys"
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def settings(parts: Parts, keys: Path) -> Settings:
    """Settings of a service that uses the parts."""
    return Settings.from_env(
        {
            "MAWJA_KAFKA": parts.kafka,
            "MAWJA_REDIS_URL": parts.redis_url,
            "MAWJA_KEYS": str(keys),
            "MAWJA_PARTITIONS": str(PARTITIONS),
        }
    )
