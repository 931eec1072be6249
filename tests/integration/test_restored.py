"""Kafka is put back to an earlier moment: nothing that may have been sent since is sent again, and
nothing at all until somebody resumes. On real Kafka, Valkey and an SMS centre, by the commands of
the page (runbooks/restore-kafka.md)."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from mawja.broadcast.v1 import events_pb2
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from services.local.errors import LocalPartError
from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.local.system import System, token
from services.runtime.identity import Role
from services.tools.__main__ import app
from tests.broadcast_rig import (
    PARTITIONS,
    Ledger,
    Outreach,
    Rig,
    digits,
    numbers,
    running,
    wait_until,
)
from tests.runbooks.pages import FOLDER, steps

TEXT = "Water is back in your street."
UNKNOWN = events_pb2.MESSAGE_STATE_UNKNOWN
DECLARE, SHOW, _LEDGER, OPT_OUTS, RESUME, AUDIT = range(6)
"""The blocks of the page, in its order. The account is of whole systems only."""
RECEIPTS_LATER_MS = 25_000
"""So late that those of what was sent after the backup come after the restore."""


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """Broadcast with a slow carrier."""
    with running(
        parts,
        "restored",
        {"slow": ({"parts_per_second": 10, "window": 10}, {})},
        [{"prefix": "+9995", "carrier": "slow"}],
    ) as started:
        yield started


@contextmanager
def stopped_kafka(parts: Parts) -> Iterator[Path]:
    """Kafka stands still meanwhile, its data in the folder that is given; then it goes on there."""
    kafka = parts.local_kafka
    assert kafka is not None
    [node] = kafka.nodes
    node.stop()
    try:
        yield node.data
    finally:
        node.start()
        kafka.ready()


def restored(parts: Parts, *words: str, role: Role = Role.ADMINISTRATOR) -> Result:
    """What `mawja restored` says."""
    env = {"MAWJA_TOKEN": token(parts.home / "keys", "noor", role)}
    return CliRunner().invoke(app, ["restored", *words, "--home", str(parts.home)], env=env)


def page(rig: Rig, step: int, **variables: str) -> str:
    """Runs one block of commands of the page, and gives what they said."""
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAWJA_HOME": str(rig.parts.home),
        "MAWJA_TOKEN": token(rig.parts.home / "keys", "noor", Role.ADMINISTRATOR, Role.COORDINATOR),
        "MAWJA_BROADCAST": rig.system.target("broadcast"),
        "COLUMNS": "200",
    }
    command = steps((FOLDER / "restore-kafka.md").read_text("utf-8"))[step]
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=env | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def pauses(rig: Rig) -> set[float]:
    """What broadcast's partitions show to who watches."""
    url = rig.system.metrics_urls()["broadcast-0"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return {
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "mawja_broadcast_sending_paused"
    }


def audited(rig: Rig) -> bool:
    """Whether the page's command shows who declared, who resumed and who was refused, and why."""
    shown = page(rig, AUDIT)
    return all(
        any(
            all(word in line for word in ("noor", deed, outcome, why))
            for line in shown.splitlines()
        )
        for deed, outcome, why in (
            ("Declare", "permission_denied", "not mine to say"),
            ("Declare", "done", "the disks of the site"),
            ("Declare", "failed_precondition", "while it runs"),
            ("Resume", "permission_denied", "not mine either"),
            ("Resume", "done", "opt-outs brought"),
        )
    )


def delivered(rig: Rig) -> int:
    return rig.ledger.states(list(rig.ledger.read()))["DELIVERED"]


class Lost(NamedTuple):
    """What happened between backup and loss. `asked`: id to number of what stands in the backup."""

    asked: dict[str, str]
    then: "Counter[str]"
    claims: dict[str, events_pb2.MessageChange]


@pytest.fixture(scope="module")
def lost(rig: Rig) -> Lost:
    """A backup is taken while messages are queued; they are sent; Kafka is put back."""
    asked = {rig.outreach.request(number, TEXT): number for number in numbers("20", 60)}
    rig.outreach.flush()
    wait_until(lambda: delivered(rig) >= 15)
    rig.system.scale("broadcast", 0)
    rig.ledger.wait_for(list(asked), "DELIVERED", "NONE", "RELEASED", "SUBMITTED")
    then = rig.ledger.states(list(asked))
    backup = rig.parts.home / "backup"
    with stopped_kafka(rig.parts) as data:
        shutil.copytree(data, backup)
    rig.smsc["slow"].set(receipt_delay_ms=RECEIPTS_LATER_MS)
    rig.system.scale("broadcast", 1)
    later = [rig.outreach.request(number, TEXT) for number in numbers("30", 5)]
    rig.outreach.flush()
    rig.ledger.wait_for([*asked, *later], "SUBMITTED", "DELIVERED")
    claims = {one: change[0] for one, change in rig.ledger.history.items() if len(change) > 1}
    rig.system.scale("broadcast", 0)
    with stopped_kafka(rig.parts) as data:
        shutil.rmtree(data)
        shutil.copytree(backup, data)
    # Whoever wrote to the other Kafka goes on from where that was.
    rig.outreach.close()
    rig.ledger.close()
    rig.outreach = Outreach(rig.parts.kafka, rig.keyring)
    rig.ledger = Ledger(rig.parts.kafka)
    return Lost(asked, then, claims)


def test_a_broadcast_that_nobody_told_of_the_restore_does_not_begin(rig: Rig, lost: Lost) -> None:
    sent = len(rig.smsc["slow"].submits())
    system = System(rig.parts, env=rig.system.env, rooms=("broadcast",))
    try:
        with pytest.raises(LocalPartError, match=r"restore-kafka\.md"):
            system.start(PARTITIONS)
    finally:
        system.stop()
    assert len(rig.smsc["slow"].submits()) == sent


def test_it_is_declared_with_who_when_and_why(rig: Rig, lost: Lost) -> None:
    at = datetime.now(UTC).isoformat()
    declare = ("declare", "--backup-at", at, "--yes")
    why = ("--reason", "not mine to say")
    refused = restored(rig.parts, *declare, *why, role=Role.COORDINATOR)
    assert refused.exit_code == 1
    assert restored(rig.parts, *declare).exit_code == 1, "it needs a reason"
    assert restored(rig.parts, *declare[:2], "2099-01-01T00:00Z", "--yes").exit_code == 1
    assert json.loads(restored(rig.parts, "show", "--json").stdout) == []
    page(rig, DECLARE, BACKUP_AT=at, REASON="the disks of the site")
    [shown] = json.loads(restored(rig.parts, "show", "--json").stdout)
    assert (shown["by"], shown["reason"], shown["paused"]) == (
        "noor",
        "the disks of the site",
        True,
    )


def test_what_may_have_been_sent_is_unknown_and_settled_by_its_receipt(
    rig: Rig, lost: Lost
) -> None:
    before = rig.smsc["slow"].submits()
    rig.system.scale("broadcast", 1)
    declare = ("declare", "--backup-at", "2026-01-01T00:00Z", "--yes")
    refused = restored(rig.parts, *declare, "--reason", "while it runs")
    assert "broadcast" in refused.output
    assert refused.exit_code == 1, "not while somebody sends"
    found = rig.ledger.wait_for(list(lost.asked), "DELIVERED", "UNKNOWN", "SUBMITTED")
    assert sum(found.values()) == len(lost.asked), "each in one bucket"
    doubted = [one for one in lost.asked if has(rig, one, "restored")]
    assert len(doubted) == lost.then["NONE"] + lost.then["RELEASED"] > 0
    for one in doubted:
        # As the claim had it that is lost: so its receipt finds it.
        claim = doubted_claim(rig, one)
        assert (claim.reference, claim.carrier) == (lost.claims[one].reference, "slow")
    rig.ledger.wait_for(list(lost.asked), "DELIVERED", timeout_s=RECEIPTS_LATER_MS / 1000 + 30)
    page(rig, SHOW)
    assert rig.smsc["slow"].submits() == before, "nothing was sent"


def doubted_claim(rig: Rig, message_id: str) -> events_pb2.MessageChange:
    """The claim that became unknown; its receipt may have come since."""
    changes = rig.ledger.history[message_id]
    return next(
        before
        for before, after in pairwise(changes)
        if after.state == UNKNOWN and after.reason == "restored"
    )


def has(rig: Rig, message_id: str, reason: str) -> bool:
    return any(
        change.state == UNKNOWN and change.reason == reason
        for change in rig.ledger.history.get(message_id, [])
    )


def test_nothing_new_is_sent_until_somebody_resumes(rig: Rig, lost: Lost) -> None:
    before = len(rig.smsc["slow"].submits())
    new = {rig.outreach.request(number, TEXT): number for number in numbers("40", 5)}
    rig.outreach.flush()
    time.sleep(3)
    assert rig.ledger.states(list(new)) == {"NONE": 5}
    assert pauses(rig) == {1.0}
    assert len(rig.smsc["slow"].submits()) == before
    stopped, *others = new
    stop_list = rig.parts.home / "stop.csv"
    stop_list.write_text(f"number\n{new[stopped]}\n")
    assert "1 rows taken" in page(rig, OPT_OUTS, STOP_LIST=str(stop_list))
    why = ("--reason", "not mine either")
    assert restored(rig.parts, "resume", *why, role=Role.AGENT).exit_code == 1
    page(rig, RESUME, REASON="opt-outs brought")
    rig.ledger.wait_for(others, "SUBMITTED", "DELIVERED")
    assert rig.ledger.last[stopped].reason == "opt-out"
    assert pauses(rig) == {0.0}
    wait_until(lambda: audited(rig))
    submits = rig.smsc["slow"].submits()
    assert duplicates(submits) == []
    assert {one.destination for one in submits[before:]} == {digits(new[one]) for one in others}
    [shown] = json.loads(restored(rig.parts, "show", "--json").stdout)
    assert (shown["paused"], shown["resumed_by"]) == (False, "noor")
    assert restored(rig.parts, "resume", "--reason", "x").exit_code == 1, "it is resumed already"


def test_what_was_resumed_stays_so_and_what_is_doubtful_too(rig: Rig, lost: Lost) -> None:
    before = len(rig.smsc["slow"].submits())
    rig.system.scale("broadcast", 0)
    rig.system.scale("broadcast", 1)
    # Asked for once more, as outreach does of a contact that it decides on again.
    again = rig.outreach.request(next(iter(lost.asked.values())), TEXT)
    assert again in lost.asked
    new = rig.outreach.request(numbers("50", 1)[0], TEXT)
    rig.outreach.flush()
    rig.ledger.wait_for([new], "SUBMITTED", "DELIVERED")
    assert len(rig.smsc["slow"].submits()) == before + 1
