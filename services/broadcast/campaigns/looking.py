"""What a caller may see of campaigns and files of recipients: what this process knows of them
itself (`board.py`), and where their recipients are (`counting.py`)."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    BucketCount,
    Campaign,
    CampaignPlan,
    CarrierWait,
)

from services.broadcast.campaigns import waiting
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.counting import NOT_KNOWN, Counted, Counting
from services.broadcast.campaigns.counts import placed, waiting_for
from services.broadcast.campaigns.life import FINAL
from services.broadcast.campaigns.plans import uploads
from services.broadcast.campaigns.standings import Standings
from services.broadcast.campaigns.terms import Terms
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Forbidden, Invalid, NotFound, Violation

_One = TypeVar("_One")
_PAGE = 50
_NOT_THERE = "there is no such campaign that you may see"
EVERY_S = 0.25
"""How often somebody who watches is told what has changed."""


@dataclass(frozen=True, slots=True)
class Look:
    """A campaign, where its recipients and those of its correction are, and its slow carriers.
    `counted_ms`: as of when (Unix ms) its recipients are there; 0: now, NOT_KNOWN: none is told."""

    campaign: Campaign
    buckets: Sequence[BucketCount]
    corrections: Sequence[BucketCount]
    carriers: Sequence[CarrierWait]
    counted_ms: int


class Looking:
    """Every method that waits sees all that was decided when it was called, on any replica, and
    raises Away where that can't be known."""

    def __init__(
        self,
        board: Board,
        counting: Counting,
        terms: Terms,
        standings: Standings,
        room: Callable[[Campaign], float | None] = lambda _: None,
    ) -> None:
        self._board = board
        self._counting = counting
        self._terms = terms
        self._standings = standings
        self._room = room
        # Looks that those who watch share: when each began (monotonic seconds).
        self._shared: dict[str, tuple[float, asyncio.Task[Look]]] = {}

    async def campaign(self, campaign_id: str) -> Campaign:
        """A campaign as it stands, not to be changed. Raises NotFound, also for what the caller may
        not see; Away."""
        campaign = await self._campaign(campaign_id)
        _allow(campaign)
        return campaign

    async def look(self, campaign_id: str) -> Look:
        """The same with all that is known of it now. Raises NotFound, Away."""
        return await self._look(await self.campaign(campaign_id))

    async def shared_look(self, campaign_id: str) -> Look:
        """The same as it was up to `EVERY_S` ago: however many watch a campaign, one look serves
        them all. Raises NotFound, Away."""
        now_s = monotonic_s()
        at_s, task = self._shared.get(campaign_id, (float("-inf"), None))
        if task is None or now_s - at_s >= EVERY_S:
            task = asyncio.create_task(self._look_again(campaign_id))
            self._shared = {
                name: one for name, one in self._shared.items() if now_s - one[0] < EVERY_S
            }
            self._shared[campaign_id] = now_s, task
        look = await asyncio.shield(task)
        _allow(look.campaign)
        return look

    async def _look_again(self, campaign_id: str) -> Look:
        return await self._look(await self._campaign(campaign_id))

    async def _campaign(self, campaign_id: str) -> Campaign:
        """Whoever may see it."""
        await self._board.current()
        campaign = self._board.campaigns.get(campaign_id)
        if campaign is None:
            raise NotFound(_NOT_THERE)
        return campaign

    async def _look(self, campaign: Campaign) -> Look:
        counted, standings = await asyncio.gather(
            self._counting.of(campaign), self._standings.all()
        )
        buckets = self._placed(campaign, counted)
        waiting_ = waiting_for(campaign.rehearsal.buckets, buckets)
        seen = waiting.now(campaign, waiting_, standings, now_ms())
        told = self._told(campaign, seen)
        return Look(told, buckets, counted.corrections, seen.carriers, counted.at_ms)

    def told(self, campaign: Campaign) -> Campaign:
        """A campaign that was just decided on, with why it waits."""
        return self._told(campaign, waiting.Now())

    def _told(self, campaign: Campaign, seen: waiting.Now) -> Campaign:
        told = Campaign()
        told.CopyFrom(campaign)
        told.waits = waiting.waits(campaign, seen, self._terms.digest, now_ms())
        free = self._room(campaign)
        if free is not None and told.rehearsal.HasField("calls_back"):
            told.rehearsal.calls_back.room_per_minute = free
        return told

    async def page(self, agency: str, page_size: int, token: str) -> tuple[list[Campaign], str]:
        """Campaigns, the latest change first, and the token of the next page. Raises Forbidden,
        Invalid, Away."""
        agency = _own(agency)
        await self._board.current()
        there = (
            (at_ms, one.campaign_id, one)
            for at_ms, one in self._board.latest()
            if agency in ("", one.plan.agency)
        )
        page, following = _page(there, page_size, token)
        return [self.told(campaign) for campaign in page], following

    async def audience_page(
        self, agency: str, page_size: int, token: str
    ) -> tuple[list[AudienceFile], str]:
        """Files of recipients, the latest first, and the token of the next page. Raises Forbidden,
        Invalid, Away."""
        agency = _own(agency)
        await self._board.current()
        there = [
            (one.uploaded.done_ms, one.audience_id, one)
            for one in self._board.audiences.values()
            if agency in ("", one.agency)
        ]
        return _page(sorted(there, key=lambda one: (-one[0], one[1])), page_size, token)

    async def audience(self, audience_id: str) -> AudienceFile:
        """A file of recipients. Raises NotFound, also for what the caller may not see; Away."""
        [audience] = await self.audiences([audience_id])
        return audience

    async def audiences(self, names: Iterable[str]) -> list[AudienceFile]:
        """Files of recipients. Raises NotFound when there is none, or one that the caller may not
        see; Away."""
        await self._board.current()
        found, caller = [self._board.audiences.get(name) for name in names], rpc.CALLER.get()
        there = [one for one in found if one is not None and caller.sees(one.agency)]
        if not there or len(there) < len(found):
            raise NotFound("there is no such file of recipients that you may see")
        return there

    async def known(self, audience_id: str) -> AudienceFile | None:
        """A file of recipients, whoever asks. Raises Away."""
        await self._board.current()
        return self._board.audiences.get(audience_id)

    async def files(self, plan: CampaignPlan) -> list[AudienceFile]:
        """The files that a plan's audience is made of. Raises Invalid for what is not there or not
        the plan's to use; Away."""
        await self._board.current()
        found = self._files(plan)
        if None in found or any(one and one.agency not in ("", plan.agency) for one in found):
            raise Invalid([Violation("plan.audience", "there is no such file of recipients")])
        files = [one for one in found if one is not None]
        if any(one.drill is not plan.drill for one in files):
            rule = "a drill goes to the file of a drill, and nothing else does"
            raise Invalid([Violation("plan.audience", rule)])
        return files

    def _files(self, plan: CampaignPlan) -> list[AudienceFile | None]:
        names = dict.fromkeys(uploads(plan.audience))
        return [self._board.audiences.get(name) for name in names]

    def _placed(self, campaign: Campaign, counted: Counted) -> list[BucketCount]:
        """Its recipients: the sum is the audience. None while it is not known where they are."""
        if counted.at_ms == NOT_KNOWN:
            return []
        ended = campaign.state in FINAL
        buckets = placed(campaign.rehearsal.buckets, counted.stated, ended)
        if campaign.HasField("rehearsal"):
            for audience in self._files(campaign.plan):
                if audience is not None:
                    buckets += [
                        BucketCount(
                            bucket=campaigns_pb2.BUCKET_INVALID, reason=rule, recipients=count
                        )
                        for rule, count in sorted(audience.bad_rows.items())
                    ]
        return buckets


def _allow(campaign: Campaign) -> None:
    """Raises NotFound where the caller may not see it: that it is there is not theirs to know."""
    if not rpc.CALLER.get().sees(campaign.plan.agency):
        raise NotFound(_NOT_THERE)


def _own(agency: str) -> str:
    """The agency that a caller asks for, or their own; "" is every one. Raises Forbidden."""
    caller = rpc.CALLER.get()
    agency = agency or caller.agency
    if not caller.sees(agency):
        raise Forbidden("a liaison sees what is their own agency's only")
    return agency


def _page(
    latest: Iterable[tuple[int, str, _One]], page_size: int, token: str
) -> tuple[list[_One], str]:
    """Some of (Unix ms, id, it), the latest first, that stand behind those of the page that ended
    with `token`, and where this one ends. Raises Invalid."""
    after, count = parse_token(token) if token else None, page_size or _PAGE
    behind = (one for one in latest if after is None or (-one[0], one[1]) > after)
    page = list(islice(behind, count))
    following = f"{-page[-1][0]}.{page[-1][1]}" if len(page) == count else ""
    return [one for _, _, one in page], following


def parse_token(token: str) -> tuple[int, str]:
    """Where a page ended. Raises Invalid."""
    score, _, member = token.partition(".")
    try:
        return int(score), member
    except ValueError:
        raise Invalid([Violation("page_token", "must be that of the page before")]) from None
