"""What `mawja campaign` shows of lists of people: who is in them, what their columns are."""

import re

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceColumn,
    AudienceFile,
    CampaignDeed,
    RecipientSample,
)

from services.tools.campaigns import lists
from tests.campaigns_shown import AT, GULF, ID, campaign, printed


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
