"""What a report knows comes from the log alone, and adds up whatever became of the messages."""

import random
from collections import Counter
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignCommand, CampaignDecision

from services.broadcast import messages
from services.broadcast.campaigns.counts import placed
from services.tools.reports.facts import (
    Sending,
    grouped,
    histogram,
    may_be_reached,
    merged,
    middle,
    pace_of,
    paces,
    pauses,
    reached_at,
)
from tests.report_log import T0, Written, change, eventful, histories, prepared

PEOPLE = 12
STEPS = st.lists(st.tuples(st.integers(0, PEOPLE - 1), st.integers(0, 9)), max_size=80)


@given(STEPS, st.sampled_from(["RUNNING", "CANCELLED", "RECALLED", "COMPLETED"]))
def test_the_buckets_add_up_whatever_becomes_of_the_messages(
    steps: list[tuple[int, int]], state: str
) -> None:
    log, campaign = prepared(PEOPLE)
    states = dict.fromkeys(range(PEOPLE), messages.QUEUED)
    for number, (who, one) in enumerate(histories(steps, PEOPLE)):
        # What was to be sent once more and was not may still have arrived.
        given_back = one.state == messages.RELEASED and one.resend
        states[who] = messages.UNKNOWN if given_back else one.state
        log.status(T0 + 61_000 + number, [one], partition=who % 2)
    campaign.state = campaigns_pb2.CampaignState.Value(f"CAMPAIGN_STATE_{state}")
    log.decide(campaign, T0 + 200_000)
    facts = log.facts()
    assert facts.problems == []
    totals = facts.sending.totals()
    # 12 people, one of them twice, and two rows that can't be read.
    assert facts.sending.recipients == sum(totals.values()) == PEOPLE + 3
    assert totals["duplicate"] == 1
    assert totals["invalid"] == 2
    at = Counter(states.values())
    assert totals["delivered"] == at[messages.DELIVERED] == len(facts.sending.delivered_ms())
    assert totals["failed"] == at[messages.FAILED]
    assert totals["unknown"] == at[messages.UNKNOWN] == len(facts.sending.unknown_since)
    rest = at[messages.QUEUED] + at[messages.RELEASED]
    ended = state in ("CANCELLED", "RECALLED")
    assert totals["cancelled" if ended else "waiting"] == rest
    # And as the services count for the screens.
    shown = Counter[str]()
    stated = log.fold().stated
    for count in placed(campaign.rehearsal.buckets, stated, ended):
        name = campaigns_pb2.Bucket.Name(count.bucket).removeprefix("BUCKET_").lower()
        shown[name] += count.recipients
    assert shown == totals - Counter(invalid=2)
    for groups in (lambda one: one.language), (lambda one: one.carrier):
        assert sum(sum(counts.values()) for counts in facts.sending.by(groups).values()) == (
            facts.sending.recipients
        )


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_topics_makes_no_difference(rng: random.Random) -> None:
    log = eventful()
    streams: dict[tuple[str, int], list[Written]] = {}
    for one in log.records:
        streams.setdefault((one.topic.name, one.partition), []).append(one)
    mixed = eventful()
    mixed.records = []
    while streams:
        key = rng.choice(sorted(streams))
        mixed.records.append(streams[key].pop(0))
        if not streams[key]:
            del streams[key]
    assert mixed.facts() == log.facts()


def test_everything_that_happened_is_told() -> None:
    facts = eventful().facts()
    told = [(deed.what, deed.subject, bool(deed.refused)) for deed in facts.timeline]
    assert told == [
        ("made", "maryam", False),
        ("rehearsing", "maryam", False),
        ("rehearsed", "", False),
        ("approved", "maryam", True),
        ("approved", "khalid", False),
        ("started", "maryam", False),
        ("sending", "", False),
        ("paused", "maryam", False),
        ("resumed", "maryam", False),
        ("takeover", "", False),
        ("braked", "", False),
        ("recalled", "khalid", False),
        ("correcting", "", False),
        ("correcting_over", "", False),
    ]
    assert dict(facts.sending.totals()) == {
        "delivered": 4,
        "failed": 1,
        "unknown": 1,
        "opted_out": 1,
        "suppressed": 1,
        "expired": 1,
        "cancelled": 3,
        "duplicate": 1,
        "invalid": 2,
    }
    assert facts.sending.released == {"throttled": 1}
    assert facts.sending.unknown_since == [(T0 + 95_000, "takeover")]
    assert grouped(merged([facts.sending, facts.correction])) == [(T0 + 95_000, 1, 1)]
    assert facts.sending.latencies_ms == [900, 900, 900, 3_000]
    assert pauses(facts.timeline, T0 + 999_000) == [
        (T0 + 70_000, T0 + 90_000),
        (T0 + 100_000, T0 + 120_000),
    ]
    assert facts.correction is not None
    # Four got it and one may have.
    assert dict(facts.correction.totals()) == {"delivered": 1, "waiting": 4}
    assert facts.files[0].in_log == facts.files[0].recipients == 13


def test_without_the_commands_the_decisions_still_say_who() -> None:
    log = eventful()
    kept = [one for one in log.records if not isinstance(one.message, CampaignCommand)]
    log.records = kept
    who = {deed.what: deed.subject for deed in log.facts().timeline}
    assert (who["made"], who["approved"], who["started"]) == ("maryam", "khalid", "maryam")
    assert who["recalled"] == "khalid"
    assert who["rehearsing"] == ""


def test_other_campaigns_count_for_nothing() -> None:
    log = eventful()
    before = log.facts()
    other = [change(9, messages.CLAIMED, campaign_id=str(uuid4()))]
    log.status(T0 + 130_000, other, epoch=90)
    after = log.facts()
    assert after.sending == before.sending
    with pytest.raises(KeyError):
        log.fold(str(uuid4())).facts(before.made)


def test_what_no_state_allows_is_told_and_counts_for_nothing() -> None:
    log = eventful()
    before = log.facts().sending.totals()
    log.status(T0 + 130_000, [change(0, messages.CLAIMED, 2)], epoch=40)
    facts = log.facts()
    assert facts.sending.totals() == before
    assert facts.problems == ["forbidden"]


def test_more_outcomes_than_recipients_are_told() -> None:
    log, _ = prepared(2)
    log.status(T0 + 70_000, [change(who, messages.CLAIMED) for who in range(0, 20, 2)])
    facts = log.facts()
    assert facts.problems == ["negative"]
    assert facts.sending.recipients == 2 + 3


def test_recipients_that_the_log_lacks_are_told() -> None:
    log = eventful()
    log.records = log.records[2:]
    assert log.facts().problems == ["file"]


def test_a_file_that_the_log_lacks_is_told() -> None:
    log = eventful()
    log.records = [
        one
        for one in log.records
        if not (isinstance(one.message, CampaignDecision) and one.message.HasField("audience"))
    ]
    assert log.facts().problems == ["file"]


def test_a_draft_has_no_recipients_yet() -> None:
    log, _ = prepared(3)
    first = next(n for n, one in enumerate(log.records) if one.topic.name.endswith("command.v1"))
    log.records = log.records[: first + 2]
    facts = log.facts()
    assert facts.state == "draft"
    assert facts.problems == []
    assert not facts.sending.recipients


def test_shares_are_reached_when_enough_people_are() -> None:
    times = [10, 20, 30, 40]
    assert reached_at(times, 4) == {25: 10, 50: 20, 75: 30, 95: 40}
    assert reached_at(times, 5) == {25: 20, 50: 30, 75: 40, 95: None}
    assert reached_at([], 0) == dict.fromkeys((25, 50, 75, 95))
    assert may_be_reached({"delivered": 3, "opted_out": 2, "invalid": 1, "waiting": 4}) == 7


def test_values_are_sorted_into_their_ranges() -> None:
    assert histogram([0, 5, 6, 10, 11], [5, 10]) == [2, 2, 1]
    assert (middle([], 50), middle([7], 95), middle([1, 2, 3, 4], 50)) == (None, 7, 2)


def test_pace_leaves_out_what_was_held() -> None:
    taken = dict.fromkeys((100, 101, 102, 113, 114), 10)
    [pace] = paces(Sending(taken={"north": taken}), [(103_000, 113_000)])
    assert (pace.parts, pace.mean, pace.peak) == (50, 10.0, 6.0)


@given(
    st.one_of(st.integers(1, 20_000), st.integers(1, 9_999).map(lambda n: n / 100)),
    st.integers(200, 2_000_000),
)
def test_the_agreed_pace_is_one_that_takes_so_long(pace: float, parts: int) -> None:
    takes_ms = int(parts / pace * 1000)
    if takes_ms < 1:
        return
    told = pace_of(parts, takes_ms)
    assert parts * 1000 / (takes_ms + 1) < told <= parts * 1000 / takes_ms


def test_the_pace_of_a_short_list_is_told_round() -> None:
    assert pace_of(4_000, 2_666) == 1_500
    assert pace_of(600, 400) == 1_500
    assert pace_of(7, 350) == 20
