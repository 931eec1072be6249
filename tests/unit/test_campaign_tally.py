"""Every recipient is in exactly one bucket at every moment, and they add up to the audience."""

from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, CampaignShare
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast import messages
from services.broadcast.campaigns.counts import added, etas, placed, recipients_of
from services.broadcast.campaigns.tally import Tally, bucket_of
from services.broadcast.messages import NEXT, QUEUED
from services.runtime import ids

ID = ids.derive("campaign", "tally")
LANGUAGES = ("ar", "en")
PEOPLE = 12
FOUND = CampaignShare(
    buckets=[
        *(
            BucketCount(
                bucket=campaigns_pb2.BUCKET_WAITING,
                language=language,
                carrier="one",
                recipients=PEOPLE // 2 - 1,
                parts=PEOPLE // 2 - 1,
            )
            for language in LANGUAGES
        ),
        *(
            BucketCount(bucket=campaigns_pb2.BUCKET_OPTED_OUT, language=language, recipients=1)
            for language in LANGUAGES
        ),
        BucketCount(bucket=campaigns_pb2.BUCKET_DUPLICATE, recipients=3),
        BucketCount(bucket=campaigns_pb2.BUCKET_INVALID, reason="invalid-number", recipients=2),
    ]
)
AUDIENCE = PEOPLE + 5
REASONS = {messages.SUPPRESSED: "opt-out", messages.FAILED: "blocked"}


@given(st.lists(st.tuples(st.integers(0, PEOPLE - 1), st.integers(0, 9)), max_size=80))
def test_the_buckets_add_up_whatever_becomes_of_the_messages(steps: list[tuple[int, int]]) -> None:
    tally, states = Tally(), dict.fromkeys(range(PEOPLE), QUEUED)
    resends, unknown_ms = dict.fromkeys(range(PEOPLE), 0), dict[int, int]()
    for now, (who, choice) in enumerate(steps, start=1):
        possible = sorted(NEXT[states[who]])
        if not possible:
            continue
        state = possible[choice % len(possible)]
        resends[who] += (states[who], state) == (messages.UNKNOWN, messages.CLAIMED)
        states[who] = state
        may_be_there = state == messages.RELEASED and resends[who] > 0
        if state == messages.UNKNOWN or may_be_there:
            unknown_ms.setdefault(who, now)
        else:
            unknown_ms.pop(who, None)
        tally.take(
            MessageChange(
                message_id=f"m{who}",
                campaign_id=ID,
                state=state,
                reason=REASONS.get(state, ""),
                language=LANGUAGES[who % 2],
                carrier="one",
                parts=2,
                resend=resends[who],
            ),
            now,
        )
        for ended in (False, True):
            buckets = placed(FOUND.buckets, tally.stated(ID), ended)
            assert recipients_of(buckets) == AUDIENCE
            assert all(one.recipients > 0 for one in buckets)
        # Counted again from nothing but the states.
        by_bucket = dict.fromkeys(campaigns_pb2.Bucket.values(), 0)
        for one, at in states.items():
            # What was to be sent once more and was not may still have arrived.
            still = messages.UNKNOWN if at == messages.RELEASED and resends[one] else at
            by_bucket[bucket_of(still, REASONS.get(still, ""))] += 1
        by_bucket[campaigns_pb2.BUCKET_DUPLICATE] += 3
        by_bucket[campaigns_pb2.BUCKET_INVALID] += 2
        stated = dict.fromkeys(campaigns_pb2.Bucket.values(), 0)
        for count in placed(FOUND.buckets, tally.stated(ID), ended=False):
            stated[count.bucket] += count.recipients
        assert stated == by_bucket
        oldest = [count.oldest_ms for count in tally.stated(ID) if count.oldest_ms]
        assert min(oldest, default=0) == min(unknown_ms.values(), default=0)
        assert tally.under_way(ID) == stated[campaigns_pb2.BUCKET_UNDER_WAY]


def test_what_belongs_to_no_campaign_is_not_counted() -> None:
    tally = Tally()
    tally.take(MessageChange(message_id="m", state=messages.DELIVERED), 1)
    assert not tally.changed


def test_partitions_are_added_key_by_key() -> None:
    one = BucketCount(bucket=campaigns_pb2.BUCKET_WAITING, language="ar", recipients=1, parts=2)
    other = BucketCount(bucket=campaigns_pb2.BUCKET_WAITING, language="en", recipients=5, parts=5)
    assert [(b.language, b.recipients, b.parts) for b in added([[one, other], [one]])] == [
        ("ar", 2, 4),
        ("en", 5, 5),
    ]


def test_how_long_a_carrier_takes_is_its_parts_at_its_pace() -> None:
    found = [
        BucketCount(bucket=campaigns_pb2.BUCKET_WAITING, carrier="one", language=language, parts=50)
        for language in LANGUAGES
    ]
    found.append(BucketCount(bucket=campaigns_pb2.BUCKET_OPTED_OUT, recipients=9, parts=9))
    told = list(etas(found, {"one": 20.0, "other": 5.0}))
    assert [(eta.carrier, eta.language, eta.parts, eta.takes_ms) for eta in told] == [
        ("one", "", 100, 5_000),
        *(("one", language, 50, 2_500) for language in sorted(LANGUAGES)),
    ]
    assert list(etas(found, {})) == []
