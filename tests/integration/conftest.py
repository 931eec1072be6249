"""The rooms and parts that several files here start in the same way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.runtime.config import Settings
from services.runtime.identity import Role
from tests.intake_rig import NUMBER, Intake, intake, shown
from tests.parts_rig import Kit, make_kit
from tests.smpp_rig import Starter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a file's rooms keep what they say."""
    return tmp_path_factory.mktemp("rooms")


@pytest.fixture(scope="module")
def shared(settings: Settings, folder: Path) -> Iterator[Intake]:
    """One intake for all tests of a file. Whatever they do to it: no number is in what it says."""
    with intake(settings, folder, "shared") as started:
        yield started
        assert NUMBER not in started.said
        assert "Traceback" not in started.said


@pytest.fixture
def gateway(settings: Settings) -> Any:
    """The metadata of a gateway."""
    return shown(settings, "gw", Role.GATEWAY)


@pytest.fixture
def smsc(tmp_path: Path) -> Iterator[Starter]:
    """Starts SMS centres."""
    starter = Starter(tmp_path)
    yield starter
    starter.stop()


@pytest.fixture(scope="module")
def kit() -> Kit:
    """What Kafka is started with."""
    return make_kit()
