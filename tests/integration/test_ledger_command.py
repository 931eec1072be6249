"""`mawja ledger` on a running system: at any time of a surge, while services are killed, everything
is in exactly one bucket; and what is broken is told, with exit code 1."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.local.progress import Silent
from services.local.system import token
from services.runtime import ids, rpc
from services.runtime.identity import Role
from services.runtime.own import EPOCH
from services.runtime.topics import MESSAGE_STATUS
from services.tools.account import Auditor, Balance, source
from tests.faults.stage import Stage, stage

MAWJA = Path(sys.executable).with_name("mawja")


def mawja(*options: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MAWJA, "ledger", f"--home={home}", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def told(*options: str, home: Path, code: int) -> dict[str, Any]:
    done = mawja("--json", *options, home=home)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def watched(home: Path) -> tuple[list[str], int]:
    """Two lines of `--watch`, and its exit code after Ctrl-C."""
    command: list[str | Path] = [MAWJA, "ledger", f"--home={home}", "--watch", "--every=0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline().strip() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        return lines, watching.wait(timeout=30)


def settled(home: Path) -> bool:
    messages = told(home=home, code=0)["messages"]
    return not any(messages[name]["count"] for name in ("waiting", "queued", "claimed"))


async def queue_by_hand(on: Stage) -> None:
    """The same request three times: one message."""
    async with rpc.channel(on.system.target("broadcast")) as channel:
        stub = service_pb2_grpc.BroadcastServiceStub(channel)
        for _ in range(3):
            await stub.QueueMessage(
                service_pb2.QueueMessageRequest(
                    request_id="by-hand",
                    number="+999512345678",
                    text="The bridge is closed.",
                    lane=common_pb2.LANE_NORMAL,
                    drill=True,
                ),
                metadata=rpc.bearer(token(on.system.keys, "somebody", Role.COORDINATOR)),
                timeout=30,
            )


def state_of_nobody(on: Stage) -> None:
    """A message is sent that nobody asked for, by somebody who looks like the owner."""
    change = events_pb2.MessageChange(
        message_id=ids.derive("message", "nobody's"),
        state=events_pb2.MESSAGE_STATE_CLAIMED,
        attempt=1,
        drill=True,
    )
    producer = KafkaProducer(bootstrap_servers=on.parts.kafka)
    producer.send(
        MESSAGE_STATUS.name,
        events_pb2.StatusRecord(changes=[change], decided_ms=1).SerializeToString(),
        partition=0,
        headers=[(EPOCH, (2**62).to_bytes(8, "big"))],
    ).get(timeout=30)
    producer.close()


@pytest.mark.timeout(500)
def test_the_account_adds_up_at_any_time(tmp_path: Path) -> None:
    taken: list[Balance] = []
    with stage(tmp_path, calls=800, over_s=20, seed=5) as on:

        def kill_and_look() -> None:
            with Auditor(source(tmp_path), Silent()) as auditor:
                for room in ("dedup", "broadcast", "outreach", "intake", "broadcast"):
                    until_s = on.elapsed_s + 3.5
                    on.replica(room).process.kill9()
                    while on.elapsed_s < until_s:
                        taken.append(auditor.take())
                    # From the beginning too, and not only on from where it was.
                    with Auditor(source(tmp_path), Silent()) as fresh:
                        taken.append(fresh.take())

        report = on.surge(kill_and_look)
        assert report["problems"] == []
        messages: Any = report["messages"]
        asyncio.run(queue_by_hand(on))
        bad = [balance.as_dict() for balance in taken if not balance.good]
        assert bad == []
        assert len(taken) > 10
        assert all(balance.smsc for balance in taken)
        # It was seen at work, and not only before and after.
        assert any(balance.standing.contacts["waiting"].count for balance in taken)
        assert len({balance.standing.accepted for balance in taken}) > 5

        on.wait(lambda: settled(tmp_path), 90, "the last message was sent")
        ended = told(home=tmp_path, code=0)
        assert ended["accepted"] == report["accepted"]
        assert ended["contacts"]["waiting"]["count"] == 0
        assert (ended["by_outreach"], ended["by_hand"]) == (messages["requested"], 1)
        assert ended["smsc"]["more_than_once"] == 0
        assert ended["messages"]["delivered"]["count"] >= messages["delivered"] > 0
        assert ended["smsc"]["messages"] > messages["delivered"]
        assert "It adds up." in mawja(home=tmp_path).stdout

        lines, code = watched(tmp_path)
        assert all(line.endswith("adds up") for line in lines)
        assert code == 0

        state_of_nobody(on)
        broken = told(home=tmp_path, code=1)
        assert any("never requested" in problem for problem in broken["problems"])
        shown = mawja(home=tmp_path)
        assert shown.returncode == 1
        assert "never requested" in shown.stdout
    done = mawja(home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nothing runs in" in done.stderr
