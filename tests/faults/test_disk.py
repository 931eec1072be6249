"""The disk under Kafka fills up in the middle of a surge: a real one, small, and Kafka's alone."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.local.child import Child
from services.local.errors import LocalPartError
from services.local.kafka_node import KafkaNode
from services.local.parts import Parts
from services.local.system import ROOMS, token
from services.runtime import rpc
from services.runtime.identity import Role
from services.tools.surge import SOURCE
from tests.faults import present
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = [pytest.mark.faults, pytest.mark.large]
DISK_MIB = 128
BACK_S = 60.0
_NEEDED = (
    "this row gives Kafka a small disk of its own, which takes a mount namespace: run it as root, "
    "or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, and "
    "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu). unshare said: "
)


class SmallDisk:
    """A file system of its own under the data of one Kafka node, seen by that node alone.

    A mount namespace holds it, and a process that sleeps holds the namespace: the data outlives
    the node, and everything is gone when the row is over.
    """

    def __init__(self, node: KafkaNode) -> None:
        self._node = node
        root = os.geteuid() == 0
        self._unshare = ["unshare", "--mount", "--propagation=private"]
        self._enter = ["nsenter", "--mount"]
        if not root:
            self._unshare.append("--map-root-user")
            self._enter += ["--user", "--preserve-credentials"]
        self._keeper = Child(
            "the small disk",
            [*self._unshare, "sh", "-euc", self._script(), "sh", str(node.data)],
            log=node.folder / "disk.log",
        )

    @staticmethod
    def _script() -> str:
        return (
            f'cp -R "$1" "$1.kept"; mount -t tmpfs -o size={DISK_MIB}m tmpfs "$1"; '
            'cp -R "$1.kept/." "$1"; touch "$1.mounted"; exec sleep infinity'
        )

    def start(self) -> None:
        """Moves the node's data (it must not run) onto the small disk, and the node with it."""
        tried = subprocess.run([*self._unshare, "true"], capture_output=True, text=True)
        assert tried.returncode == 0, _NEEDED + tried.stderr.strip()
        self._keeper.start()
        mounted = Path(f"{self._node.data}.mounted")
        deadline = time.monotonic() + 20
        while not mounted.exists():
            assert self._keeper.alive(), _NEEDED + self._keeper.log_tail()
            assert time.monotonic() < deadline, "the small disk was not mounted in 20 s"
            time.sleep(0.05)
        self._node.command = (
            *self._enter,
            f"--target={self._keeper.pid}",
            # A changed user would lose the signal that ends the node when its parent dies.
            *("setpriv", "--pdeathsig=KILL", "env", f"--chdir={self._node.folder}"),
            *self._node.command,
        )

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self._keeper.pid}/root{self._node.data}/ballast")

    def fill(self) -> int:
        """Leaves not one free block. Returns the bytes that it took."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for block in (1 << 20, 1 << 12):
                with contextlib.suppress(_Full), _full_is_told():
                    while True:
                        ballast.write(bytes(block))
            return ballast.tell()

    def make_space(self) -> None:
        """Takes the ballast away."""
        self._ballast.unlink()

    def stop(self) -> None:
        """Lets go of the disk, with all that is on it. The node must have ended."""
        self._keeper.stop()


class _Full(Exception):
    pass


@contextlib.contextmanager
def _full_is_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None


def try_one(on: Stage, contact: service_pb2.Contact) -> tuple[str, str]:
    """What intake answers to one contact, without trying again: (code, details)."""
    assert on.run is not None
    # Without the retries of our channels: what intake says is what is looked at.
    with grpc.insecure_channel(on.system.target("intake")) as channel:
        try:
            answer = service_pb2_grpc.IntakeServiceStub(channel).SubmitContact(
                service_pb2.SubmitContactRequest(contact=contact),
                metadata=rpc.bearer(token(on.system.keys, SOURCE, Role.LOAD_TESTER)),
                timeout=30,
            )
        except grpc.RpcError as error:
            told: Any = error
            return told.code().name, told.details() or ""
    on.run.ledger.acknowledge(answer.contact_id)
    return "OK", ""


@pytest.mark.timeout(300)
@pytest.mark.row(
    "disk full under Kafka",
    must="clear errors, UNAVAILABLE and never OK; after space is made, 0/0/0",
)
def test_disk_full(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    disks: list[SmallDisk] = []

    def on_a_small_disk(parts: Parts) -> dict[str, str]:
        kafka = parts.local_kafka
        assert kafka is not None
        [node] = kafka.nodes
        node.stop()
        disk = SmallDisk(node)
        disks.append(disk)
        disk.start()
        node.start()
        kafka.ready()
        return {}

    try:
        with stage(
            tmp_path,
            calls=size.calls,
            over_s=size.over_s,
            seed=seed,
            arrange=on_a_small_disk,
        ) as on:
            kafka = on.parts.local_kafka
            assert kafka is not None
            [disk], [node] = disks, kafka.nodes
            answers: Counter[str] = Counter()
            details: set[str] = set()
            noticed: list[str] = []
            tried: list[service_pb2.Contact] = []

            def ask(times: int) -> None:
                assert on.run is not None
                for _ in range(times):
                    tried.append(present.contact(f"full-{len(tried)}", on.run.ledger))
                    code, why = try_one(on, tried[-1])
                    answers[code] += 1
                    details.add(why)

            def fill_up() -> None:
                on.wait_accepted(size.calls // 4)
                on.parts.check()
                row.figure("filled MiB", disk.fill() / 2**20)
                row.figure("noticed after s", on.wait(said_in_a_line, 60, "the disk is full"))
                # What Kafka acknowledged before its end is told to the client meanwhile.
                ask(1)
                before = on.accepted
                ask(int(size.of(20, 3)))
                assert on.accepted == before, "contacts were accepted without Kafka"
                disk.make_space()
                node.start()
                kafka.ready()
                row.at_most("serving again after s", serving_again(), BACK_S)
                # Nobody knows whether one stands that was not answered: it is sent again.
                assert {try_one(on, contact)[0] for contact in tried} == {"OK"}

            def said_in_a_line() -> bool:
                try:
                    on.parts.check()
                except LocalPartError as error:
                    noticed.append(str(error))
                    return True
                return False

            def taken_again() -> bool:
                return try_one(on, tried[0])[0] == "OK"

            def serving_again() -> float:
                started_s = time.monotonic()
                for room in ROOMS:
                    on.wait(on.replica(room).ready, BACK_S, f"{room} serves again")
                # Ready does not say that Kafka is reached again; an answer does.
                on.wait(taken_again, BACK_S, "intake takes contacts again")
                return time.monotonic() - started_s

            report = on.surge(fill_up)
            print(noticed[0])
            row.same("answers", dict(answers), {"UNAVAILABLE": len(tried)})
            assert all(details), "an error says why"
            row.figure("said", "; ".join(sorted(details))[:160])
            [line] = noticed[0].splitlines()
            assert "the disk is full" in line
            row.account(present.counted(report, len(tried)))
    finally:
        for disk in disks:
            disk.stop()
        shutil.rmtree(tmp_path / "kafka", ignore_errors=True)
