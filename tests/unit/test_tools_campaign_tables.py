"""What `mawja campaign` shows: figures, times, scripts, tables that hold on narrow terminals."""

import io
import re
from datetime import timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceColumn,
    AudienceFile,
    BucketCount,
    Campaign,
    CampaignDeed,
    CampaignPlan,
    CampaignText,
    CarrierEta,
    FieldGap,
    GetCampaignResponse,
    RecipientSample,
    Rehearsal,
    WatchCampaignResponse,
)
from rich.cells import cell_len
from rich.console import Console, RenderableType

from services.tools.campaigns import lists, live, tables, words

GULF = timezone(timedelta(hours=4), "+04")
AT = 1_795_356_000_000  # 2026-11-22 18:00 in the Gulf
ID = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"
NASTY = "ملاجئ\u202e\x1b[2J\nline ‮two\u2066 é"


def count(bucket: int, recipients: int, reason: str = "", parts: int = 0) -> BucketCount:
    return BucketCount(
        bucket=bucket,  # type: ignore[arg-type]
        reason=reason,
        language="ar",
        carrier="one",
        recipients=recipients,
        parts=parts,
    )


WAITING, UNDER_WAY, DELIVERED, FAILED, UNKNOWN = (
    campaigns_pb2.BUCKET_WAITING,
    campaigns_pb2.BUCKET_UNDER_WAY,
    campaigns_pb2.BUCKET_DELIVERED,
    campaigns_pb2.BUCKET_FAILED,
    campaigns_pb2.BUCKET_UNKNOWN,
)


def campaign(state: int = campaigns_pb2.CAMPAIGN_STATE_RUNNING, **given: object) -> Campaign:
    by = CampaignDeed(subject="maryam", done_ms=AT)
    return Campaign(
        campaign_id=ID,
        state=state,  # type: ignore[arg-type]
        plan=CampaignPlan(
            name=NASTY,
            drill=True,
            language="ar",
            expires_ms=AT + 3_600_000,
            texts=[CampaignText(language="ar", template="سطر\nsecond \x1b[31mline")],
        ),
        made=by,
        changed=by,
        **given,  # type: ignore[arg-type]
    )


def printed(*some: RenderableType, width: int = 40) -> list[str]:
    to = io.StringIO()
    Console(file=to, width=width, force_terminal=False).print(*some, sep="\n")
    return to.getvalue().splitlines()


def test_arabic_stands_between_isolates_and_nothing_else_does() -> None:
    assert words.said("ملجأ 12") == "\u2068ملجأ 12\u2069"
    assert words.said("Shelter 12") == "Shelter 12"
    assert words.said("a\u202eb\x1b[2J\nc\u2069") == "ab[2J c"
    assert words.said_lines("one\nاثنان") == ["one", "\u2068اثنان\u2069"]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_anybody_wrote_stays_in_its_line(text: str) -> None:
    shown = words.said(text)
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1
    assert shown.count("\u2068") == shown.count("\u2069") <= 1
    inner = shown.strip("\u2068\u2069")
    assert not set(inner) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_times_say_their_zone() -> None:
    assert words.when(AT, GULF) == "2026-11-22 18:00 +04"
    assert words.hour(AT + 5_000, GULF) == "18:00:05 +04"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (59_000, "59 s"),
        (61_000, "2 min"),
        (3_600_000, "1 h"),
        (3_660_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_times_that_pass_are_never_told_too_short(ms: int, said: str) -> None:
    assert words.lasting(ms) == said


def test_json_is_for_programs() -> None:
    told = words.as_dict(
        campaign(rehearsal=Rehearsal(hash=b"\x01\xff", cost_milli={"AED": 5}, rehearsed_ms=AT))
    )
    assert (told["state"], told["version"], told["plan"]["drill"]) == ("running", 0, True)
    assert told["plan"]["name"] == NASTY
    assert told["rehearsal"]["hash"] == "01ff"
    assert told["rehearsal"]["cost_milli"] == {"AED": 5}
    assert told["rehearsal"]["rehearsed_ms"] == AT
    assert "approved" not in told
    assert words.as_dict(count(UNDER_WAY, 3))["bucket"] == "under_way"


def test_an_audience_tells_who_is_in_it_and_who_not() -> None:
    made = AudienceFile(
        audience_id="3f0c5a52",
        name="\u202e leaks",
        query="callers(agency=water)",
        recipients=1_200,
        languages={"ar": 1_150, "": 50},
        exclusions={"withheld": 7, "duplicate": 31},
        uploaded=CampaignDeed(subject="maryam", done_ms=AT),
    )
    told = "\n".join(printed(*lists.file(made), width=100))
    assert "asked for by maryam" in told
    assert "callers(agency=water)" in told
    assert "1,200 recipients: ar 1,150, not said 50" in told
    assert re.search(r"withheld +7", told)
    assert "\u202e" not in told
    seen = AudiencePreview(
        query="any_of(a, b)",
        people=1_190,
        opted_out=12,
        languages={"ar": 1_190},
        exclusions={"duplicate": 41},
        samples=[RecipientSample(masked_number="+971•••••••67", language="ar")],
    )
    told = "\n".join(printed(*lists.preview(seen), width=100))
    assert "to any_of(a, b)" in told
    assert "1,190 people: ar 1,190" in told
    assert "12 of them want no messages now" in told
    assert re.search(r"duplicate +41", told)
    assert re.search(r"\+971•••••••67 +ar", told)


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


def watched(state: int, *buckets: BucketCount, corrections: int = 0) -> WatchCampaignResponse:
    return WatchCampaignResponse(
        campaign=campaign(state),
        buckets=buckets,
        recipients=sum(one.recipients for one in buckets),
        corrections=[count(DELIVERED, corrections)] if corrections else [],
        recipients_per_second=41.6,
        eta_ms=90_000,
    )


def test_watching_ends_when_nothing_moves_by_itself() -> None:
    running, completed, cancelled, recalled = (
        campaigns_pb2.CAMPAIGN_STATE_RUNNING,
        campaigns_pb2.CAMPAIGN_STATE_COMPLETED,
        campaigns_pb2.CAMPAIGN_STATE_CANCELLED,
        campaigns_pb2.CAMPAIGN_STATE_RECALLED,
    )
    assert not live.over(watched(running, count(DELIVERED, 5)))
    assert live.over(watched(completed, count(UNKNOWN, 5)))
    assert not live.over(watched(cancelled, count(UNDER_WAY, 1), count(DELIVERED, 5)))
    assert live.over(watched(cancelled, count(DELIVERED, 5)))
    # All who got it or may have must have the correction: the service says when they have.
    corrected = watched(recalled, count(DELIVERED, 5), count(UNKNOWN, 1), corrections=6)
    assert not live.over(corrected)
    corrected.campaign.corrected_ms = AT
    assert live.over(corrected)
    for counted_ms in (-1, AT):
        # What is under way is not known now.
        corrected.counted_ms = counted_ms
        assert not live.over(corrected)
    assert live.over(watched(completed))


def test_a_line_says_all_of_it() -> None:
    seen = watched(campaigns_pb2.CAMPAIGN_STATE_RUNNING, count(WAITING, 60), count(DELIVERED, 40))
    assert live.line(seen, AT, GULF) == (
        "18:00:00 +04 · running · waiting 60, delivered 40 of 100 · 42/s · "
        "all given to carriers in 2 min"
    )
    seen.counted_ms = AT - 20_000
    assert live.line(seen, AT, GULF) == (
        "18:00:00 +04 · running · waiting 60, delivered 40 of 100 · where its recipients are is "
        "known as of 17:59:40 +04 only: the counts can't be read now"
    )
    assert "17:59:40" in "".join(printed(live.screen(seen, AT, GULF), width=100))
    nothing = watched(campaigns_pb2.CAMPAIGN_STATE_PAUSED)
    nothing.counted_ms = -1
    not_known = "where its recipients are is not known: the counts can't be read now"
    assert live.line(nothing, AT, GULF).endswith(not_known)
    assert "of 0" not in live.line(nothing, AT, GULF)
    assert not_known in printed(live.screen(nothing, AT, GULF), width=100)


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


def test_who_ends_a_campaign_is_told_how_many_are_out_and_how_many_wait() -> None:
    buckets = [count(WAITING, 324), count(UNDER_WAY, 769), count(DELIVERED, 1_907)]
    buckets += [count(FAILED, 5), count(UNKNOWN, 2), count(campaigns_pb2.BUCKET_EXPIRED, 9)]
    found = GetCampaignResponse(campaign=campaign(), buckets=buckets)
    assert live.out_and_waiting(found) == "Nothing of it was sent"
    found.campaign.started.done_ms = AT
    told = "2,683 were given to carriers and stay sent; 324 wait and never go"
    assert live.out_and_waiting(found) == told


@pytest.mark.parametrize(("rate", "told"), [(0.0, ""), (0.3, "0.3/s"), (41.6, "42/s")])
def test_no_rate_is_told_before_there_is_one(rate: float, told: str) -> None:
    seen = WatchCampaignResponse(campaign=campaign(), recipients_per_second=rate, eta_ms=-1)
    assert live.line(seen, AT, GULF).split(" · ")[3:] == ([told] if told else [])


def of_columns(*columns: tuple[str, int]) -> AudienceFile:
    return AudienceFile(
        audience_id=ID,
        name="people.csv",
        columns=[AudienceColumn(name=name, use=use) for name, use in columns],  # type: ignore[arg-type]
    )


NUMBER, LANGUAGE, FIELD = (
    campaigns_pb2.COLUMN_USE_NUMBER,
    campaigns_pb2.COLUMN_USE_LANGUAGE,
    campaigns_pb2.COLUMN_USE_FIELD,
)


def test_a_list_tells_what_its_columns_were_taken_for() -> None:
    made = of_columns(("Mobile", NUMBER), ("lang", LANGUAGE), ("place", FIELD), ("الاسم", FIELD))
    text = "\n".join(printed(*lists.file(made, GULF), width=100))
    assert "numbers: column Mobile; languages: column lang" in text
    assert "texts may name: {place} {\u2068الاسم\u2069}" in text
    text = "\n".join(printed(*lists.file(of_columns(("A", NUMBER)), GULF), width=100))
    assert "languages: no column, so nobody's is known" in text
    assert "texts may name: nothing" in text


def test_a_placeholder_that_is_no_column_is_told_when_it_is_written() -> None:
    plan = campaign().plan
    plan.ClearField("texts")
    plan.ClearField("corrections")
    plan.texts.add(language="ar", template="{plase} {place}")
    plan.corrections.add(language="ar", template="{shelter|x}")
    file = of_columns(("Mobile", NUMBER), ("place", FIELD))
    told = printed(*lists.strange(plan, [file]), width=100)
    assert [line.strip() for line in told] == [
        "look again: {plase} is no column of the list",
        "look again: {shelter} is no column of the list",
    ]
    assert not lists.strange(plan, [file, of_columns(("plase", FIELD), ("shelter", FIELD))])
    # Of a list from before it is not known what columns it has; a query has none.
    assert not lists.strange(plan, [file, AudienceFile(name="old.csv")])
    assert len(lists.strange(plan, [AudienceFile(query="callers(agency=water)")])) == 3


def test_lists_are_listed_by_ids_that_can_be_typed() -> None:
    some = [
        AudienceFile(
            audience_id=ID,
            name="ملاجئ.csv",
            recipients=3_001,
            drill=True,
            uploaded=CampaignDeed(subject="maryam", done_ms=AT),
        ),
        AudienceFile(audience_id=f"{ID[:-1]}5", name="b", recipients=2),
    ]
    first, second = printed(lists.many(some, GULF), width=120)[1:3]
    assert first.split()[0] == ID
    assert "DRILL" in first
    assert "3,001" in first
    assert "2026-11-22 18:00 +04" in first
    assert "maryam" in first
    assert "\u2068ملاجئ.csv\u2069" in first
    assert "DRILL" not in second
    assert printed(lists.many([some[0]], GULF))[1].startswith(f"{ID[:8]} ")
    assert "no lists" in printed(lists.many([]))[0]
