"""Who looks at campaigns: outcomes come from the log, counts from a store that may hang."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.rpc import code_pb2
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    BucketCount,
    Campaign,
    CampaignDecision,
    CampaignDeed,
    CampaignShare,
)

from services.broadcast.campaigns import life
from services.broadcast.campaigns.counting import NOT_KNOWN, Counted, Counting
from services.broadcast.campaigns.looking import EVERY_S, Looking
from services.broadcast.campaigns.tally import counts_key
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away, Forbidden, Invalid, NotFound
from services.runtime.identity import Caller, Role
from tests.campaign_board import Heard
from tests.campaign_office import TERMS, plan


class Store:
    """Says how many were delivered; or nothing, for as long as it hangs."""

    def __init__(self) -> None:
        self.delivered = 0
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.away = False

    async def get(self, *keys: str) -> list[bytes | None]:
        self.asked += 1
        await self.answers.wait()
        if self.away:
            raise Away("it is away")
        share = CampaignShare(
            buckets=[BucketCount(bucket=campaigns_pb2.BUCKET_DELIVERED, recipients=self.delivered)]
        )
        assert keys == (counts_key("one", 0),)
        return [share.SerializeToString()]


def delivered(counted: Counted) -> int:
    return sum(one.recipients for one in counted.stated)


@pytest.fixture
def caller() -> Iterator[None]:
    token = rpc.CALLER.set(Caller("maryam", frozenset({Role.COORDINATOR}), "", 0))
    yield
    rpc.CALLER.reset(token)


def decided(name: str, at_ms: int, version: int = 1, agency: str = "") -> CampaignDecision:
    campaign = Campaign(
        campaign_id=name, version=version, state=life.DRAFT, plan=plan(agency=agency)
    )
    return CampaignDecision(campaign=campaign, decided_ms=at_ms)


STARTED = Campaign(campaign_id="one", started=CampaignDeed(done_ms=1))


async def test_all_who_wait_for_an_outcome_get_it_refusals_too() -> None:
    board = Heard()
    refused = CampaignDecision(
        command_id="c", code=code_pb2.FAILED_PRECONDITION, message="it is a draft"
    )
    with board.expect("c") as first, board.expect("c") as second, board.expect("d") as other:
        board.hear(CampaignDecision(command_id="e"))
        assert not first.done()
        board.hear(refused)
        # Again, as after Kafka was away.
        board.hear(refused)
        assert await first == await second == refused
        assert not other.done()
    with board.expect("c") as later:
        assert not later.done()
    board._following.whole = False
    with pytest.raises(Away), board.expect("c"):
        pass


async def test_counts_are_waited_for_a_moment_and_then_said_to_be_old() -> None:
    store = Store()
    counting = Counting(cast(Any, store), 1)
    began_ms = now_ms()
    store.delivered = 3
    assert await counting.of(Campaign(campaign_id="one")) == Counted()
    assert store.asked == 0
    fresh = await counting.of(STARTED)
    assert (delivered(fresh), fresh.at_ms) == (3, 0)
    store.delivered = 4
    store.answers.clear()
    began_s = monotonic_s()
    old = await asyncio.gather(*(counting.of(STARTED) for _ in range(20)))
    assert monotonic_s() - began_s < 2
    assert {delivered(one) for one in old} == {3}
    assert all(began_ms <= one.at_ms <= now_ms() for one in old)
    # Nobody waits for what hangs, and nobody asks it more.
    began_s = monotonic_s()
    for _ in range(50):
        assert (await counting.of(STARTED)).at_ms
    assert monotonic_s() - began_s < 2
    assert store.asked == 2
    store.answers.set()
    fresh = await counting.of(STARTED)
    assert (delivered(fresh), fresh.at_ms) == (4, 0)
    store.away = True
    old = [await counting.of(STARTED)]
    assert delivered(old[0]) == 4
    assert old[0].at_ms


async def test_counts_that_nobody_has_read_are_not_known() -> None:
    store = Store()
    store.away = True
    counted = await Counting(cast(Any, store), 1).of(STARTED)
    assert counted == Counted(at_ms=NOT_KNOWN)


async def test_who_asks_gets_no_answer_to_an_earlier_question() -> None:
    store = Store()
    store.delivered = 1
    store.answers.clear()
    counting = Counting(cast(Any, store), 1)
    first = asyncio.create_task(counting.of(STARTED))
    await asyncio.sleep(0.01)
    assert store.asked == 1
    second = [asyncio.create_task(counting.of(STARTED)) for _ in range(3)]
    await asyncio.sleep(0.01)
    store.answers.set()
    await asyncio.gather(first, *second)
    assert store.asked == 2


async def test_pages_hold_campaigns_the_latest_change_first(caller: None) -> None:
    board = Heard()
    looking = Looking(board, cast(Any, None), TERMS, cast(Any, None))
    for at_ms, name in enumerate("abcdef", start=1):
        board.hear(decided(name, at_ms, agency="water" if name in "ac" else ""))
    board.hear(decided("b", 20, version=2))
    board.hear(decided("d", 20, version=2))
    # What changes nothing moves nothing.
    board.hear(decided("a", 30))
    found: list[str] = []
    token = ""
    while True:
        page, token = await looking.page("", 4, token)
        found += [one.campaign_id for one in page]
        assert all(one.waits for one in page)
        if not token:
            break
    assert found == ["b", "d", "f", "e", "c", "a"]
    assert not board.campaigns["a"].waits
    assert [one.campaign_id for one in (await looking.page("water", 9, ""))[0]] == ["c", "a"]
    with pytest.raises(Invalid, match="page_token"):
        await looking.page("", 4, "yesterday")


def brought(name: str, at_ms: int, agency: str = "") -> CampaignDecision:
    file = AudienceFile(audience_id=name, agency=agency, uploaded=CampaignDeed(done_ms=at_ms))
    return CampaignDecision(audience=file, decided_ms=at_ms)


async def test_pages_hold_lists_the_latest_first_to_who_may_see_them(caller: None) -> None:
    board = Heard()
    looking = Looking(board, cast(Any, None), TERMS, cast(Any, None))
    for at_ms, name in enumerate("abcde", start=1):
        board.hear(brought(name, at_ms // 2, agency="water" if name in "ac" else ""))
    found: list[str] = []
    token = ""
    while True:
        page, token = await looking.audience_page("", 2, token)
        found += [one.audience_id for one in page]
        if not token:
            break
    assert found == ["d", "e", "b", "c", "a"]
    liaison = rpc.CALLER.set(Caller("salem", frozenset({Role.LIAISON}), "water", 0))
    try:
        page, _ = await looking.audience_page("", 9, "")
        assert [one.audience_id for one in page] == ["c", "a"]
        with pytest.raises(Forbidden):
            await looking.audience_page("power", 9, "")
    finally:
        rpc.CALLER.reset(liaison)


async def test_nobody_sees_what_is_another_agencys() -> None:
    board = Heard()
    looking = Looking(board, cast(Any, None), TERMS, cast(Any, None))
    board.hear(decided("a", 1, agency="water"))
    token = rpc.CALLER.set(Caller("salem", frozenset({Role.LIAISON}), "power", 0))
    try:
        with pytest.raises(NotFound):
            await looking.campaign("a")
        with pytest.raises(Forbidden):
            await looking.page("water", 4, "")
        assert await looking.page("", 4, "") == ([], "")
    finally:
        rpc.CALLER.reset(token)


async def test_one_look_serves_all_who_watch_and_each_sees_what_they_may() -> None:
    board, store = Heard(), Store()
    standings = cast(Any, SimpleNamespace(all=_none))
    looking = Looking(board, Counting(cast(Any, store), 1), TERMS, standings)
    told = decided("one", 1, agency="water")
    told.campaign.started.done_ms = 1
    board.hear(told)

    async def watch(subject: str, agency: str, name: str = "one") -> str:
        rpc.CALLER.set(Caller(subject, frozenset({Role.LIAISON}), agency, 0))
        return (await looking.shared_look(name)).campaign.campaign_id

    async def all_of_them() -> list[str | BaseException]:
        seen = [watch(f"w{number}", "water") for number in range(30)]
        others = [watch("p", "power"), watch("n", "", "none"), watch("n", "", "none")]
        # Each in a task, and so with a caller, of its own.
        return await asyncio.gather(
            *map(asyncio.ensure_future, seen + others), return_exceptions=True
        )

    for turn in range(1, 3):
        found = await all_of_them()
        assert found[:30] == ["one"] * 30
        assert [type(one) for one in found[30:]] == [NotFound] * 3
        # One look at the campaign, one at what is not there.
        assert (board.asked, store.asked) == (2 * turn, turn)
        await asyncio.sleep(EVERY_S)


async def _none() -> tuple[()]:
    return ()
