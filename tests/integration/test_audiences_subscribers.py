"""Opted-in subscribers: who said so, who took it back, who wants nothing at all; what they get."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from kafka import KafkaProducer
from mawja.broadcast.v1 import audiences_pb2, campaigns_pb2, service_pb2, service_pb2_grpc
from mawja.broadcast.v1.audiences_pb2 import Callers, Consent, Subscribers, Subscription
from mawja.dedup.v1 import events_pb2
from typer.testing import CliRunner

from services.local.parts import Parts
from services.local.system import token
from services.runtime import rpc, topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.runtime.own import EPOCH, Record
from services.runtime.scan import Scan
from services.tools.__main__ import app
from services.tools.local import write_addresses
from tests.audiences_rig import Finder, people_of
from tests.broadcast_rig import PARTITIONS, Rig, digits, numbers, running
from tests.campaigns_rig import OTHER, Office, plan, refusal, started

P = numbers("34", 12)
HEALTH = Subscribers(agency="health", topic="vaccines")
INVALID, DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts, "subscribers", {"fast": ({}, {})}, [{"prefix": "+", "carrier": "fast"}]
    ) as started:
        write_addresses(started.system)
        yield started
        assert "Traceback" not in started.log()
        assert "+9995" not in started.log()


@pytest.fixture(scope="module")
def finder(rig: Rig) -> Finder:
    return Finder(rig.system, "maryam")


def consent(**given: Any) -> Consent:
    return Consent(**{"agency": "health", "topic": "vaccines", "source": "call", **given})


def subscribe(finder: Finder, number: str, language: str = "ar", **given: Any) -> None:
    request = audiences_pb2.SubscribeRequest(
        number=number, language=language, consent=consent(**given)
    )
    finder.stub.Subscribe(request, timeout=20)


def unsubscribe(finder: Finder, number: str) -> None:
    request = audiences_pb2.UnsubscribeRequest(
        number=number, agency="health", topic="vaccines", source="call"
    )
    finder.stub.Unsubscribe(request, timeout=20)


def records(rig: Rig) -> list[Subscription]:
    found: list[Subscription] = []

    def take(record: Record) -> None:
        found.append(Subscription.FromString(record.value or b""))

    with Scan(rig.parts.kafka, [topics.SUBSCRIPTION]) as scan:
        scan.advance(take)
    return found


def typed(rig: Rig, *words: str) -> Any:
    line = ["campaign", *words, f"--home={rig.parts.home}", "--as=maryam", "--json"]
    done = CliRunner().invoke(app, line, env={"MAWJA_TOKEN": None})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_from_consent_to_telephone(rig: Rig, finder: Finder, tmp_path: Path) -> None:
    agent = Finder(rig.system, "agent", Role.AGENT)
    for number in P[:4]:
        subscribe(agent, number, evidence="form 7")
    subscribe(agent, P[4], topic="dialysis")
    unsubscribe(agent, P[0])
    # A list of a while ago: it subscribes others, and not the one who has left since.
    people = tmp_path / "people.csv"
    people.write_text("number,language\n" + "".join(f"{one},en\n" for one in (P[0], *P[6:9])))
    given = ("--agency=health", "--topic=vaccines", "--source=counter", "--consented=2d")
    taken = typed(rig, "subscribers", str(people), *given)
    assert (taken["taken"], taken["bad"]) == (4, 0)
    # STOP: of everything.
    metadata = rpc.bearer(token(rig.system.keys, "agent", Role.AGENT))
    with grpc.insecure_channel(rig.system.target("broadcast")) as channel:
        stub: Any = service_pb2_grpc.BroadcastServiceStub(channel)
        stub.OptOut(service_pb2.OptOutRequest(number=P[1]), metadata=metadata, timeout=20)
    asked = "agency=health topic=vaccines"
    made = typed(rig, "audience", "--drill", f"--subscribers={asked}")
    assert made["query"] == "subscribers(agency=health, topic=vaccines)"
    assert made["recipients"] == 6
    assert made["languages"] == {"ar": 3, "en": 3}
    # One person left, of whom there were two consents: a person and topic once.
    assert made["exclusions"] == {"unsubscribed": 1}
    file = campaigns_pb2.AudienceFile(
        audience_id=made["audience_id"],
        attempt=bytes.fromhex(made["attempt"]),
        recipients=made["recipients"],
    )
    assert people_of(rig.parts.kafka, file, rig.keyring) == [*P[1:4], *P[6:9]]
    audience = campaigns_pb2.Audience(upload=made["audience_id"])
    seen = finder.preview(audience)
    assert (seen.people, seen.opted_out) == (6, 1)
    maker, other = Office(rig.system, "maryam"), Office(rig.system, OTHER, Role.APPROVER)
    texts = [
        campaigns_pb2.CampaignText(language="ar", template="لقاح"),
        campaigns_pb2.CampaignText(language="en", template="vaccine"),
    ]
    campaign_id = started(maker, other, plan(audience, texts=texts))
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    got = {one.destination for one in rig.smsc["fast"].messages()}
    assert got == {digits(one) for one in (*P[2:4], *P[6:9])}


def test_what_is_kept_of_a_consent(rig: Rig, finder: Finder) -> None:
    day_ago = now_ms() - topics.DAY_MS
    subscribe(finder, P[10], source="web-form", consented_ms=day_ago, evidence="form 1/2026")
    person = rig.keyring.person(P[10])
    [kept] = [one for one in records(rig) if one.person == person]
    assert (kept.source, kept.subject, kept.consented_ms) == ("web-form", "maryam", day_ago)
    assert now_ms() - kept.recorded_ms < 60_000
    assert rig.keyring.unseal("number", kept.sealed_number) == P[10]
    assert rig.keyring.unseal("note", kept.sealed_evidence) == "form 1/2026"


def test_who_may_and_what_is_wrong(rig: Rig, finder: Finder) -> None:
    water = Finder(rig.system, "water-author", agency="water")
    for call in (
        lambda: subscribe(water, P[11]),
        lambda: unsubscribe(water, P[11]),
        lambda: water.make_of(HEALTH),
        lambda: subscribe(Finder(rig.system, "some", Role.AUDITOR), P[11]),
    ):
        assert refusal(call)[0] is DENIED
    ahead = now_ms() + 3_600_000
    for wrong in (
        lambda: subscribe(finder, "12345"),
        lambda: subscribe(finder, P[11], topic=""),
        lambda: subscribe(finder, P[11], consented_ms=ahead),
        lambda: finder.make_of(Subscribers()),
    ):
        assert refusal(wrong)[0] is INVALID
    start = audiences_pb2.ImportSubscribersStart(request_id="1", country="AE", consent=consent())
    first = audiences_pb2.ImportSubscribersRequest(start=start)
    code, said = refusal(lambda: finder.stub.ImportSubscribers(iter([first]), timeout=20))
    assert code is INVALID
    assert rig.keyring.person(P[11]) not in {one.person for one in records(rig)}, said


def test_garbage_in_the_logs_stops_no_question(rig: Rig, finder: Finder) -> None:
    draw = random.Random(5)
    epoch = [(EPOCH, (2**40).to_bytes(8, "big"))]
    producer = KafkaProducer(bootstrap_servers=rig.parts.kafka, acks="all")
    odd = (
        Subscription(agency="health", topic="vaccines", subscribed=True),
        Subscription(
            person=b"x",
            agency="health",
            topic="vaccines",
            subscribed=True,
            sealed_number=b"junk",
            consented_ms=-1,
        ),
    )
    wrong_id = events_pb2.CaseDecision(change=events_pb2.CASE_CHANGE_OPENED)
    wrong_id.case.case_id = "no uuid"
    for partition in range(PARTITIONS):
        values = [draw.randbytes(draw.randrange(200)) for _ in range(20)]
        for value in (*values, *(one.SerializeToString() for one in odd)):
            producer.send(
                topics.SUBSCRIPTION.name, partition=partition, key=draw.randbytes(8), value=value
            )
        for value in (*values, b"", wrong_id.SerializeToString()):
            producer.send(topics.CASE.name, partition=partition, value=value, headers=epoch)
            producer.send(topics.CASE.name, partition=partition, value=value)
    producer.flush(30)
    producer.close()
    made = finder.make_of(HEALTH)
    assert made.recipients == 7
    assert made.exclusions["withheld"] >= 1
    # Beside who left: in each partition a consent from before all time.
    assert made.exclusions["unsubscribed"] == 1 + PARTITIONS
    assert finder.make(Callers(agency="health")).recipients == 0
