"""What is broken for a runbook, for real: a frozen process, a garbage record, a life in danger.

A fault gives the variables that the page's commands name. Nothing is put right here: that is what
the page is for.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from services.runtime import topics
from tests.runbooks.local import Local
from tests.runbooks.outside import Lines, Sender, enquiry, intake

_PARTITION = 0
_T = TypeVar("_T")


def freeze(on: Local, name: str) -> Mapping[str, str]:
    """A process stands still, as one whose disk or machine does."""
    os.kill(on.pid(name), signal.SIGSTOP)
    return {"ROOM": name}


def danger(on: Local, _: str) -> Mapping[str, str]:
    """Somebody whose life is in danger writes to us; nobody confirms it."""
    _submit(on, "danger-1", "Help, my father is not breathing, send an ambulance now")
    return {"CASE": _until(lambda: on.hand_over(), "the case is handed over")}


def playbook(on: Local, _: str) -> Mapping[str, str]:
    """Somebody wrote a playbook that is wrong, and outreach was started with it."""
    wrong = on.playbooks / "mistaken.yaml"
    wrong.write_text("playbook: mistaken\nversion: one\n")
    os.kill(on.pid("outreach-0"), signal.SIGTERM)
    return {"FILE": str(wrong)}


def garbage(on: Local, _: str) -> Mapping[str, str]:
    """A writer puts bytes that say nothing where a contact belongs; it has the contact itself."""
    topic = topics.CONTACT_ACCEPTED.name
    for number in range(40):
        _submit(on, f"before-garbage-{number}", "When does the office open?")
    consumer = KafkaConsumer(bootstrap_servers=on.kafka, consumer_timeout_ms=10_000)
    at = TopicPartition(topic, _PARTITION)
    consumer.assign([at])
    consumer.seek_to_beginning(at)
    good = next(record.value for record in consumer if record.value)
    consumer.close()
    mended = on.home / "mended.bin"
    mended.write_bytes(good)
    producer = KafkaProducer(bootstrap_servers=on.kafka)
    producer.send(topic, b"\xff\xff garbage", partition=_PARTITION).get(timeout=10)
    producer.close()
    letter = _until(lambda: on.letter("dedup"), "dedup sets the record aside")
    return {
        "ROOM": "dedup",
        "PARTITION": str(letter[0]),
        "OFFSET": str(letter[1]),
        "FILE": str(mended),
    }


def turned_away(on: Local, name: str) -> Mapping[str, str]:
    """What intake stands on stands still, while people go on to reach out."""
    sender = Sender(on)
    on.going_on.callback(sender.end)
    _until(lambda: sender.taken or None, "somebody is taken")
    return freeze(on, name)


def stepped(on: Local, seconds: str) -> Mapping[str, str]:
    """The clock of Redis's machine steps."""
    on.clock.write_text(f"{seconds}\n")
    return {"CLOCK": str(on.clock)}


def silent(on: Local, agency: str) -> Mapping[str, str]:
    """An agency's telephone system stands still; calls for it go on to come in."""
    reports = on.going_on.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "tests.runbooks.agency", on.target("wave"), agency],
            env=on.env | {"MAWJA_KEYS": str(on.home / "keys")},
            stdout=subprocess.PIPE,
        )
    )
    on.going_on.callback(reports.kill)
    assert reports.stdout is not None
    assert reports.stdout.readline(), "the agency's telephone system reports"
    lines = Lines(on, agency)
    on.going_on.callback(lines.end)
    reports.send_signal(signal.SIGSTOP)
    return {"TELEPHONES": str(reports.pid)}


def restored(on: Local, _: str) -> Mapping[str, str]:
    """Kafka came back from a backup, and somebody said so while no room worked."""
    rooms = [on.pid(f"{room}-0") for room in ("intake", "dedup", "outreach", "broadcast")]
    for pid in rooms:
        os.kill(pid, signal.SIGSTOP)
    try:
        # It is refused until Kafka believes that they are gone.
        _until(lambda: _declared(on), "the restore is declared")
    finally:
        # Who ended is started again, on what was restored.
        for pid in rooms:
            os.kill(pid, signal.SIGKILL)
    return {"REASON": "opt-outs of all carriers were brought"}


FAULTS: Mapping[str, Callable[[Local, str], Mapping[str, str]]] = {
    "freeze": freeze,
    "danger": danger,
    "playbook": playbook,
    "garbage": garbage,
    "turned-away": turned_away,
    "stepped": stepped,
    "silent": silent,
    "restored": restored,
}


def inject(on: Local, fault: str) -> Mapping[str, str]:
    """Does what a page names, and gives the variables of its steps."""
    name, _, to = fault.partition(" ")
    return FAULTS[name](on, to)


def copied(shipped: Path, to: Path) -> Path:
    """Playbooks that may be spoilt."""
    shutil.copytree(shipped, to)
    return to


def _submit(on: Local, key: str, text: str) -> None:
    with intake(on) as stub:
        stub.submit(enquiry(key, text))


def _declared(on: Local) -> bool | None:
    at = datetime.now(UTC).isoformat()
    try:
        on.said("restored", "declare", "--backup-at", at, "--reason", "an exercise", "--yes")
    except subprocess.CalledProcessError:
        return None
    return True


def _until(look: Callable[[], _T | None], what: str) -> _T:
    deadline = time.monotonic() + 60
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        time.sleep(0.5)
    return found
