"""Locust against a real intake on a real Kafka: what it was told is safe is in the topic."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mawja.intake.v1 import events_pb2

from services.local.parts import Parts
from services.local.progress import Silent
from services.local.system import System
from services.runtime import topics
from services.runtime.clock import now_ms
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CONTACT_ACCEPTED
from tests.conftest import PARTITIONS

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"


@pytest.fixture(scope="module")
def system(parts: Parts) -> Iterator[System]:
    """Intake alone, on Kafka and Valkey, with its address where `mawja up` would write it."""
    made = System(parts, rooms=("intake",))
    try:
        made.start(PARTITIONS)
        (parts.home / "services.json").write_text(
            json.dumps(
                {
                    "kafka": parts.kafka,
                    "keys": str(made.keys),
                    "grpc": {"intake": made.target("intake")},
                }
            )
        )
        yield made
    finally:
        made.stop()


def locust(parts: Parts, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs Locust headless, as a person would."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("locust")),
            f"--locustfile={LOCUSTFILE}",
            "--headless",
            f"--services={parts.home / 'services.json'}",
            "--only-summary",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=parts.home,
    )


def figure(output: str, name: str) -> float:
    """A figure of the account that it prints."""
    found = re.search(rf"^  {re.escape(name)} +([\d,.]+)$", output, re.MULTILINE)
    assert found, output
    return float(found[1].replace(",", ""))


def contacts(kafka: str) -> list[events_pb2.ContactAccepted]:
    """Everything in the topic."""
    found: list[events_pb2.ContactAccepted] = []

    def take(record: Record) -> None:
        found.append(events_pb2.ContactAccepted.FromString(record.value or b""))

    with Scan(kafka, [CONTACT_ACCEPTED]) as scan:
        scan.advance(take)
    return found


@pytest.mark.parametrize(("user", "seed", "calls"), [("UnaryUser", 1, 150), ("StreamUser", 2, 600)])
def test_contacts_are_in_the_topic(
    parts: Parts, system: System, user: str, seed: int, calls: int
) -> None:
    before = {contact.contact_id for contact in contacts(parts.kafka)}
    begin_ms = now_ms() - 48 * 3600 * 1000
    options = (
        user,
        f"--calls={calls}",
        "--over=3s",
        f"--seed={seed}",
        f"--begin={begin_ms}",
        "--settle=5s",
    )
    ran = locust(parts, *options)
    output = ran.stdout + ran.stderr
    assert ran.returncode == 0, output
    sent = figure(output, "sent")
    assert sent >= calls
    assert figure(output, "acknowledged") == sent
    assert figure(output, "lost") == figure(output, "failed") == 0
    assert figure(output, "intake p99, ms") > 0
    found = contacts(parts.kafka)
    new = [contact for contact in found if contact.contact_id not in before]
    assert len({contact.contact_id for contact in new}) == len(new) == sent
    assert all(contact.drill and contact.source == "load-test" for contact in new)
    assert len({contact.person for contact in new if contact.person}) > calls / 10

    # The same contacts again: every contact is acknowledged, and none is new.
    again = locust(parts, *options)
    assert again.returncode == 0, again.stdout + again.stderr
    assert figure(again.stdout + again.stderr, "acknowledged") == sent
    assert len(contacts(parts.kafka)) == len(found)


def test_what_is_refused_fails_the_run(parts: Parts, system: System) -> None:
    tomorrow_ms = now_ms() + 24 * 3600 * 1000
    refused = locust(parts, "--calls=20", "--over=1s", f"--begin={tomorrow_ms}", "--settle=1s")
    assert refused.returncode == 1, refused.stderr
    assert figure(refused.stdout, "failed") == figure(refused.stdout, "sent") > 0
    assert figure(refused.stdout, "lost") == 0
    assert "INVALID_ARGUMENT" in refused.stdout + refused.stderr


def test_an_acknowledged_contact_that_is_not_in_the_topic_fails_the_run(
    parts: Parts, system: System, tmp_path: Path
) -> None:
    """The account is of the Kafka that it is told of: in an empty one, everything is lost."""
    with Parts(tmp_path / "other", progress=Silent()) as other:
        topics.ensure(other.kafka, PARTITIONS, 1)
        ran = locust(
            parts, "--calls=20", "--over=1s", "--seed=5", "--settle=1s", f"--kafka={other.kafka}"
        )
    assert ran.returncode == 1, ran.stderr
    assert figure(ran.stdout, "lost") == figure(ran.stdout, "acknowledged") > 0


def test_without_a_system_it_says_what_to_do(tmp_path: Path) -> None:
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("locust")), "-f", str(LOCUSTFILE), "--headless"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 2
    assert "start `mawja up`" in ran.stderr
