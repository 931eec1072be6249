"""Who of a campaign's recipients is given to the lanes, who ends, and who is met again later."""

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Campaign,
    CampaignDeed,
    CampaignPlan,
    CampaignText,
    Recipient,
)
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast import messages, routes
from services.broadcast.books import Books
from services.broadcast.campaigns import life, people
from services.broadcast.campaigns.feed import WINDOW, Feed, Giving
from services.broadcast.campaigns.holding import held_back
from services.broadcast.campaigns.people import People
from services.broadcast.campaigns.permits import Permits
from services.broadcast.campaigns.tally import key_of
from services.broadcast.changes import claim, next_change
from services.broadcast.lanes import BULK, URGENT, Waiting
from services.broadcast.messages import Message
from services.broadcast.rules.reading import read
from services.runtime import ids, privacy
from services.runtime.privacy import Keyring
from tests import sending_rules
from tests.broadcast_parts import ONE_CARRIER

NUMBER = "+999512345678"
LIVE = ONE_CARRIER.replace("test", "live").replace("Mawja", "5151").replace("+9995", "+9715")


class Decided:
    """Takes up what is decided, as the status log does once Kafka has it."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.changes: list[MessageChange] = []

    def put(self, changes: Iterable[MessageChange]) -> None:
        for change in changes:
            self._books.messages.decide(change)
            self.changes.append(change)


class Office:
    """One partition's books, and a campaign."""

    def __init__(self, folder: Path, live: bool = False) -> None:
        self.now = sending_rules.at("2026-11-18 10:00")
        privacy.create(folder, self.now)
        self.keyring = Keyring(folder)
        self.number = sending_rules.NUMBER if live else NUMBER
        self.carriers = LIVE if live else ONE_CARRIER
        self.books = Books()
        self.decided = Decided(self.books)
        self.books.status = self.decided  # type: ignore[assignment]
        self.permits = Permits(sending_rules.RULES if live else read(None))
        self.giving = Giving(self.books, self.permits)
        self.plan = CampaignPlan(
            drill=not live,
            kind=events_pb2.CAMPAIGN_KIND_INFORMATION,
            texts=[
                CampaignText(language="ar", template="الملجأ {place} مفتوح"),
                CampaignText(language="en", template="{place|}"),
            ],
            corrections=[CampaignText(language="ar", template="تصحيح")],
            language="ar",
            expires_ms=self.now + 60_000,
        )
        self.campaign = Campaign(
            campaign_id=ids.derive("campaign", "feed"), state=life.RUNNING, plan=self.plan
        )

    def feed(self, correction: bool = False) -> Feed:
        async def nobody() -> AsyncIterator[Sequence[Recipient]]:
            return
            yield

        carriers = routes.parse(self.carriers, "carriers.yaml")
        of = People(self.campaign, self.keyring, carriers, correction)
        return Feed(self.campaign, correction, of, nobody())

    def recipient(self, language: str = "ar", fields: str = '{"place": "7"}') -> Recipient:
        return Recipient(
            person=self.keyring.person(self.number),
            language=language,
            sealed_number=self.keyring.seal("number", self.number, self.now),
            sealed_fields=self.keyring.seal("note", fields, self.now),
        )

    def give(self, feed: Feed, recipient: Recipient, after_ms: int = 0) -> bool:
        return self.giving.give(feed, recipient, self.now + after_ms) is not None

    def given_back(self) -> None:
        """The message that waits is claimed, and the claim is given back unused."""
        [waiting] = self.books.lanes
        self.books.lanes.take(waiting.message.lane, waiting.carrier)
        known = self.books.messages
        self.decided.put([claim(known, waiting.message, "one", 1, self.now)])
        message = known.get(waiting.message.message_id)
        assert message is not None
        self.decided.put([next_change(message, messages.RELEASED, "campaign-held")])

    def end(self) -> MessageChange:
        return self.decided.changes[-1]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_somebody_is_given_once(office: Office) -> None:
    feed = office.feed()
    assert office.give(feed, office.recipient())
    assert not office.give(feed, office.recipient())
    assert len(office.books.lanes) == 1


def test_everybody_gets_the_text_of_their_own_fields(office: Office) -> None:
    people = office.feed().people
    said = [
        people.judged(office.recipient(language, f'{{"place": "{place}"}}')).text
        for language, place in (("ar", "7"), ("en", "7"), ("ar", "8"), ("ar", "7"))
    ]
    assert said == ["الملجأ 7 مفتوح", "7", "الملجأ 8 مفتوح", "الملجأ 7 مفتوح"]


def test_who_opts_out_after_a_claim_was_given_back_is_ended(office: Office) -> None:
    """Its change must carry the attempt that was made."""
    assert office.give(office.feed(), office.recipient())
    office.given_back()
    office.books.opted_out.add(office.keyring.person(NUMBER))
    office.give(office.feed(), office.recipient())
    change = office.end()
    assert (change.state, change.reason, change.attempt) == (messages.SUPPRESSED, "opt-out", 1)


def test_whose_claim_was_given_back_is_given_again(office: Office) -> None:
    assert office.give(office.feed(), office.recipient())
    office.given_back()
    assert office.give(office.feed(), office.recipient())


def test_whoever_is_left_at_the_end_expires(office: Office) -> None:
    office.give(office.feed(), office.recipient(), after_ms=60_001)
    assert office.end().state == messages.EXPIRED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sealed_number": b"\x09 no number" * 5}, "damaged"),
        ({"sealed_number": b"\x01\x00\x00" + b"x" * 40}, "erased"),
        ({"sealed_fields": b"\xff" * 50}, "damaged"),
        ({"sealed_fields": b""}, "field-missing"),
        ({"language": "en", "sealed_fields": b""}, "no-text"),
    ],
)
def test_a_row_that_nobody_can_use_ends_alone(
    office: Office, change: dict[str, bytes | str], reason: str
) -> None:
    recipient = office.recipient()
    for name, value in change.items():
        setattr(recipient, name, value)
    office.give(office.feed(), recipient)
    assert (office.end().state, office.end().reason) == (messages.SUPPRESSED, reason)


def test_what_is_urgent_finds_room_beside_its_agencys_bulk(office: Office) -> None:
    feed = office.feed()
    for number in range(WINDOW):
        name = ids.derive("message", str(number))
        judged = feed.people.judged(office.recipient())
        queued = feed.people.message(name, office.recipient(), judged, office.now)
        office.books.lanes.add(Waiting(queued, -1, "one"))
    assert office.giving.room(office.plan) == 0
    urgent = CampaignPlan(kind=events_pb2.CAMPAIGN_KIND_EMERGENCY)
    assert office.giving.room(urgent) == WINDOW
    lanes = office.books.lanes
    assert lanes.of_campaigns("", BULK, away=False) == WINDOW
    assert lanes.of_campaigns("", URGENT, away=False) == 0
    lanes.remove_campaign(office.campaign.campaign_id)
    assert office.giving.room(office.plan) == WINDOW


def test_a_carrier_that_is_away_keeps_no_other_recipients_waiting(office: Office) -> None:
    """Its own wait in the lane up to a window, and the rest in their audience."""
    feed = office.feed()
    lanes = office.books.lanes
    lanes.away = {"one"}
    for number in range(WINDOW):
        name = ids.derive("message", str(number))
        judged = feed.people.judged(office.recipient())
        queued = feed.people.message(name, office.recipient(), judged, office.now)
        lanes.add(Waiting(queued, -1, "one"))
    assert office.giving.room(office.plan) == WINDOW
    assert not office.give(feed, office.recipient())
    assert len(lanes) == WINDOW
    assert feed.again
    assert feed.due_ms > office.now
    assert (len(feed.deferred), feed.no_place) == (1, 1), "no rule holds it back"
    lanes.away = frozenset()
    assert office.giving.room(office.plan) == 0
    lanes.take(BULK, "one")
    again = office.feed()
    assert office.give(again, office.recipient())
    assert not again.again


def test_parts_are_those_of_the_carriers_own_wire(office: Office) -> None:
    office.campaign.plan.texts[0].template = "ı" * 150
    office.campaign.plan.drill = False
    office.number = sending_rules.NUMBER
    parts = {}
    for more in ("", ", national: [tr]"):
        office.carriers = LIVE.replace("{name: one", "{name: one" + more)
        parts[more] = office.feed().people.judged(office.recipient()).parts
    assert parts == {"": 3, ", national: [tr]": 1}


def test_a_correction_goes_also_to_who_got_too_many(tmp_path: Path) -> None:
    office = Office(tmp_path, live=True)
    assert office.give(office.feed(), office.recipient())
    [waiting] = office.books.lanes
    office.books.lanes.take(waiting.message.lane, waiting.carrier)
    change = claim(office.books.messages, waiting.message, "one", 1, office.now)
    office.decided.put([change])
    message = office.books.messages.get(change.message_id)
    assert message is not None
    office.decided.put([next_change(message, messages.SUBMITTED)])
    for _ in range(3):
        office.permits.take(change, office.now - 1)
    corrected, office.campaign.campaign_id = change.campaign_id, ids.derive("campaign", "more")
    office.give(office.feed(), office.recipient())
    assert len(office.books.lanes) == 0, "there is no cap"
    office.campaign.campaign_id, office.campaign.state = corrected, life.RECALLED
    assert office.give(office.feed(correction=True), office.recipient())
    assert len(office.books.lanes) == 1


def test_a_correction_goes_also_after_the_campaigns_own_end(office: Office) -> None:
    assert office.give(office.feed(), office.recipient())
    [waiting] = office.books.lanes
    office.books.lanes.take(waiting.message.lane, waiting.carrier)
    known = office.books.messages
    office.decided.put([claim(known, waiting.message, "one", 1, office.now)])
    message = known.get(waiting.message.message_id)
    assert message is not None
    office.decided.put([next_change(message, messages.SUBMITTED)])
    later_ms = 3_600_000
    office.campaign.state = life.RECALLED
    office.campaign.ended.CopyFrom(CampaignDeed(done_ms=office.now + later_ms))
    feed = office.feed(correction=True)
    assert feed.people.expires_ms == office.now + later_ms + people.CORRECTION_MS
    queued = office.giving.give(feed, office.recipient(), office.now + later_ms)
    assert queued is not None
    assert queued.correction
    assert queued.message_id in office.books.lanes


def test_only_who_got_it_is_corrected(office: Office) -> None:
    office.campaign.state = life.RECALLED
    assert not office.give(office.feed(correction=True), office.recipient())


def test_the_unknown_goes_once_more_by_a_decision_and_is_corrected_whatever_became_of_it(
    office: Office,
) -> None:
    def claimed() -> Message:
        [waiting] = office.books.lanes
        office.books.lanes.take(waiting.message.lane, waiting.carrier)
        change = claim(office.books.messages, waiting.message, "one", 1, office.now)
        office.decided.put([change])
        message = office.books.messages.get(change.message_id)
        assert message is not None
        return message

    assert office.give(office.feed(), office.recipient())
    message = claimed()
    office.decided.put([next_change(message, messages.UNKNOWN, "timeout")])
    office.books.messages.written(message, message.latest, office.now, 1)
    assert not office.give(office.feed(), office.recipient()), "nobody has decided it"
    office.campaign.resends.add(by=CampaignDeed(done_ms=office.now))
    # Who opted out meanwhile gets nothing more, and stays unknown.
    office.books.opted_out.add(office.recipient().person)
    assert not office.give(office.feed(), office.recipient())
    assert message.state == messages.UNKNOWN
    office.books.opted_out.clear()
    assert office.give(office.feed(), office.recipient())
    assert not office.give(office.feed(), office.recipient()), "it waits already"
    office.decided.put([next_change(claimed(), messages.FAILED, "blocked")])
    office.campaign.state = life.RECALLED
    assert office.give(office.feed(correction=True), office.recipient())


def test_a_second_row_does_not_go_before_the_first_that_waits(office: Office) -> None:
    """Who stands twice, in two languages, is counted by the first row."""
    feed = office.feed()
    feed.deferred.add(office.keyring.person(NUMBER))
    assert not office.give(feed, office.recipient("en"))
    assert not office.decided.changes


def test_who_is_held_back_gets_nothing_and_is_in_a_bucket_of_their_own(office: Office) -> None:
    plan, person = office.campaign.plan, office.recipient().person
    plan.held_back = 0.5
    names = [ids.derive("campaign", str(number)) for number in range(100)]
    held = next(name for name in names if held_back(plan, name, person))
    got = next(name for name in names if not held_back(plan, name, person))
    office.campaign.campaign_id = held
    assert office.give(office.feed(), office.recipient())
    assert len(office.books.lanes) == 0
    assert (office.end().state, office.end().reason) == (messages.SUPPRESSED, "held-back")
    assert key_of(office.end())[0] == campaigns_pb2.BUCKET_HELD_BACK
    # For good: neither another owner nor a correction writes to them.
    assert not office.give(office.feed(), office.recipient())
    assert not office.give(office.feed(correction=True), office.recipient())
    office.campaign.campaign_id = got
    assert office.give(office.feed(), office.recipient())
    assert len(office.books.lanes) == 1


def test_who_opted_out_is_not_among_those_held_back(office: Office) -> None:
    plan, person = office.campaign.plan, office.recipient().person
    plan.held_back = 0.5
    names = (ids.derive("campaign", str(number)) for number in range(100))
    office.campaign.campaign_id = next(name for name in names if held_back(plan, name, person))
    office.books.opted_out.add(person)
    assert office.give(office.feed(), office.recipient())
    assert office.end().reason == "opt-out"


def restored_after(office: Office) -> None:
    """Kafka was restored a second after the campaign was made, and somebody has resumed."""
    office.campaign.made.done_ms = office.now - 1_000
    said = events_pb2.Restoration(restoration_id="r", declared_ms=office.now, resumed_ms=office.now)
    office.books.restorations.take(said.SerializeToString())


def test_who_may_have_got_it_before_a_restore_is_unknown_and_not_given(office: Office) -> None:
    restored_after(office)
    feed = office.feed()
    assert office.give(feed, office.recipient())
    assert not list(office.books.lanes)
    assert [one.state for one in office.decided.changes] == [messages.CLAIMED, messages.UNKNOWN]
    assert (office.end().reason, office.end().carrier, office.end().attempt) == (
        "restored",
        "one",
        1,
    )
    # Met again, as by a walk that begins anew.
    assert not office.give(office.feed(), office.recipient())


def test_a_campaign_that_was_made_after_the_restore_goes_out(office: Office) -> None:
    restored_after(office)
    office.campaign.made.done_ms = office.now
    assert office.give(office.feed(), office.recipient())
    assert len(list(office.books.lanes)) == 1


def test_unknown_is_sent_once_more_by_a_decision_after_the_restore_only(office: Office) -> None:
    restored_after(office)
    assert office.give(office.feed(), office.recipient())
    message = office.books.messages.get(office.end().message_id)
    assert message is not None
    office.books.messages.written(message, message.latest, office.now - 10, 7)
    # The log lost what became of this decision.
    office.campaign.resends.add(by=CampaignDeed(done_ms=office.now - 5))
    assert not office.give(office.feed(), office.recipient())
    assert not list(office.books.lanes)
    office.campaign.resends.add(by=CampaignDeed(done_ms=office.now + 5))
    assert office.give(office.feed(), office.recipient())
    assert len(list(office.books.lanes)) == 1


def test_a_correction_counts_from_the_recall(office: Office) -> None:
    restored_after(office)
    assert office.give(office.feed(), office.recipient())
    office.campaign.state = life.RECALLED
    office.campaign.ended.done_ms = office.now + 1
    assert office.give(office.feed(correction=True), office.recipient())
    assert len(list(office.books.lanes)) == 1
