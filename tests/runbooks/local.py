"""The local system with Prometheus beside it, as a person starts it: `mawja up --watch`."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.local.system import token
from services.runtime.identity import Role

_CONTRACTS = """\
version: 1
centre:
  most: 300
contracts:
  - {agency: education, version: 1, model: overflow, source: an exercise, date: 2026-01-01,
     from: 2026-01-01, until: 2100-01-01, capacity: 10, begin: 1, end: 0.5, hold: 1s, silence: 10s}
"""
"""An agency whose calls are its own, until its telephone system says nothing for 10 s."""
_WITHOUT_GRPC = ("reports", "console")
_UP_S = 180.0


@dataclass(slots=True)
class Local:
    """A run in `home`; `playbooks` are its own copy. Redis's clock is its own: ahead by what stands
    in `clock`, in seconds. Raises AssertionError when it does not come up."""

    home: Path
    playbooks: Path
    going_on: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What a page's fault has begun, and what ends it when the page is over."""
    _process: "subprocess.Popen[str] | None" = None
    _prometheus: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Starts it and waits until Prometheus answers."""
        folder = str(Path(sys.executable).parent)
        self.env = os.environ | {
            "MAWJA_HOME": str(self.home),
            "MAWJA_RULES": str(self.playbooks),
            "MAWJA_DRILLS": str(self.home / "drills"),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        }
        self.home.mkdir(parents=True, exist_ok=True)
        self.clock.write_text("+0\n")
        contracts = self.home / "contracts.yaml"
        contracts.write_text(_CONTRACTS)
        said = self.home / "up.log"
        with said.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.runbooks.up", "up", "--watch", "--console-port", "0"],
                env={
                    **self.env,
                    "RUNBOOKS_CLOCK": str(self.clock),
                    "MAWJA_CONTRACTS": str(contracts),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + _UP_S
        while "stop it:" not in said.read_text():
            assert self._process.poll() is None, said.read_text()[-2000:]
            assert time.monotonic() < deadline, said.read_text()[-2000:]
            time.sleep(0.2)
        line = next(one for one in said.read_text().splitlines() if one.startswith("Prometheus: "))
        self._prometheus = line.split()[1].removesuffix("/alerts")
        self.env["MAWJA_TOKEN"] = self.as_("runbooks", Role.ADMINISTRATOR)

    def stop(self) -> None:
        """Ends it in order, and what goes on beside it."""
        self.going_on.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=90)

    @property
    def clock(self) -> Path:
        """The file that says how far Redis's clock is ahead."""
        return self.home / "redis.clock"

    def as_(self, subject: str, *roles: Role) -> str:
        """The token of somebody."""
        return token(self.home / "keys", subject, *roles)

    @property
    def _addresses(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "services.json").read_text())
        return found

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return str(self._addresses["kafka"])

    def target(self, room: str) -> str:
        """The gRPC target of a room."""
        return str(self._addresses["grpc"][room])

    def serves(self, room: str) -> bool:
        """Whether a room says that it serves; one of which the local run tells no gRPC address:
        whether it shows its metrics."""
        if room in _WITHOUT_GRPC:
            try:
                with urllib.request.urlopen(self._addresses["metrics"][f"{room}-0"], timeout=5):
                    return True
            except OSError:
                return False
        with grpc.insecure_channel(self.target(room)) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def pid(self, name: str) -> int:
        """The process of a part or a replica."""
        return int(self.said("pid", name))

    def said(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """What a `mawja` command prints. Raises CalledProcessError."""
        return subprocess.run(
            [sys.executable, "-m", "services.tools", *words],
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def typed(self, step: str, variables: Mapping[str, str] | None = None) -> None:
        """Runs the commands of a page. Raises AssertionError with what they said."""
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step],
            env=self.env | dict(variables or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, f"{step}\n{ran.stdout}{ran.stderr}"

    def hand_over(self) -> str | None:
        """The number of a case that waits to be confirmed and is none of a drill."""
        said = json.loads(self.said("playbook", "hand-overs", "--json", "--as", "runbooks"))
        real = (one for one in said.get("hand_overs", ()) if not one.get("drill"))
        return next((str(one["case_number"]) for one in real), None)

    def letter(self, room: str) -> tuple[int, int] | None:
        """Partition and offset of a dead letter of a room that waits."""
        for one in json.loads(self.said("dlq", "list", "--room", room, "--json"))["letters"]:
            return int(one["partition"]), int(one["offset"])
        return None

    def taken(self) -> float:
        """How many contacts intake has taken since it was started; 0 while it is not there."""
        try:
            with urllib.request.urlopen(self._addresses["metrics"]["intake-0"], timeout=5) as said:
                lines = said.read().decode().splitlines()
        except OSError:
            return 0.0
        counts = (line for line in lines if line.startswith("mawja_intake_contacts_total{"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in counts)

    def shown(self) -> dict[str, set[str]]:
        """Names of the metrics of ours that each replica shows at /metrics, without what a
        histogram adds to its own."""
        found = {}
        for name, url in self._addresses["metrics"].items():
            with urllib.request.urlopen(url, timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            types = [line.split()[2] for line in lines if line.startswith("# TYPE mawja_")]
            found[name] = {one for one in types if not one.endswith("_created")}
        return found

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        with urllib.request.urlopen(f"{self._prometheus}/api/v1/alerts", timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}
