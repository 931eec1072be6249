"""Gives the recipients of running campaigns to the lanes of one partition, a window at a time.

There is no second queue: whoever is not in the status log waits in the audience, so a campaign that
is held or ended has nothing to call back but its window. A feed that begins again (another owner,
or after a pause) walks from the start and passes over everybody whose message has begun: a message
id is derived from campaign and person, and the status log knows it.

Agencies take turns, and the campaigns of an agency share its turn, so that one with a million
recipients does not keep another's thousand waiting.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignPlan, Recipient
from mawja.broadcast.v1.events_pb2 import QueuedMessage

from services.broadcast.books import Books, state_for
from services.broadcast.campaigns.holding import HELD_BACK
from services.broadcast.campaigns.life import RECALLED, RUNNING
from services.broadcast.campaigns.people import Judged, People, message_id
from services.broadcast.campaigns.permits import Asked, Permits
from services.broadcast.campaigns.plans import lane_of
from services.broadcast.changes import ending
from services.broadcast.lanes import Waiting
from services.broadcast.messages import CLAIMED, DELIVERED, MAY_BE_CLAIMED, SUBMITTED, UNKNOWN
from services.broadcast.rules.book import Guard
from services.broadcast.rules.judge import Defer, Suppress, Verdict

WINDOW = 2_000
"""Messages of one agency that wait in one of a partition's lanes: what is urgent finds room however
much of its own agency's bulk waits. As many may wait for carriers that are away, beside them."""
_AWAY_MS = 30_000
"""Who found no place to wait for a carrier that is away is met again after so long."""
NO_MESSAGE = frozenset({"invalid-number"})
"""Why a recipient becomes no message: the rehearsal sets them apart for good."""
_GOT_IT = frozenset({SUBMITTED, DELIVERED, UNKNOWN})


def sends(campaign: Campaign, now_ms: int) -> bool:
    """Whether messages of a campaign may be given to carriers now."""
    return campaign.state == RUNNING and campaign.plan.starts_ms <= now_ms


def corrects(campaign: Campaign) -> bool:
    """Whether its correction may."""
    return campaign.state == RECALLED and not campaign.corrected_ms


@dataclass(slots=True)
class Feed:
    """One campaign's recipients, or those of its correction, on their way into the lanes."""

    campaign: Campaign
    correction: bool
    people: People
    some: AsyncIterator[Sequence[Recipient]]
    _here: Iterator[Recipient] = field(default_factory=lambda: iter(()))
    ended: bool = False
    again: bool = False
    """Somebody was passed over who may still have to get it: walk once more."""
    due_ms: int = 0
    """Not before then."""
    deferred: set[bytes] = field(default_factory=set)
    """Who was passed over: another row of theirs does not count before the first."""
    no_place: int = 0
    """How many of them only because their carrier is away."""
    asked: Asked | None = None
    """What the sending rules are asked of all of them."""

    async def next(self, count: int) -> list[Recipient]:
        """Up to `count` more recipients. Raises Away."""
        found: list[Recipient] = []
        while len(found) < count and not self.ended:
            one = next(self._here, None)
            if one is not None:
                found.append(one)
                continue
            try:
                self._here = iter(await anext(self.some))
            except StopAsyncIteration:
                self.ended = True
        return found


class Giving:
    """Puts recipients into the lanes, or ends them."""

    def __init__(self, books: Books, permits: Permits) -> None:
        self._books = books
        self._permits = permits

    def room(self, plan: CampaignPlan) -> int:
        """How many more messages of a campaign may wait in its lane, where those of its agency
        share a window: those that wait for a carrier that is away don't keep the others."""
        return WINDOW - self._books.lanes.of_campaigns(plan.agency, lane_of(plan), away=False)

    def give(self, feed: Feed, recipient: Recipient, now_ms: int) -> QueuedMessage | None:
        """Puts one recipient's message into its lane, or brings it to its end; None when nothing is
        to be done."""
        books = self._books
        name = feed.people.message_id(recipient)
        once_more = self._resend(feed, name)
        if name in books.lanes or not (once_more or books.messages.state(name) in MAY_BE_CLAIMED):
            return None
        if recipient.person in feed.deferred:
            return None
        if feed.correction and not self._got_it(feed, recipient, now_ms):
            return None
        judged = feed.people.judged(recipient)
        if judged.reason in NO_MESSAGE:
            return None
        queued = feed.people.message(name, recipient, judged, now_ms)
        queued.resend = once_more
        reason = judged.reason
        if not reason and not judged.held and self._may_be_sent(feed, once_more):
            if once_more:
                # It is unknown already, and stays so.
                return None
            books.doubt(queued, judged.carrier)
            return queued
        if not reason:
            verdict = self._verdict(feed, name, recipient, judged, now_ms)
            if isinstance(verdict, Defer):
                _put_off(feed, recipient, verdict.until_ms)
                return None
            if isinstance(verdict, Suppress):
                reason = verdict.reason
            elif judged.held:
                # Only of those who would get it: the two parts must be alike.
                reason = HELD_BACK
            else:
                queued.overrides_opt_out = Guard.OPT_OUT in verdict.overridden
        if reason and books.messages.may_be_there(queued):
            # It stays unknown.
            return None
        if reason:
            # It may have been claimed and given back.
            books.status.put([ending(books.messages, queued, state_for(reason), reason)])
        elif self._no_place(queued, judged.carrier):
            _put_off(feed, recipient, now_ms + _AWAY_MS)
            feed.no_place += 1
            return None
        else:
            books.lanes.add(Waiting(queued, -1, judged.carrier, cut=judged.cut))
        return queued

    def _no_place(self, queued: QueuedMessage, carrier: str) -> bool:
        """Whether a carrier is away, and enough of its agency wait for such as they."""
        lanes = self._books.lanes
        if carrier not in lanes.away:
            return False
        return lanes.of_campaigns(queued.agency, queued.lane, away=True) >= WINDOW

    def foreseen(self, campaign: Campaign) -> Callable[[Recipient, Judged, int], Verdict]:
        """What the rules would say of a recipient when the campaign starts, if that is at a moment
        (Unix ms) or later."""
        plan = campaign.plan
        asked = self._permits.asked(plan, campaign.changed.subject, plan.expires_ms)

        def verdict(recipient: Recipient, judged: Judged, now_ms: int) -> Verdict:
            return self._permits.verdict(
                asked,
                judged.number,
                judged.sender,
                recipient.person,
                opted_out=recipient.person in self._books.opted_out,
                begun=False,
                now_ms=max(now_ms, plan.starts_ms),
            )

        return verdict

    def _resend(self, feed: Feed, name: str) -> int:
        """The decision to send a message once more that is about it; 0 when none is."""
        resends = feed.campaign.resends
        if feed.correction or not resends:
            return 0
        number = len(resends)
        about = self._books.messages.resendable(name, number, resends[-1].by.done_ms)
        return number if about else 0

    def _may_be_sent(self, feed: Feed, once_more: int) -> bool:
        """Whether what a restored Kafka has lost may have been that a recipient got it: of the
        campaign since it was made, of its correction since the recall, or since the decision."""
        campaign = feed.campaign
        since = campaign.ended if feed.correction else campaign.made
        if once_more:
            since = campaign.resends[-1].by
        return self._books.restorations.before(since.done_ms)

    def _verdict(
        self, feed: Feed, name: str, recipient: Recipient, judged: Judged, now_ms: int
    ) -> Verdict:
        message = self._books.messages.get(name)
        if feed.asked is None:
            campaign = feed.campaign
            feed.asked = self._permits.asked(
                campaign.plan, campaign.changed.subject, feed.people.expires_ms
            )
        return self._permits.verdict(
            feed.asked,
            judged.number,
            judged.sender,
            recipient.person,
            opted_out=recipient.person in self._books.opted_out,
            # A correction belongs to what it corrects: nobody had too many because of it.
            begun=message is not None or feed.correction,
            now_ms=now_ms,
        )

    def _got_it(self, feed: Feed, recipient: Recipient, now_ms: int) -> bool:
        """Whether a recipient of a recalled campaign got it, or may have."""
        messages = self._books.messages
        name = message_id(feed.campaign.campaign_id, recipient.person, correction=False)
        state, message = messages.state(name), messages.get(name)
        if state == CLAIMED:
            # Under way this very moment: looked at again when that is settled.
            feed.again, feed.due_ms = True, now_ms
        # What was sent once more may have arrived the first time, whatever became of it since.
        return state in _GOT_IT or (message is not None and message.resend > 0)


def _put_off(feed: Feed, recipient: Recipient, until_ms: int) -> None:
    feed.again = True
    feed.deferred.add(recipient.person)
    feed.due_ms = min(feed.due_ms or until_ms, until_ms)
