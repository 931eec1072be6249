"""What `mawja campaign` shows of a campaign, in tables that hold on narrow terminals."""

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Campaign,
    CampaignDeed,
    CampaignText,
    CarrierEta,
    FieldGap,
    RecipientSample,
    Rehearsal,
    WatchCampaignResponse,
)
from rich.cells import cell_len

from services.tools.campaigns import live, tables
from tests.campaigns_shown import (
    AT,
    DELIVERED,
    FAILED,
    GULF,
    ID,
    NASTY,
    UNKNOWN,
    WAITING,
    campaign,
    count,
    printed,
)


def test_every_recipient_is_in_the_table_once() -> None:
    lines = printed(
        *tables.buckets(
            [
                count(DELIVERED, 1_200),
                count(DELIVERED, 33),
                count(UNKNOWN, 1),
                count(FAILED, 5, "unreachable"),
                count(FAILED, 1, "barred"),
                count(WAITING, 760),
            ]
        )
    )
    assert [line.split() for line in lines[1:]] == [
        ["waiting", "760", "38.0", "%"],
        ["delivered", "1,233", "61.6", "%"],
        ["failed", "6", "0.3", "%"],
        ["barred", "1"],
        ["unreachable", "5"],
        ["unknown", "1", "<", "0.1", "%"],
        ["all", "2,000"],
    ]
    assert max(map(cell_len, lines)) <= 40


def test_a_rehearsal_tells_who_gets_it_and_who_not() -> None:
    found = Rehearsal(
        hash=bytes(32),
        rehearsed_ms=AT,
        buckets=[
            count(WAITING, 900, parts=1_800),
            count(WAITING, 100, "quiet-hours", 200),
            count(campaigns_pb2.BUCKET_OPTED_OUT, 7, "opt-out"),
            count(campaigns_pb2.BUCKET_DUPLICATE, 3),
        ],
        etas=[CarrierEta(carrier="one", parts=2_000, takes_ms=61_000)],
        cost_milli={"AED": 60_500},
        samples=[
            RecipientSample(masked_number=f"+971•••••••{n:02}", language="ar", parts=2)
            for n in range(16)
        ]
        + [RecipientSample(masked_number="+971•••••••77", language="en", parts=1)],
    )
    text = "\n".join(printed(*tables.rehearsal(campaign(rehearsal=found), GULF), width=60))
    assert "rehearsed 2026-11-22 18:00 +04; nothing was sent" in text
    assert "later: quiet-hours" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("all")] == [
        ["all", "1,000", "2,000"]
    ]
    assert tables.left_out(found.buckets) == {"opt-out": 7, "duplicate": 3}
    assert "one: 2,000 parts in 2 min" in text
    assert "cost: 60.500 AED" in text
    assert "•77" in text
    assert text.count("•••••••") == 6
    assert "0" * 32 in text


def test_a_rehearsal_tells_the_plans_own_pace_and_that_nobody_would_get_it() -> None:
    slow = campaign(
        rehearsal=Rehearsal(
            buckets=[count(WAITING, 900, parts=1_800)],
            etas=[CarrierEta(carrier="one", parts=1_800, takes_ms=18_000)],
        )
    )
    slow.plan.most_parts_per_second = 5
    text = " ".join(printed(*tables.rehearsal(slow, GULF), width=100))
    assert "at most 5 parts/s, as the plan says: all of it in 6 min" in text
    assert "nobody" not in text
    none = campaign(rehearsal=Rehearsal(buckets=[count(campaigns_pb2.BUCKET_DUPLICATE, 3)]))
    assert "nobody would get it" in "\n".join(printed(*tables.rehearsal(none, GULF)))


def test_a_placeholder_that_rows_lack_is_named() -> None:
    found = Rehearsal(
        buckets=[count(campaigns_pb2.BUCKET_SUPPRESSED, 25, "field-missing"), count(WAITING, 75)],
        gaps=[
            FieldGap(field="plase", language="ar", recipients=25),
            FieldGap(field="name", language="ar", recipients=2, too_long=True),
            FieldGap(field="place", language="ar", recipients=75, correction=True),
        ],
    )
    assert list(tables.gaps(found)) == [
        "{plase} in the text (ar) is missing in 25 of 100 rows",
        "{name} in the text (ar) is too long in 2 of 100 rows",
        "{place} in the correction (ar) is missing in all 75 rows; they could not be told by a "
        "recall",
    ]
    for one in found.buckets:
        one.language = "ar+en"
    assert next(tables.gaps(found)).endswith("25 of 100 rows")
    assert "{plase} in the text (ar)" in " ".join(
        printed(*tables.rehearsal(campaign(rehearsal=found), GULF), width=100)
    )


def test_who_has_no_text_in_their_language_is_told() -> None:
    found = campaign(rehearsal=Rehearsal(buckets=[count(WAITING, 75)], without_text={"ur": 12}))
    text = " ".join(printed(*tables.rehearsal(found, GULF), width=140))
    assert "no text in their language: ur 12; write it, or set accept_missing" in text
    found.plan.accept_missing = True
    text = " ".join(printed(*tables.rehearsal(found, GULF), width=140))
    assert "ur 12; they get the campaign's" in text


def test_ids_in_a_list_can_be_typed_from_a_narrow_terminal() -> None:
    assert any(ID[:8] in line for line in printed(tables.many([campaign()], GULF), width=30))


def test_who_held_it_is_said_once() -> None:
    held = CampaignDeed(subject="khalid", done_ms=AT, reason="hold it")
    seen = campaign(campaigns_pb2.CAMPAIGN_STATE_PAUSED, paused=held)
    shown = printed(*tables.deeds(seen, GULF), *tables.why_it_waits(seen, AT, GULF))
    assert sum("held by khalid" in line for line in shown) == 1


@pytest.mark.parametrize("width", [24, 40, 60, 120])
def test_nobodys_words_break_a_table(width: int) -> None:
    ended = CampaignDeed(subject="khalid", done_ms=AT, reason=NASTY)
    seen = campaign(campaigns_pb2.CAMPAIGN_STATE_PAUSED, paused=ended, waits=NASTY)
    watched = WatchCampaignResponse(campaign=seen, buckets=[count(FAILED, 5, NASTY)], recipients=5)
    other = campaign()
    other.campaign_id = ID[:9] + "0" + ID[10:]
    for one in (
        [*tables.head(seen), *tables.deeds(seen, GULF), *tables.plan(seen, GULF)],
        [tables.many([seen, other], GULF)],
        [live.screen(watched, AT, GULF, note="away")],
    ):
        lines = printed(*one, width=width)
        assert max(map(cell_len, lines)) <= width
        assert "\x1b" not in "".join(lines)


def test_what_is_live_is_never_taken_for_a_drill() -> None:
    drill, real = campaign(), campaign()
    real.plan.drill = False
    for shown in (tables.head, lambda one: [tables.many([one], GULF)]):
        assert ("DRILL" in "".join(printed(*shown(drill), width=99))) is True
        assert ("DRILL" in "".join(printed(*shown(real), width=99))) is False
        assert ("LIVE" in "".join(printed(*shown(real), width=99))) is True


def test_ids_are_as_short_as_tells_them_apart() -> None:
    assert tables.short_length([ID, "1" * 36]) == 8
    assert tables.short_length([ID, ID[:10] + "f" * 26]) == 11
    assert tables.short_length([ID, ID]) == 8


def test_it_is_told_why_a_campaign_waits() -> None:
    def told(seen: Campaign) -> str:
        return " ".join(map(str, tables.why_it_waits(seen, AT, GULF)))

    paused = campaigns_pb2.CAMPAIGN_STATE_PAUSED
    by_hand = campaign(paused, paused=CampaignDeed(subject="khalid", done_ms=AT, reason="wrong"))
    assert told(by_hand) == "held by khalid, 2026-11-22 18:00 +04: wrong"
    assert "brake" in told(campaign(paused, paused=CampaignDeed(subject="brake", done_ms=AT)))
    later = campaign(waits="carrier one is throttled")
    later.plan.starts_ms = AT + 60_000
    assert told(later) == "begins at 2026-11-22 18:01 +04 carrier one is throttled"
    assert told(campaign()) == ""


def test_a_translation_with_other_placeholders_is_pointed_out() -> None:
    def told(*some: CampaignText) -> list[str]:
        seen = campaign()
        del seen.plan.texts[:]
        seen.plan.texts.extend(some)
        lines = printed(*tables.plan(seen), width=100)
        return [line for line in lines if line.startswith("look again")]

    arabic = CampaignText(language="ar", template="الملجأ {place} {day}")
    assert told(arabic, CampaignText(language="en", template="On {day}: shelter {place}")) == []
    assert told(arabic, CampaignText(language="en", template="Shelter {place}")) == [
        "look again: en: {day} is missing; ar has it once"
    ]
    assert told(CampaignText(language="en", template="Shelter {place}")) == []
