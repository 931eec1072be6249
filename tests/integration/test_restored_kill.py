"""`mawja restored declare` is killed between its effects, on real Kafka and Valkey: sending is
paused before Redis is emptied, and saying it again makes it whole. The audit has every try."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mawja.audit.v1 import events_pb2 as audit
from redis import Redis
from typer.testing import CliRunner

from services.local.system import token
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from services.runtime.topics import BROADCAST_NOTES
from services.tools.__main__ import app
from tests.faults.crashing import CODE
from tests.faults.declaring import EMPTIED, SAID

WHY = "disks of the site"
ASKED, ANSWERED = audit.STAGE_ASKED, audit.STAGE_ANSWERED


def declared(settings: Settings, folder: Path, crash: str = "") -> int:
    """Declares it, killed after an effect; its exit code."""
    effect = [crash, str(settings.partitions), str(folder)]
    words = ["declare", "--backup-at", "2026-01-01T00:00Z", "--reason", WHY, "--yes"]
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults.declaring", *effect, "restored", *words],
        env=os.environ | whose(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.returncode in (0, CODE), said.stdout + said.stderr
    return said.returncode


def whose(settings: Settings) -> dict[str, str]:
    return {
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
        "MAWJA_TOKEN": token(settings.keys, "noor", Role.ADMINISTRATOR),
    }


def noted(settings: Settings) -> list[audit.AuditNote]:
    """What broadcast's audit is to chain. One person's notes are in one partition, in order."""
    found: list[audit.AuditNote] = []
    with Scan(settings.kafka, [BROADCAST_NOTES]) as scan:
        scan.advance(lambda record: found.append(audit.AuditNote.FromString(record.value or b"")))
    return found


def paused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each restore, whether it is said in every partition that sending waits."""
    for name, value in whose(settings).items():
        monkeypatch.setenv(name, value)
    said = CliRunner().invoke(app, ["restored", "show", "--json"])
    assert said.exit_code == 0, said.output
    return [one["paused"] for one in json.loads(said.stdout)]


def test_who_was_killed_between_saying_it_and_emptying_redis_says_it_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = Redis.from_url(settings.redis_url)
    redis.set("known", "what the lost log had")
    assert declared(settings, tmp_path, SAID) == CODE
    assert paused(settings, monkeypatch) == [True]
    # So a broadcast that begins now finds that Redis knows more than Kafka, and ends.
    assert redis.exists("known")
    assert declared(settings, tmp_path, EMPTIED) == CODE
    assert redis.dbsize() == 0
    assert declared(settings, tmp_path) == 0
    assert paused(settings, monkeypatch) == [True], "it is one restore"
    notes = noted(settings)
    assert [note.stage for note in notes] == [ASKED, ASKED, ASKED, ANSWERED]
    assert {(note.subject, note.deed) for note in notes} == {("noor", "Restored/Declare")}
    assert len({note.about for note in notes}) == 1
    assert len({note.call_id for note in notes}) == 3
    assert Keyring(settings.keys).unseal("reason", notes[-1].sealed_reason) == WHY
    assert WHY.encode() not in notes[-1].SerializeToString(), "reasons may be about people"
