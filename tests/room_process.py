"""One room as a process of its own, on parts that a test has started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.runtime.config import Settings
from tests.burying import bury


def environment(settings: Settings, ready_file: Path, **env: str) -> dict[str, str]:
    """What a room's process is started with: of MAWJA_* nothing that stands outside."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith("MAWJA_")}
    return {
        **outer,
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
        "MAWJA_PARTITIONS": str(settings.partitions),
        "MAWJA_READY_FILE": str(ready_file),
        **env,
    }


def wait_serving(process: subprocess.Popen[bytes], ready_file: Path, log: Path) -> None:
    """Waits until a room serves; shows what it said when it does not."""
    deadline = time.monotonic() + 60
    while not ready_file.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


class Room:
    """One `python -m services.<name>`. What it says goes to a file, shown when a test fails.

    `replica` tells two of a room in one folder apart; `env` adds to the environment.
    """

    def __init__(
        self, name: str, settings: Settings, folder: Path, replica: str = "", **env: str
    ) -> None:
        self._kafka = settings.kafka
        self._ready_file = folder / f"{replica or name}.json"
        self._ready_file.unlink(missing_ok=True)
        self.log = folder / f"{replica or name}.log"
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                env=environment(settings, self._ready_file, **env),
                stderr=said,
                cwd=folder,
            )

    @property
    def said(self) -> str:
        """Everything it has logged."""
        return self.log.read_text()

    def target(self) -> str:
        """Where it serves, once it does."""
        wait_serving(self.process, self._ready_file, self.log)
        return self.at("grpc")

    def at(self, port: str) -> str:
        """Where one of its ports listens, once it serves: grpc, metrics, health…"""
        return f"127.0.0.1:{json.loads(self._ready_file.read_text())[port]}"

    def metrics(self) -> str:
        """Where it says what it measures, once it serves."""
        port = json.loads(self._ready_file.read_text())["metrics"]
        return f"http://127.0.0.1:{port}/metrics"

    def kill(self) -> None:
        """SIGKILL, unless it has ended; its groups know."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            bury(self._kafka, self.process.pid)

    def stop(self) -> None:
        """SIGTERM; it must end with code 0."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=40) == 0, self.said


@contextmanager
def room(
    name: str, settings: Settings, folder: Path, replica: str = "", **env: str
) -> Iterator[Room]:
    """A room that is stopped in order at the end: a group that was left is free at once for the
    next test."""
    started = Room(name, settings, folder, replica, **env)
    try:
        yield started
        started.stop()
    finally:
        started.process.kill()
        started.process.wait()
