"""Claims of keys whose records are not in Kafka yet: who died lets go, who is slow keeps them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import redis.asyncio as redis
from mawja.intake.v1 import service_pb2_grpc

from services.intake.accept import Prepared, prepare
from services.intake.entries import Entry
from services.intake.index import ABANDONED_S, KEPT_S, Index
from services.runtime import clock, store
from services.runtime.config import Settings
from services.runtime.identity import Caller, Role
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CONTACT_ACCEPTED
from tests.intake_rig import Intake, ask, contact, contacts, intake, outcome, refused


@pytest.fixture(scope="module")
def door(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    with intake(settings, tmp_path_factory.mktemp("claims"), "claims") as started:
        yield started


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[redis.Redis]:
    made = store.connect(settings.redis_url)
    yield made
    await made.aclose()


@pytest.fixture
def index(client: redis.Redis, settings: Settings) -> Index:
    """Another replica's."""
    return Index(client, LogReader(settings.kafka, "other"), settings.partitions, "other")


@asynccontextmanager
async def asked_once(door: Intake) -> AsyncIterator[service_pb2_grpc.IntakeServiceAsyncStub]:
    """Without the retries of the shipped channel."""
    async with grpc.aio.insecure_channel(door.target) as channel:
        made: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(channel)
        yield made


def good(settings: Settings, key: str, **changes: Any) -> Prepared:
    caller = Caller("gw", frozenset({Role.GATEWAY}), "", 0)
    made = contact(key, **changes)
    return prepare(made, caller, Keyring(settings.keys), settings.partitions, clock.now_ms())


async def claimed(index: Index, made: Prepared) -> Entry:
    entry = Entry(made.mac, made.event.accepted_ms, made.partition, None)
    assert await index.claim([(made.index_key, entry)]) == [None]
    return entry


async def abandon(client: redis.Redis, made: Prepared) -> None:
    """As if nobody had renewed the claim for a minute."""
    assert await client.expire(b"i:" + made.index_key, KEPT_S - ABANDONED_S - 1)


async def test_a_key_is_free_again_when_who_claimed_it_died_before_writing(
    door: Intake, settings: Settings, index: Index, client: redis.Redis, gateway: Any
) -> None:
    dead = good(settings, "dead", agency="moh")
    await claimed(index, dead)
    async with asked_once(door) as intake_stub:
        other = ask("dead", agency="moi")
        # Who claimed it may still be writing: nobody knows yet whose it is.
        began = time.monotonic()
        error = await refused(intake_stub.SubmitContact(other, metadata=gateway, timeout=9))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - began >= 2
        await abandon(client, dead)
        answer = await intake_stub.SubmitContact(other, metadata=gateway)
        first = await refused(
            intake_stub.SubmitContact(ask("dead", agency="moh"), metadata=gateway)
        )
        assert first.code() is grpc.StatusCode.ALREADY_EXISTS
    [event] = [e for e in contacts(settings) if e.contact_id == answer.contact_id]
    assert event.agency == "moi"


async def test_a_key_stays_with_who_wrote_and_died_before_saying_so(
    door: Intake, settings: Settings, index: Index, client: redis.Redis, gateway: Any
) -> None:
    dead = good(settings, "wrote", agency="moh")
    await claimed(index, dead)
    producer = Producer(settings.kafka, "other")
    await producer.start()
    value = dead.event.SerializeToString()
    await acknowledged([await producer.send(CONTACT_ACCEPTED, dead.partition, value, key=dead.key)])
    await producer.stop()
    await abandon(client, dead)
    async with asked_once(door) as intake_stub:
        error = await refused(
            intake_stub.SubmitContact(ask("wrote", agency="moi"), metadata=gateway)
        )
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert (error.details() or "").endswith("different: agency")
        answer = await intake_stub.SubmitContact(ask("wrote", agency="moh"), metadata=gateway)
    assert answer.accepted_ms == dead.event.accepted_ms
    assert [e.agency for e in contacts(settings) if e.contact_id == answer.contact_id] == ["moh"]


async def test_two_at_a_dead_ones_key_get_one_contact(
    door: Intake, settings: Settings, index: Index, client: redis.Redis, gateway: Any
) -> None:
    dead = good(settings, "raced", agency="moh")
    await claimed(index, dead)
    await abandon(client, dead)
    async with asked_once(door) as intake_stub:
        answers = await asyncio.gather(
            *(
                outcome(
                    intake_stub.SubmitContact(ask("raced", agency=f"a{i % 3}"), metadata=gateway)
                )
                for i in range(60)
            )
        )
    refusals = [a for a in answers if a is grpc.StatusCode.ALREADY_EXISTS]
    assert len(refusals) == 40
    assert len({a.accepted_ms for a in answers if a not in refusals}) == 1
    assert len([e for e in contacts(settings) if e.contact_id == dead.contact_id]) == 1


async def test_a_claim_survives_a_flush_for_as_long_as_its_record_is_on_its_way(
    door: Intake, settings: Settings, index: Index, client: redis.Redis, gateway: Any
) -> None:
    """Kafka takes longer than the index takes to be read back."""
    keeping = asyncio.create_task(index.keep())
    slow = good(settings, "slow", agency="moh")
    entry = await claimed(index, slow)
    await client.flushall()
    async with asked_once(door) as intake_stub:
        other = ask("slow", agency="moi")
        until = time.monotonic() + 20
        # Read back by the one or the other.
        while await outcome(intake_stub.SubmitContact(ask("after"), metadata=gateway)) is (
            grpc.StatusCode.UNAVAILABLE
        ):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        error = await refused(intake_stub.SubmitContact(other, metadata=gateway, timeout=9))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        # Now it stands.
        producer = Producer(settings.kafka, "other")
        await producer.start()
        value = slow.event.SerializeToString()
        [at] = await acknowledged(
            [await producer.send(CONTACT_ACCEPTED, slow.partition, value, key=slow.key)]
        )
        await producer.stop()
        index.written(slow.index_key)
        stands = Entry(entry.mac, entry.accepted_ms, entry.partition, at.offset)
        assert await index.complete([(slow.index_key, stands)]) == [True]
        error = await refused(intake_stub.SubmitContact(other, metadata=gateway))
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert [e.agency for e in contacts(settings) if e.contact_id == slow.contact_id] == ["moh"]


async def test_a_claim_is_renewed_while_its_record_is_on_its_way(
    settings: Settings, index: Index, client: redis.Redis
) -> None:
    slow = good(settings, "renewed")
    await claimed(index, slow)
    await abandon(client, slow)
    keeping = asyncio.create_task(index.keep())
    until = time.monotonic() + 15
    while await client.ttl(b"i:" + slow.index_key) <= KEPT_S - ABANDONED_S:
        assert time.monotonic() < until, "a claim of a living one was not renewed"
        await asyncio.sleep(0.2)
    index.written(slow.index_key)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
