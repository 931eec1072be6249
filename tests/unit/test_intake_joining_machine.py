"""Whoever dies between the parts of messages, whatever comes late, twice or in another order: in
the end every part is in exactly one contact, and what came in time is one contact.

Inbound itself runs, on a log and a store that are lists: the store does what intake's index does,
where the first body of a key counts.
"""

import asyncio
import functools
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake import inbound as shipped
from services.intake.joining import WAIT_S
from services.intake.telling import Teller
from services.runtime import ids, privacy
from services.runtime.errors import Conflict
from services.runtime.privacy import Keyring
from services.runtime.topics import INBOUND_MESSAGE
from services.runtime.work import Context

NUMBER = "+999512345678"
AT = 1_780_000_000_000
NAME = INBOUND_MESSAGE.name
TEXTS = ("الماء مقطوع 💧", "أرجو المساعدة 👩‍🚒", "شكرًا")
"""Of the messages: their places are their references."""
TOTALS = (3, 2, 4)


class Died(Exception):
    """The process was killed."""


@dataclass
class Store:
    """The contacts that were taken, by key: the first one counts."""

    taken: dict[str, service_pb2.Contact] = field(default_factory=dict)
    dies_before: bool = False
    dies_after: bool = False

    async def submit(self, contact: service_pb2.Contact, *_: Any, **__: Any) -> None:
        if self.dies_before:
            raise Died
        key = ids.contact_id(contact.source, contact.idempotency_key)
        first = self.taken.setdefault(key, contact)
        if self.dies_after:
            raise Died
        if first != contact:
            raise Conflict("another body")

    async def first(self, index_key: bytes) -> events_pb2.ContactAccepted | None:
        for key, contact in self.taken.items():
            if key.replace("-", "") == index_key.hex():
                return events_pb2.ContactAccepted(parts=contact.parts)
        return None


class World:
    """A log of parts, the store, and one owner after another."""

    def __init__(self, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keyring = keyring
        self.log: list[Any] = []
        self.store = Store()
        self.committed = 0
        self.now_s = 0.0
        self.written: set[tuple[int, int]] = set()
        self.split: set[int] = set()
        """Messages whose gathering was closed too early, so that they are several contacts."""
        monkeypatch.setattr(shipped, "monotonic_s", lambda: self.now_s)
        monkeypatch.setattr(shipped, "now_ms", lambda: AT)
        self._inbound: shipped.Inbound | None = None
        self._read = 0

    async def owner(self) -> shipped.Inbound:
        if self._inbound is None:
            context = Context(0, {}, {NAME: self.committed}, cast(Any, self._dead))
            teller = Teller(cast(Any, self.store), self.keyring)
            self._inbound = shipped.Inbound(context, teller, self.keyring, cast(Any, self), _fail)
            await self._inbound.start()
            self._read = self.committed
        return self._inbound

    async def offsets_at(self, *_: Any) -> dict[int, int]:
        return {0: 0}

    async def end(self, *_: Any) -> dict[int, int]:
        return {0: len(self.log)}

    async def one(self, _: Any, __: int, offset: int) -> Any:
        return self.log[offset]

    async def read(self, _: Any, __: int, start: int, end: int, each: Callable[[Any], Any]) -> None:
        for record in self.log[start:end]:
            each(record)

    def write(self, message: int, sequence: int) -> None:
        octets = TEXTS[message].encode("utf-16-be")
        size = -(-len(octets) // TOTALS[message])
        piece = octets[(sequence - 1) * size : sequence * size]
        value = broadcast_pb2.InboundMessage(
            # A redelivery may have another id: the carrier gave none, and ten minutes went round.
            inbound_id=ids.derive("inbound", f"{message}/{sequence}/{len(self.log) // 9}"),
            carrier="c",
            person=b"p",
            line="8001",
            received_ms=AT + len(self.log),
            drill=True,
            sealed_number=self.keyring.seal("number", NUMBER, AT),
            part=broadcast_pb2.MessagePart(
                reference=message,
                total=TOTALS[message],
                sequence=sequence,
                coding="ucs2",
                sealed_octets=self.keyring.seal("octets", piece.decode("latin-1"), AT),
            ),
        )
        self.log.append(
            SimpleNamespace(
                topic=NAME,
                offset=len(self.log),
                partition=0,
                timestamp=AT,
                headers=(),
                value=value.SerializeToString(),
            )
        )
        self.written.add((message, sequence))

    async def go_on(self, most: int) -> None:
        inbound = await self.owner()
        records = self.log[self._read : self._read + most]
        await self._or_die(inbound.work(records))
        if self._inbound is not None:
            self._read += len(records)

    async def close(self) -> None:
        inbound = await self.owner()
        for message in range(len(TEXTS)):
            read = {r for r in self._parts_read() if r[0] == message}
            if 0 < len(read) < TOTALS[message]:
                self.split.add(message)
        self.now_s += WAIT_S
        await self._or_die(inbound.close_due())

    def _parts_read(self) -> set[tuple[int, int]]:
        found = set()
        for record in self.log[: self._read]:
            part = broadcast_pb2.InboundMessage.FromString(record.value).part
            found.add((part.reference, part.sequence))
        return found

    async def commit(self) -> None:
        inbound = await self.owner()
        self.committed = max(self.committed, inbound.committable(NAME, self._read))

    async def die(self) -> None:
        if self._inbound is not None:
            await self._inbound.stop()
        self._inbound = None
        self.store.dies_before = self.store.dies_after = False

    async def _or_die(self, work: Any) -> None:
        try:
            await work
        except Died:
            await self.die()

    async def _dead(self, *_: Any) -> None:
        raise AssertionError("nothing here is a dead letter")

    def hold(self) -> None:
        held: Counter[tuple[int, int]] = Counter()
        whole: Counter[int] = Counter()
        for contact in self.store.taken.values():
            [message] = [m for m in range(len(TEXTS)) if contact.parts.total == TOTALS[m]]
            held.update((message, sequence) for sequence in contact.parts.held)
            if len(contact.parts.held) == contact.parts.total:
                assert contact.text == TEXTS[message]
                whole[message] += 1
        assert held.keys() == self.written, "a part is in no contact"
        assert set(held.values()) <= {1}, "a part is in two contacts"
        for message, total in enumerate(TOTALS):
            came = sum(m == message for m, _ in self.written)
            if came == total and message not in self.split:
                assert whole[message] == 1


def _fail(error: BaseException) -> None:
    raise error


PIECES = [(m, s) for m, total in enumerate(TOTALS) for s in range(1, total + 1)]
# Often enough for what matters: a takeover in the middle, after something was committed.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(PIECES)),
        st.tuples(st.just("write"), st.sampled_from(PIECES)),
        st.tuples(st.just("go on"), st.integers(1, 5)),
        st.sampled_from([("commit", 0), ("close", 0)]),
        st.sampled_from([("die", 0), ("die before", 0), ("die after", 0)]),
    ),
    min_size=10,
    max_size=40,
)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder = tmp_path_factory.mktemp("keys")
    privacy.create(folder, AT)
    return Keyring(folder)


async def play(keyring: Keyring, steps: list[tuple[str, Any]]) -> World:
    with pytest.MonkeyPatch.context() as patch:
        world = World(keyring, patch)
        for step, value in steps:
            if step == "write":
                world.write(*value)
            elif step == "go on":
                await world.go_on(value)
            elif step == "close":
                await world.close()
            elif step == "commit":
                await world.commit()
            elif step == "die":
                await world.die()
            elif step == "die before":
                world.store.dies_before = True
            else:
                world.store.dies_after = True
        # It is started again, and nothing more happens to it.
        await world.die()
        await world.go_on(len(world.log))
        await world.close()
        await world.close()
        await world.commit()
        assert world.committed == len(world.log)
        await world.die()
        world.hold()
    return world


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_every_part_is_in_one_contact_whatever_happens(
    keyring: Keyring, steps: list[tuple[str, Any]]
) -> None:
    asyncio.run(play(keyring, steps))


@pytest.mark.parametrize("died", ["die", "die before", "die after"])
async def test_a_message_whose_reader_dies_between_its_parts_is_one_contact(
    keyring: Keyring, died: str
) -> None:
    steps: list[list[tuple[str, Any]]] = [
        [("write", (0, sequence)), (died, 0), ("go on", 9), ("commit", 0), ("die", 0)]
        for sequence in (2, 3, 1)
    ]
    world = await play(keyring, functools.reduce(operator.iadd, steps, []))
    [contact] = world.store.taken.values()
    assert contact.text == TEXTS[0]


async def test_what_was_late_for_one_owner_is_not_told_again_by_the_next(keyring: Keyring) -> None:
    # Closed without the second part, which then comes; nothing was committed before the owner died,
    # so the next one has all three together.
    world = await play(
        keyring,
        [
            ("write", (0, 1)),
            ("write", (0, 3)),
            ("go on", 9),
            ("close", 0),
            ("die", 0),
            ("write", (0, 2)),
            ("go on", 9),
        ],
    )
    assert [list(one.parts.held) for one in world.store.taken.values()] == [[1, 3], [2]]


async def test_parts_of_a_done_message_behind_the_committed_offset_are_known(
    keyring: Keyring,
) -> None:
    # The second message's first part holds the offset back, the first message is done.
    world = await play(
        keyring,
        [
            ("write", (1, 1)),
            ("write", (0, 1)),
            ("write", (1, 2)),
            ("go on", 9),
            ("commit", 0),
            ("die", 0),
            ("go on", 9),
            ("close", 0),
        ],
    )
    assert [list(one.parts.held) for one in world.store.taken.values()] == [[1, 2], [1]]


async def test_what_was_late_and_done_behind_the_committed_offset_is_known(
    keyring: Keyring,
) -> None:
    # Of the third message two parts were closed, and two were late and done. Another late part
    # holds the offset back between them: who reads on from there finds three parts together.
    world = await play(
        keyring,
        [
            ("write", (0, 1)),
            ("write", (2, 2)),
            ("write", (2, 3)),
            ("write", (2, 4)),
            ("write", (0, 2)),
            ("write", (2, 1)),
            ("go on", 3),
            ("close", 0),
            ("go on", 3),
            ("commit", 0),
        ],
    )
    held = [list(one.parts.held) for one in world.store.taken.values()]
    assert held == [[1], [2, 3], [1, 4], [2]]
