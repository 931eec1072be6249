"""The rooms and parts that several files here start in the same way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local.valkey import LocalValkey
from services.runtime.config import Settings
from services.runtime.identity import Role
from tests.broadcast_rig import Rig
from tests.campaigns_rig import MAKER, OTHER, Office
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


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalValkey]:
    """A Valkey alone: for tests that need no Kafka."""
    started = LocalValkey(tmp_path_factory.mktemp("valkey"))
    started.start()
    started.ready()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def maker(rig: Rig) -> Office:
    """Who makes the campaigns of a file whose `rig` is a broadcast."""
    return Office(rig.system, MAKER)


@pytest.fixture(scope="module")
def other(rig: Rig) -> Office:
    """Who approves them."""
    return Office(rig.system, OTHER, Role.APPROVER)
