"""`mawja dlq` and `mawja rebuild`, as a person types them, on services that run."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from kafka import KafkaProducer
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.intake.v1 import events_pb2 as intake_pb2
from typer.testing import CliRunner, Result

from services.local.parts import Parts
from services.local.system import System, token
from services.runtime import clock, ids, topics
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.rebuild import FENCE_S, fence_key
from services.runtime.rpc import bearer
from services.runtime.scan import Scan
from services.runtime.topics import CASE, CONTACT_ACCEPTED, DEDUP_DEAD
from services.tools.__main__ import app
from services.tools.letters import Box, Letter
from tests.conftest import PARTITIONS
from tests.intake_rig import NUMBER, stored

CONTACTS = 400
TEXT = "لا يوجد ماء في بيتي"


@pytest.fixture(scope="module")
def system(parts: Parts, keys: Path) -> Iterator[System]:
    """Dedup and intake; the other rooms are as good as not installed."""
    running = System(parts, rooms=("dedup", "intake"))
    try:
        running.start(PARTITIONS)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def contacts(system: System, settings: Settings) -> None:
    """Contacts of many people, worked through."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    keyring = Keyring(settings.keys)
    for number in range(CONTACTS):
        made = contact(keyring, f"c{number}", f"+99951{number:07d}")
        at = topics.partition_of(made.person, PARTITIONS)
        producer.send(CONTACT_ACCEPTED.name, made.SerializeToString(), made.person, partition=at)
    producer.flush()
    producer.close()
    until(lambda: len(decisions(settings)) >= CONTACTS)


def contact(keyring: Keyring, name: str, number: str, **given: Any) -> intake_pb2.ContactAccepted:
    now = clock.now_ms()
    fields: dict[str, Any] = {
        "contact_id": ids.contact_id("test", name),
        "source": "test",
        "person": keyring.person(number),
        "channel": common_pb2.CHANNEL_VOICE,
        "drill": True,
        "event_ms": now,
        "accepted_ms": now,
        "sealed_number": keyring.seal("number", number, now),
        "sealed_text": keyring.seal("text", TEXT, now),
        "body_mac": bytes(16),
        **given,
    }
    return intake_pb2.ContactAccepted(**fields)


def send(producer: KafkaProducer, made: intake_pb2.ContactAccepted) -> tuple[int, int]:
    partition = topics.partition_of(made.person, PARTITIONS)
    stands = producer.send(
        CONTACT_ACCEPTED.name, made.SerializeToString(), key=made.person, partition=partition
    ).get(30)
    return partition, stands.offset


def decisions(settings: Settings) -> list[events_pb2.CaseDecision]:
    return [
        events_pb2.CaseDecision.FromString(record.value or b"") for record in stored(settings, CASE)
    ]


def until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def mawja(settings: Settings, *words: str, expect: int = 0, **env: str) -> Result:
    """Runs the command in this process: a second of starting less each time."""
    others = {name: None for name in os.environ if name.startswith("MAWJA_")}
    named = {
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
    }
    done = CliRunner().invoke(app, list(words), env={**others, "COLUMNS": "200", **named, **env})
    assert done.exit_code == expect, done.stdout + done.stderr
    return done


def letters(settings: Settings) -> list[Letter]:
    with Box(settings, ["dedup"]) as box:
        return list(box.letters("dedup"))


def test_a_dead_letter_is_listed_shown_mended_and_replayed(
    settings: Settings, contacts: None, tmp_path: Path
) -> None:
    keyring = Keyring(settings.keys)
    producer = KafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    bad = contact(keyring, "bad", NUMBER, event_ms=-7)
    partition, offset = send(producer, bad)

    def listed() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            mawja(settings, "dlq", "list", "--room", "dedup", "--json").stdout
        )
        return found

    until(lambda: bool(letters(settings)))
    said = listed()
    [letter] = said["letters"]
    assert letter["source"] == {
        "topic": CONTACT_ACCEPTED.name,
        "partition": partition,
        "offset": offset,
    }
    assert (letter["state"], letter["reason"]) == ("waiting", "event_ms is not a time")
    assert said["limit"] == 1000
    assert said["rooms"]["dedup"] == {"letters": 1, "waiting": {str(partition): 1}}
    table = mawja(settings, "dlq", "list").stdout
    assert "event_ms is not a time" in table
    assert "the fullest partition holds 1 of 1000" in table

    place = ("dedup", str(partition), str(letter["offset"]))
    shown = mawja(settings, "dlq", "show", *place).stdout
    record = json.loads(shown)["record"]
    assert record["event_ms"] == "-7"
    assert record["sealed_text"].startswith("sealed:")
    assert NUMBER not in shown
    assert TEXT not in shown

    # What is sealed: only with the right, and a reason, and it is recorded.
    why = ("--reason", "a complaint")
    unmask = ("dlq", "show", *place, "--unmask")
    tokens = {role: token(settings.keys, f"the-{role}", role) for role in Role}
    refused = mawja(settings, *unmask, *why, expect=1)
    assert "set MAWJA_TOKEN" in refused.stderr
    refused = mawja(settings, *unmask, *why, expect=1, MAWJA_TOKEN=tokens[Role.AGENT])
    assert "needs a token with the role administrator or auditor" in refused.stderr
    refused = mawja(settings, *unmask, *why, expect=1, MAWJA_TOKEN="x.y.z")
    assert "does not verify" in refused.stderr
    refused = mawja(settings, *unmask, expect=1, MAWJA_TOKEN=tokens[Role.AUDITOR])
    assert "needs --reason" in refused.stderr
    assert all("Traceback" not in x and NUMBER not in x for x in (refused.stderr, refused.stdout))
    assert not deeds(settings, "reading")
    opened = mawja(settings, *unmask, *why, MAWJA_TOKEN=tokens[Role.AUDITOR]).stdout
    record = json.loads(opened)["record"]
    assert (record["sealed_number"], record["sealed_text"]) == (NUMBER, TEXT)
    [noted] = deeds(settings, "reading")
    assert noted.reading.subject == "the-auditor"
    assert keyring.unseal("reason", noted.reading.sealed_reason) == "a complaint"

    # Mended and replayed.
    file = tmp_path / "letter.json"
    file.write_text(shown.replace('"-7"', f'"{bad.accepted_ms}"'))
    replay = ("dlq", "replay", *place, "--json", str(file), "--reason", "a clock")
    refused = mawja(settings, *replay, expect=1, MAWJA_TOKEN=tokens[Role.AUDITOR])
    assert "needs a token with the role administrator" in refused.stderr
    admin = tokens[Role.ADMINISTRATOR]
    done = mawja(settings, *replay, MAWJA_TOKEN=admin)
    assert "replayed mended" in done.stdout
    refused = mawja(settings, *replay, expect=1, MAWJA_TOKEN=admin)
    assert "was replayed already, by the-administrator" in refused.stderr
    until(lambda: any(d.link.contact_id == bad.contact_id for d in decisions(settings)))
    [decided] = [d for d in decisions(settings) if d.link.contact_id == bad.contact_id]
    assert decided.change == events_pb2.CASE_CHANGE_OPENED
    assert decided.input.topic == DEDUP_DEAD.name
    assert listed()["letters"][0]["state"] == "replayed"
    assert listed()["rooms"]["dedup"]["waiting"] == {}

    # All that wait: what can be worked is, and what can't is told.
    for name in ("late1", "late2"):
        send(producer, contact(keyring, name, NUMBER, channel=common_pb2.CHANNEL_UNSPECIFIED))
    producer.send(CONTACT_ACCEPTED.name, b"\xff garbage", partition=partition).get(30)
    until(lambda: len(letters(settings)) == 4)
    every = ("dlq", "replay", "dedup", "--all", "--reason", "a new version")
    done = mawja(settings, *every, MAWJA_TOKEN=admin)
    assert "replayed 2 letters of dedup; 1 were left" in done.stdout
    assert "is not a ContactAccepted: give it mended" in done.stdout
    # They break their rule still, and are letters of their own.
    until(lambda: len(letters(settings)) == 6)
    assert sum(listed()["rooms"]["dedup"]["waiting"].values()) == 3
    [garbage] = [x for x in listed()["letters"] if "not a ContactAccepted" in x["reason"]]
    place = ("dedup", str(partition), str(garbage["offset"]))
    assert json.loads(mawja(settings, "dlq", "show", *place).stdout)["hex"].startswith("ff20")
    file.write_bytes(contact(keyring, "mended", NUMBER).SerializeToString())
    by_bytes = ("dlq", "replay", *place, "--value", str(file), "--reason", "by hand")
    mawja(settings, *by_bytes, MAWJA_TOKEN=admin)
    wanted = ids.contact_id("test", "mended")
    until(lambda: any(d.link.contact_id == wanted for d in decisions(settings)))
    producer.close()


def deeds(settings: Settings, kind: str) -> list[common_pb2.DeadLetter]:
    found: list[common_pb2.DeadLetter] = []

    def each(record: Record) -> None:
        letter = common_pb2.DeadLetter.FromString(record.value or b"")
        if letter.WhichOneof("deed") == kind:
            found.append(letter)

    with Scan(settings.kafka, [DEDUP_DEAD]) as scan:
        scan.advance(each)
    return found


def view(client: redis.Redis, prefix: str) -> dict[bytes, object]:
    """What readers can find. The version before an entry, and sentinels, differ each time."""
    found: dict[bytes, object] = {}
    for key in client.scan_iter(match=f"{prefix}*"):
        if b":whole:" in key or key.endswith(b":whole"):
            continue
        if client.type(key) == b"zset":
            found[key] = tuple(client.zrange(key, 0, -1, withscores=True))
        else:
            found[key] = client.getrange(key, 0 if prefix == "i:" else 32, -1)
    return found


class Asking(threading.Thread):
    """Asks for one case all the time, and counts the answers."""

    def __init__(self, system: System, case: str) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[grpc.StatusCode] = Counter()
        self._channel = grpc.insecure_channel(system.target("dedup"))
        self._stub = service_pb2_grpc.DedupServiceStub(self._channel)
        self._bearer = bearer(token(system.keys, "ag", Role.AGENT))
        self._case = case
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self._stub.GetCase(
                    service_pb2.GetCaseRequest(case=self._case), metadata=self._bearer, timeout=5
                )
                self.answers[grpc.StatusCode.OK] += 1
            except grpc.RpcError as error:
                self.answers[error.code()] += 1
            time.sleep(0.005)

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._channel.close()


def test_views_are_written_again_while_readers_are_told(
    settings: Settings, system: System, contacts: None
) -> None:
    client: redis.Redis = redis.Redis.from_url(settings.redis_url)
    until(lambda: all(client.exists(f"dedup:whole:{p}") for p in range(PARTITIONS)))
    before, keys_before = view(client, "dedup:"), view(client, "i:")
    case = next(d.case.case_id for d in decisions(settings) if d.case.case_id)
    # What is wrong in Redis, by a hand or a bug: gone, another's, and too much.
    client.delete(f"dedup:case:{case}")
    cases = [key for key in before if key.startswith(b"dedup:case:")]
    client.setrange(cases[1], 32, "damaged")
    client.set("dedup:case:nobodys", b"0" * 32)
    asking = Asking(system, case)
    asking.start()
    until(lambda: asking.answers[grpc.StatusCode.NOT_FOUND] > 0)
    asking.answers.clear()
    said = mawja(settings, "rebuild", "--yes", "dedup", "intake").stderr
    asking.end()
    after = view(client, "dedup:")
    assert after == before
    assert set(asking.answers) <= {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.OK,
    }
    assert asking.answers[grpc.StatusCode.OK] > 0
    for partition in range(PARTITIONS):
        assert f"dedup partition {partition}: " in said
    assert "dedup: whole again, " in said
    assert "intake: whole again, " in said
    keys_after = view(client, "i:")
    # Every contact that stands in its topic has its key, also those that did not come by intake.
    assert keys_before.items() <= keys_after.items()
    assert len(keys_after) >= CONTACTS
    assert not client.exists(fence_key("dedup"), "intake:rebuilding")
    client.close()


def test_readers_never_see_a_part_of_a_view(
    settings: Settings, system: System, contacts: None
) -> None:
    client: redis.Redis = redis.Redis.from_url(settings.redis_url)
    case = next(d.case.case_id for d in decisions(settings) if d.case.case_id)
    asking = Asking(system, case)
    asking.start()
    until(lambda: asking.answers[grpc.StatusCode.OK] > 0)
    for _ in range(3):
        mawja(settings, "rebuild", "--yes", "dedup")
    asking.end()
    assert set(asking.answers) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK}
    assert asking.answers[grpc.StatusCode.UNAVAILABLE] > 0, "nobody asked meanwhile"
    client.close()


def test_who_died_while_taking_a_view_away_leaves_nobody_waiting(
    settings: Settings, system: System, contacts: None
) -> None:
    client: redis.Redis = redis.Redis.from_url(settings.redis_url)
    before = view(client, "dedup:")
    # As it leaves things: its fence, no sentinel, half of the entries; indexes go last.
    client.set(fence_key("dedup"), "somebody", ex=120)
    client.delete(*(f"dedup:whole:{p}" for p in range(PARTITIONS)))
    client.delete(*[key for key in before if client.type(key) == b"string"][::2])
    refused = mawja(settings, "rebuild", "--yes", "dedup", expect=1)
    assert "the view of dedup is being written again already" in refused.stderr
    client.expire(fence_key("dedup"), FENCE_S)
    assert not any(client.exists(f"dedup:whole:{p}") for p in range(PARTITIONS))
    until(lambda: all(client.exists(f"dedup:whole:{p}") for p in range(PARTITIONS)), FENCE_S + 20)
    # What was not taken away stands as it was, the rest was written again.
    assert view(client, "dedup:") == before
    client.close()


def test_it_refuses_what_cannot_be_done(settings: Settings, system: System, tmp_path: Path) -> None:
    refused = mawja(settings, "rebuild", "--yes", "outreach", expect=1)
    assert "no outreach runs there" in refused.stderr
    refused = mawja(settings, "rebuild", "--yes", "wave", expect=1)
    assert "wave has no view" in refused.stderr
    refused = mawja(settings, "rebuild", "dedup", expect=1)
    assert "give --yes" in refused.stderr
    home = str(tmp_path)
    for words in (["rebuild", "--yes"], ["dlq", "list"]):
        refused = mawja(settings, *words, "--home", home, expect=1)
        assert f"nothing runs in {home}" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_home_that_is_given_says_where_the_system_is(
    settings: Settings, parts: Parts, system: System
) -> None:
    nowhere = "127.0.0.1:1"
    said = mawja(settings, "dlq", "list", "--home", str(parts.home), MAWJA_KAFKA=nowhere).stdout
    assert "dedup: " in said
    refused = mawja(settings, "dlq", "list", expect=1, MAWJA_KAFKA=nowhere)
    assert "Kafka at 127.0.0.1:1 does not answer" in refused.stderr
