"""What one partition does with all campaigns: none keeps another waiting, and nobody is forgotten
who was taken out of the lanes again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BUCKET_FAILED,
    Audience,
    AudienceFile,
    AudienceSlice,
    AudienceSpan,
    BucketCount,
    Campaign,
    CampaignCommand,
    CampaignPlan,
    CampaignShare,
    CampaignText,
    Recipient,
    Slowed,
)
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast import messages, routes
from services.broadcast.books import Books
from services.broadcast.campaigns import life
from services.broadcast.campaigns import part as part_of_all
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.part import Part, Shared
from services.broadcast.campaigns.people import message_id
from services.broadcast.campaigns.tally import WAITING, Tally
from services.broadcast.campaigns.terms import terms_of
from services.broadcast.changes import first_change, next_change
from services.broadcast.lanes import Waiting
from services.broadcast.rules.reading import read
from services.runtime import clock, ids, privacy
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from tests.broadcast_parts import ONE_CARRIER


class Around:
    """A partition, the only one, and what it hears of the others."""

    def __init__(self, folder: Path) -> None:
        privacy.create(folder, clock.now_ms())
        self.keyring = Keyring(folder)
        self.books = Books()
        self.books.status = cast(Any, SimpleNamespace(put=self._decide))
        self.tally = Tally()
        self.board = Board(cast(Any, SimpleNamespace(partitions=1)), "test")
        self.board._following.whole = True
        self.slices: list[AudienceSlice] = []
        self.slow: set[int] = set()
        """Offsets at which reading stops for good."""
        self.deaf: set[int] = set()
        """Those of them at which it does not hear the first cancelling, like a client of Kafka that
        is closing."""
        self.told: list[CampaignShare] = []
        self.failed: list[BaseException] = []
        ways, rules = routes.parse(ONE_CARRIER, "carriers.yaml"), read(None)
        shared = Shared(
            partitions=1,
            board=self.board,
            keyring=self.keyring,
            routes=ways,
            rules=rules,
            terms=terms_of(ways, rules),
            reader=cast(LogReader, SimpleNamespace(read=self._read)),
            producer=cast(Producer, SimpleNamespace(send=self._send)),
            wake=lambda: None,
            fail=self.failed.append,
        )
        self.part = Part(0, self.books, self.tally, shared)

    def _decide(self, changes: Iterable[MessageChange]) -> None:
        for change in changes:
            self.books.messages.decide(change)
            self.part.written(change, clock.now_ms())

    async def _read(
        self, topic: Any, partition: int, start: int, end: int, each: Callable[[Any], object]
    ) -> None:
        for offset in range(start, end):
            if offset in self.slow:
                if offset in self.deaf:
                    with suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
                await asyncio.Event().wait()
            each(SimpleNamespace(offset=offset, value=self.slices[offset].SerializeToString()))

    async def _send(self, topic: Any, partition: int, value: bytes) -> "asyncio.Future[Any]":
        self.told.append(CampaignCommand.FromString(value).share)
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=0))
        return future

    def file(self, name: str, people: int) -> AudienceFile:
        """A file of so many people, which stands in Kafka and is not known yet."""
        offset, audience_id = len(self.slices), ids.derive("audience", name)
        piece = AudienceSlice(audience_id=audience_id)
        for place in range(people):
            number = f"+9995{offset:03d}{place:05d}"
            piece.recipients.append(
                Recipient(
                    person=self.keyring.person(number),
                    language="ar",
                    sealed_number=self.keyring.seal("number", number, clock.now_ms()),
                )
            )
        self.slices.append(piece)
        span = AudienceSpan(first=offset, end=offset + 1, recipients=people)
        return AudienceFile(audience_id=audience_id, spans=[span])

    def campaign(
        self, file: AudienceFile, state: life.State = life.RUNNING, **plan: object
    ) -> Campaign:
        """The board hears of a campaign."""
        fields = {
            "drill": True,
            "kind": events_pb2.CAMPAIGN_KIND_INFORMATION,
            "audience": Audience(upload=file.audience_id),
            "texts": [CampaignText(language="ar", template="نص")],
            "language": "ar",
            "expires_ms": clock.now_ms() + 60_000,
            **plan,
        }
        campaign = Campaign(
            campaign_id=ids.derive("campaign", file.audience_id),
            version=1,
            revision=1,
            state=state,
            plan=CampaignPlan(**fields),  # type: ignore[arg-type]
        )
        people = sum(span.recipients for span in file.spans)
        self.board.rehearsed[campaign.campaign_id, 0] = CampaignShare(
            buckets=[BucketCount(bucket=WAITING, language="ar", carrier="one", recipients=people)]
        )
        self.board.campaigns[campaign.campaign_id] = campaign
        self.part._changed(campaign)
        return campaign

    def know(self, file: AudienceFile) -> AudienceFile:
        """The board hears of a file."""
        self.board.audiences[file.audience_id] = file
        return file

    def fails(self, waiting: Waiting) -> None:
        """The next of a lane is given to its carrier, which refuses it for good."""
        queued = self.books.lanes.take(waiting.message.lane, waiting.carrier).message
        claim = first_change(queued, messages.CLAIMED)
        claim.attempt = 1
        self._decide([claim])
        message = self.books.messages.get(queued.message_id)
        assert message is not None
        self._decide([next_change(message, messages.FAILED, "invalid-destination")])

    def waiting(self, campaign: Campaign) -> int:
        return sum(one.message.campaign_id == campaign.campaign_id for one in self.books.lanes)


async def until(what: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not what():  # noqa: ASYNC110 - a task of its own does it
            await asyncio.sleep(0.01)


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Around]:
    made = Around(tmp_path)
    made.part.start(lambda _: True)
    yield made
    await made.part.stop()
    assert made.failed == []


async def test_what_was_taken_out_while_nothing_was_known_is_given_again(around: Around) -> None:
    campaign = around.campaign(around.know(around.file("a", 5)))
    await until(lambda: around.waiting(campaign) == 5)
    around.board._following.whole = False
    for waiting in around.books.lanes:
        assert around.part.held_back(waiting.message)
        around.books.lanes.take(waiting.message.lane, waiting.carrier)
    around.board._following.whole = True
    await until(lambda: around.waiting(campaign) == 5)
    assert not around.part.held_back(next(iter(around.books.lanes)).message)


async def test_what_was_held_is_not_given(around: Around) -> None:
    campaign = around.campaign(around.know(around.file("a", 5)))
    await until(lambda: around.waiting(campaign) == 5)
    held = Campaign()
    held.CopyFrom(campaign)
    held.state, held.version = life.PAUSED, 2
    around.board.campaigns[held.campaign_id] = held
    around.part._changed(held)
    assert around.waiting(campaign) == 0
    await asyncio.sleep(0.3)
    assert around.waiting(campaign) == 0


async def test_a_rehearsal_keeps_no_campaign_waiting(around: Around) -> None:
    around.slow.add(0)
    around.campaign(around.know(around.file("long", 5)), life.REHEARSING)
    running = around.campaign(around.know(around.file("short", 5)))
    await until(lambda: around.waiting(running) == 5)
    quick = around.campaign(around.know(around.file("quick", 3)), life.REHEARSING)
    await until(lambda: len(around.told) == 1)
    assert around.told[0].buckets[0].recipients == 3
    assert around.told[0].revision == quick.revision


async def test_a_campaign_without_its_file_keeps_no_other_waiting(around: Around) -> None:
    file = around.file("late", 4)
    for state in (life.RUNNING, life.REHEARSING):
        around.campaign(around.file(f"never {state}", 2), state)
    spoilt = around.know(around.file("spoilt", 2))
    around.campaign(spoilt, texts=[CampaignText(language="ar", template="{")])
    late = around.campaign(file)
    other = around.campaign(around.know(around.file("z", 5)))
    await until(lambda: around.waiting(other) == 5)
    assert around.waiting(late) == 0
    # What is decided on in two partitions may become known in any order.
    around.know(file)
    await until(lambda: around.waiting(late) == 4)


async def test_the_brake_holds_a_campaign_that_is_left_alone(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone at the end; what waits in the lanes is still being sent, and fails."""
    monkeypatch.setattr(part_of_all, "_AGAIN_S", 60.0)
    file = around.file("a", 200)
    file.spans[0].recipients += 1
    campaign = around.campaign(around.know(file))
    await until(lambda: [wait.campaign_id for wait in around.part.waits()] != [])
    assert around.waiting(campaign) == 200
    for waiting in list(around.books.lanes)[:-1]:
        around.fails(waiting)
    await asyncio.sleep(0.3)
    assert around.told == []
    around.fails(next(iter(around.books.lanes)))
    await until(lambda: len(around.told) == 1, 3)
    [share] = around.told
    assert (share.stage, share.revision) == (life.BRAKE, campaign.revision)
    found = {one.bucket: one.recipients for one in share.buckets}
    assert found == {BUCKET_FAILED: 200, WAITING: 1}
    # Said once.
    await asyncio.sleep(0.3)
    assert len(around.told) == 1


async def test_who_has_it_already_costs_nothing_of_the_pace(around: Around) -> None:
    """Killed in the middle, a campaign that may take two parts a second is soon where it was."""
    file = around.know(around.file("a", 900))
    name = ids.derive("campaign", file.audience_id)
    for recipient in around.slices[0].recipients[:890]:
        queued = events_pb2.QueuedMessage(
            message_id=message_id(name, recipient.person, correction=False),
            person=recipient.person,
            language="ar",
            campaign_id=name,
        )
        around._decide([first_change(queued, messages.EXPIRED)])
    campaign = around.campaign(file, most_parts_per_second=2.0)
    await until(lambda: around.waiting(campaign) > 0, 3)
    assert around.waiting(campaign) <= 5


async def test_after_its_end_a_campaign_keeps_no_pace(around: Around) -> None:
    campaign = around.campaign(
        around.know(around.file("a", 300)),
        most_parts_per_second=1.0,
        expires_ms=clock.now_ms() - 1,
    )
    await until(lambda: len(around.told) == 1)
    [share] = around.told
    assert share.stage == life.DONE
    found = {one.bucket: one.recipients for one in share.buckets}
    assert sum(found.values()) == 300
    assert around.waiting(campaign) == 0


async def test_a_part_ends_though_its_reading_does_not_hear_that_it_is_cancelled(
    around: Around,
) -> None:
    """Else its partition is nobody's: the process has it no more, and never says so."""
    around.slow.add(0)
    around.deaf.add(0)
    around.campaign(around.know(around.file("a", 5)))
    await asyncio.sleep(0.3)
    async with asyncio.timeout(5):
        await around.part.stop()


def slowed(around: Around, campaign: Campaign, pace: float) -> Campaign:
    """The board hears that a campaign is slowed to so many recipients a second."""
    after = Campaign()
    after.CopyFrom(campaign)
    after.version = campaign.version + 1
    after.slowed.CopyFrom(Slowed(recipients_per_second=pace, reason="80 people wait"))
    around.board.campaigns[after.campaign_id] = after
    around.part._changed(after)
    return after


async def test_a_slowed_campaign_takes_back_what_waits_and_goes_at_its_pace(
    around: Around,
) -> None:
    campaign = around.campaign(around.know(around.file("a", 50)))
    await until(lambda: around.waiting(campaign) == 50)
    none = slowed(around, campaign, 0.0)
    assert around.waiting(campaign) == 0
    await asyncio.sleep(0.4)
    assert around.waiting(campaign) == 0
    slow = slowed(around, none, 10.0)
    await asyncio.sleep(1.0)
    assert 5 <= around.waiting(campaign) <= 16
    fast = Campaign()
    fast.CopyFrom(slow)
    fast.version += 1
    fast.ClearField("slowed")
    around.board.campaigns[fast.campaign_id] = fast
    around.part._changed(fast)
    await until(lambda: around.waiting(campaign) == 50)
