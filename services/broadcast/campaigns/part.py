"""The part that one partition has in all campaigns: feeds their recipients, has them rehearsed,
says when nothing more is to be done, and when too many fail.
"""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignWait
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast.books import Books
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.brake import Brake
from services.broadcast.campaigns.feed import Feed, Giving, corrects, sends
from services.broadcast.campaigns.gauging import Gauges
from services.broadcast.campaigns.life import (
    BRAKE,
    CORRECTED,
    DONE,
    REHEARSAL,
    REHEARSING,
    RUNNING,
)
from services.broadcast.campaigns.people import People
from services.broadcast.campaigns.permits import Permits
from services.broadcast.campaigns.rehearsing import rehearsed
from services.broadcast.campaigns.stating import Statements
from services.broadcast.campaigns.tally import WAITING, Tally
from services.broadcast.campaigns.terms import Terms
from services.broadcast.campaigns.walk import Gone, Walk
from services.broadcast.messages import DELIVERED, FAILED
from services.broadcast.pace import Bucket
from services.broadcast.routes import Routes
from services.broadcast.rules.book import Rules
from services.runtime import log, stop
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away, Poison
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer

_log = log.get("campaigns")
_TICK_S = 0.1
_PAUSE_S = 1.0
_TURN = 100
"""Recipients of one campaign that are given at once."""
_MOST_PASSED = 5_000
"""Recipients that are passed over at once, because they need nothing more."""
_YIELD_EVERY = 100
PARTS, RECIPIENTS = "parts", "recipients"
"""What a pace counts."""
_AGAIN_S, _LONGEST_S = 0.5, 60.0
"""How long a campaign is left alone that can't be worked on: at first, and at most."""
_WRONG = (Gone, Poison, ValueError, KeyError)
"""What a campaign raises that no version should have taken, or whose recipients are gone."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the parts of all partitions of a process have in common. `wake`: something waits in the
    lanes. `fail` ends the worker."""

    partitions: int
    board: Board
    keyring: Keyring
    routes: Routes
    rules: Rules
    terms: Terms
    reader: LogReader
    producer: Producer
    wake: Callable[[], None]
    fail: Callable[[BaseException], None]


@dataclass(slots=True)
class _PutOff:
    """A campaign is left alone until `until_s` (monotonic seconds), which was `pause_s`."""

    until_s: float
    pause_s: float
    gone: bool


class Part:
    """Of one partition."""

    def __init__(self, partition: int, books: Books, tally: Tally, shared: Shared) -> None:
        self._partition = partition
        self._shared = shared
        self._board = shared.board
        self._books = books
        self._tally = tally
        self._gauges = Gauges(partition, shared.board, tally)
        self._permits = Permits(shared.rules)
        self._giving = Giving(books, self._permits)
        self._statements = Statements(
            partition, shared.partitions, shared.board, tally, shared.producer
        )
        # Campaigns of which something may be to do, and what there is of each.
        self._open: set[str] = set()
        self._feeds: dict[tuple[str, bool], Feed] = {}
        self._brakes: dict[tuple[str, int], Brake] = {}
        self._paces: dict[str, Bucket] = {}
        self._slow: dict[str, Bucket] = {}
        self._put_off: dict[str, _PutOff] = {}
        # Of which too many messages fail.
        self._failing: set[str] = set()
        # By campaign and revision.
        self._rehearsals: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._shown: Callable[[str], bool] = lambda _: False
        self._task: asyncio.Task[None] | None = None

    def start(self, shown: Callable[[str], bool]) -> None:
        """Begins to give. The status log is folded. `shown`: whether the view has all that it says
        of a campaign."""
        self._shown = shown
        self._board.watch(self._changed)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Gives nothing more."""
        self._board.leave(self._changed)
        task, self._task = self._task, None
        if task is not None:
            # They read from Kafka, whose client swallows a cancellation that meets its closing.
            await stop.cancelled([task, *self._rehearsals.values()])
        self._gauges.leave()

    @property
    def running(self) -> bool:
        """Whether it gives."""
        return self._task is not None

    def held_back(self, queued: QueuedMessage) -> bool:
        """Whether a message must not be given to its carrier now, because of its campaign. It is
        taken out of its lane then, so its recipient is walked to again."""
        if not queued.campaign_id or self._may_go(queued):
            return False
        self._feeds.pop((queued.campaign_id, queued.correction), None)
        return True

    def _may_go(self, queued: QueuedMessage) -> bool:
        campaign = self._board.campaigns.get(queued.campaign_id)
        if campaign is None or not self._board.whole:
            return False
        return corrects(campaign) if queued.correction else sends(campaign, now_ms())

    def folded(self, change: MessageChange, decided_ms: int) -> None:
        """The status log holds a change."""
        self._tally.take(change, decided_ms)
        self._permits.take(change, decided_ms)

    def written(self, change: MessageChange, decided_ms: int) -> None:
        """The status log has got a change."""
        self.folded(change, decided_ms)
        if not change.campaign_id or change.correction:
            return
        if change.state not in (DELIVERED, FAILED):
            return
        campaign = self._board.campaigns.get(change.campaign_id)
        if campaign is None or campaign.state != RUNNING:
            return
        key = (campaign.campaign_id, campaign.revision)
        brake = self._brakes.get(key)
        if brake is None:
            brake = self._brakes[key] = Brake(campaign.plan.brake_at, self._shared.partitions)
        if brake.take(change.state == FAILED):
            self._failing.add(campaign.campaign_id)

    def waits(self) -> Iterator[CampaignWait]:
        """What its campaigns wait for, their carriers aside."""
        for name, put_off in self._put_off.items():
            if put_off.gone:
                yield CampaignWait(campaign_id=name, gone=True)
        if self._books.restorations.paused:
            for name in self._open:
                yield CampaignWait(campaign_id=name, restored=True)
        for (name, _), feed in self._feeds.items():
            # Whose carrier is away waits for that one, as it says itself.
            deferred = len(feed.deferred) - feed.no_place
            if deferred and feed.due_ms > now_ms():
                yield CampaignWait(campaign_id=name, deferred=deferred, until_ms=feed.due_ms)

    def _changed(self, campaign: Campaign) -> None:
        name, now = campaign.campaign_id, now_ms()
        self._put_off.pop(name, None)
        if campaign.state in (REHEARSING, RUNNING) or corrects(campaign):
            self._open.add(name)
        else:
            self._forget(name)
        feed = self._feeds.get((name, False))
        if feed is not None and (
            not sends(campaign, now)
            or feed.campaign.revision != campaign.revision
            # What waits in the lanes would still go at once.
            or (campaign.HasField("slowed") and not feed.campaign.HasField("slowed"))
        ):
            del self._feeds[name, False]
            self._books.lanes.remove_campaign(name)
        for (rehearsed_, revision), task in self._rehearsals.items():
            if rehearsed_ == name and (revision, REHEARSING) != (campaign.revision, campaign.state):
                task.cancel()

    def _forget(self, name: str) -> None:
        """Nothing more is to be done for a campaign."""
        self._open.discard(name)
        self._failing.discard(name)
        self._paces.pop(name, None)
        self._slow.pop(name, None)
        self._feeds.pop((name, True), None)
        for key in [key for key in self._brakes if key[0] == name]:
            del self._brakes[key]

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.sleep(_TICK_S)
                if self._board.whole:
                    self._gauges.look()
                    await self._turn()
            except Away as error:
                self._feeds.clear()
                _log.warning("campaigns wait", partition=self._partition, why=str(error))
                await asyncio.sleep(_PAUSE_S)
            except Exception as error:
                self._shared.fail(error)
                return

    async def _turn(self) -> None:
        """One round: rehearsals that are owed begin, then every agency's recipients in turn."""
        given = 0
        for name in sorted(self._open, key=self._agency):
            campaign = self._board.campaigns[name]
            if name in self._failing:
                # Also while it is left alone: what waits in the lanes is still being sent.
                await self._hold(campaign)
            put_off = self._put_off.get(name)
            if put_off is not None and put_off.until_s > monotonic_s():
                continue
            if campaign.state == REHEARSING and not self._statements.said(campaign, REHEARSAL):
                self._begin_rehearsal(campaign)
            correction = corrects(campaign)
            if correction or sends(campaign, now_ms()):
                try:
                    given += await self._give(self._feed(campaign, correction))
                except _WRONG as error:
                    self._put_aside(campaign, error)
        if given:
            self._shared.wake()

    def _agency(self, campaign_id: str) -> str:
        return self._board.campaigns[campaign_id].plan.agency

    async def _hold(self, campaign: Campaign) -> None:
        self._failing.discard(campaign.campaign_id)
        if campaign.state == RUNNING and not self._statements.said(campaign, BRAKE):
            try:
                share = self._statements.share(campaign, BRAKE)
                await self._statements.state(share, campaign.campaign_id)
            except Away:
                self._failing.add(campaign.campaign_id)
                raise

    def _put_aside(self, campaign: Campaign, error: Exception) -> None:
        """A campaign that can't be worked on keeps no other waiting."""
        name = campaign.campaign_id
        before = self._put_off.get(name)
        pause_s = _AGAIN_S if before is None else min(_LONGEST_S, 2 * before.pause_s)
        self._put_off[name] = _PutOff(monotonic_s() + pause_s, pause_s, isinstance(error, Gone))
        for correction in (False, True):
            self._feeds.pop((name, correction), None)
        why = str(error) if isinstance(error, Gone) else type(error).__name__
        # Its words may be a person's; where it came from is not.
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}:{last.lineno}"
        _log.error("a campaign can't be worked on", campaign=name, why=why, where=where)

    def _feed(self, campaign: Campaign, correction: bool) -> Feed:
        key = (campaign.campaign_id, correction)
        feed = self._feeds.get(key)
        if feed is None or (feed.ended and feed.again and feed.due_ms <= now_ms()):
            walk = self._walk(campaign)
            feed = self._feeds[key] = Feed(
                campaign, correction, self._people(campaign, correction), walk.recipients()
            )
        return feed

    async def _give(self, feed: Feed) -> int:
        """Gives some recipients of one campaign; how many went into the lanes. Raises Away, and
        what is wrong with the campaign."""
        campaign, given, passed = feed.campaign, 0, 0
        key = (campaign.campaign_id, feed.correction)
        most = min(_TURN, self._giving.room(campaign.plan))
        paces = self._paced(feed)
        if paces is None:
            return given
        while given < most and passed < _MOST_PASSED and not feed.ended:
            if any(pace.wait_s(1, monotonic_s()) > 0 for pace in paces):
                break
            found = await feed.next(1 if paces else most - given)
            if self._feeds.get(key) is not feed:
                # Held meanwhile: who comes next is another walk's.
                return given
            # One moment for all of them: the rules then say the same of most.
            now = now_ms()
            for recipient in found:
                queued = self._giving.give(feed, recipient, now)
                if queued is None:
                    passed += 1
                    continue
                given += 1
                for pace, counts in paces.items():
                    pace.spend(queued.parts if counts == PARTS else 1, monotonic_s())
            if passed % _YIELD_EVERY == 0 or not paces:
                await asyncio.sleep(0)
        if feed.ended:
            self._put_off.pop(campaign.campaign_id, None)
        if feed.ended and not feed.again:
            await self._finish(campaign.campaign_id, feed.correction)
        return given

    def _paced(self, feed: Feed) -> dict[Bucket, str] | None:
        """What keeps a campaign from going as fast as it could, and what each counts; None when
        nobody is to be given for now."""
        campaign, found = feed.campaign, dict[Bucket, str]()
        if campaign.plan.expires_ms <= now_ms():
            # After its end nothing is sent: whoever is left is only said to be.
            return found
        name, partitions = campaign.campaign_id, self._shared.partitions
        if rate := campaign.plan.most_parts_per_second / partitions:
            found[self._paces.setdefault(name, Bucket(rate, monotonic_s()))] = PARTS
        slowed = self._board.campaigns[name].slowed
        # Who was told something wrong is told so whatever calls that brings.
        if feed.correction or not slowed.reason:
            self._slow.pop(name, None)
            return found
        if not (rate := slowed.recipients_per_second / partitions):
            return None
        bucket = self._slow.get(name)
        if bucket is None or bucket.rate != rate:
            bucket = self._slow[name] = Bucket(rate, monotonic_s())
        found[bucket] = RECIPIENTS
        return found

    async def _finish(self, name: str, correction: bool) -> None:
        """Says that nothing of this partition needs anything more, once that is so."""
        campaign, stage = self._board.campaigns[name], CORRECTED if correction else DONE
        if self._statements.said(campaign, stage) or self._tally.under_way(name, correction):
            return
        # Who is told that it is over must find the last of its counts.
        if not self._shown(name):
            return
        if any(one.message.campaign_id == name for one in self._books.lanes):
            return
        share = self._statements.share(campaign, stage)
        if correction or not any(one.bucket == WAITING for one in share.buckets):
            await self._statements.state(share, name)

    def _begin_rehearsal(self, campaign: Campaign) -> None:
        """In a task of its own: a million recipients take minutes, and others are being sent."""
        key = (campaign.campaign_id, campaign.revision)
        if key not in self._rehearsals:
            task = self._rehearsals[key] = asyncio.create_task(self._rehearse(campaign))
            task.add_done_callback(lambda _: self._rehearsals.pop(key, None))

    async def _rehearse(self, campaign: Campaign) -> None:
        try:
            foreseen = self._giving.foreseen(campaign)
            share = await rehearsed(
                campaign,
                self._partition,
                self._walk(campaign),
                self._people(campaign, correction=False),
                self._shared.terms,
                lambda one, judged: foreseen(one, judged, now_ms()),
                self._people(campaign, correction=True) if campaign.plan.corrections else None,
            )
            await self._statements.state(share, campaign.campaign_id)
        except Away as error:
            _log.warning("a rehearsal begins again", partition=self._partition, why=str(error))
            await asyncio.sleep(_PAUSE_S)
        except _WRONG as error:
            self._put_aside(campaign, error)
        except Exception as error:
            self._shared.fail(error)

    def _walk(self, campaign: Campaign) -> Walk:
        board, reader = self._board, self._shared.reader
        return Walk(campaign.plan.audience, board.audiences, self._partition, reader)

    def _people(self, campaign: Campaign, correction: bool) -> People:
        return People(campaign, self._shared.keyring, self._shared.routes, correction)
