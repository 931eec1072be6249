"""A campaign's plan as people write it: what is wrong is told by line, field and rule."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import audiences_pb2, events_pb2
from mawja.broadcast.v1.audiences_pb2 import Callers
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.plans import problems, uploads
from services.runtime import rpc
from services.runtime.errors import ConfigError, Invalid, Violation
from services.tools.campaigns.authoring import EXAMPLE
from services.tools.campaigns.plan import Written, read
from services.tools.campaigns.query import written

LIST, OTHER = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44", "11111111-2222-4333-8444-555555555555"
NOW = 1_795_336_200_000  # 2026-11-22 08:30 UTC
GULF = timezone(timedelta(hours=4))
PLAN = f"""\
name: Shelters
kind: information
drill: true
audience: {LIST}
texts:
  ar: |
    الملجأ {{place}}
    مفتوح
  en: Shelter {{place}}
language: ar
expires: 6h
corrections:
  ar: مغلق
"""


def plan(text: str = PLAN, audience: str = "") -> Written:
    return read(text, "plan.yaml", NOW, audience=audience, zone=GULF)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_example_is_a_plan_that_the_service_takes() -> None:
    made = plan(EXAMPLE, LIST).plan
    assert problems(made, NOW) == []
    assert rpc.violations(made) == []
    assert (made.drill, made.language, len(made.texts), len(made.corrections)) == (True, "ar", 2, 2)
    # Every field of a plan is explained in it.
    fields = {field.name.removesuffix("_ms") for field in CampaignPlan.DESCRIPTOR.fields}
    assert {name for name in fields if f"{name}:" not in EXAMPLE} == set()


def test_everything_stands_where_it_belongs() -> None:
    made = plan(
        PLAN.replace("information", "emergency")
        + "agency: civil-defence\naccept_missing: true\nstarts: 2026-11-22 18:00\n"
        "most_parts_per_second: 200\nbrake_at: 0.25\n"
        "override: {legal_basis: ae-ncema, order: Order 12, ignores_opt_out: true}\n"
    ).plan
    assert made.kind == events_pb2.CAMPAIGN_KIND_EMERGENCY
    assert (made.agency, made.accept_missing) == ("civil-defence", True)
    assert made.starts_ms == ms("2026-11-22T18:00+04:00")
    assert made.expires_ms == made.starts_ms + 6 * 3_600_000
    assert (made.most_parts_per_second, made.brake_at) == (200, 0.25)
    assert (made.override.legal_basis, made.override.order) == ("ae-ncema", "Order 12")
    assert made.override.ignores_opt_out
    # The line break that ends a block is nobody's.
    assert [one.template for one in made.texts] == ["الملجأ {place}\nمفتوح", "Shelter {place}"]


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("kind: information", "kind: news", "line 2: kind: must be information or marketing or"),
        ("drill: true", "drill: yes", "line 3: drill: must be true or false"),
        ("drill: true\n", "", "line 1: drill: is missing"),
        (f"audience: {LIST}\n", "", "line 1: audience: is missing; give the id"),
        (LIST, "people.csv", "line 4: audience: must be the id of a list"),
        (
            LIST,
            "{all_of: [], any_of: []}",
            "line 4: audience: must be one of callers, subscribers, file, all_of",
        ),
        (
            LIST,
            "{none_of: []}",
            "line 4: audience: must be one of callers, subscribers, file, all_of",
        ),
        (LIST, "{any_of: []}", "line 4: audience.any_of: must be a list"),
        (LIST, f"\n  any_of:\n    - {LIST}\n    - x", "line 7: audience: must be the id"),
        ("  en: Shelter", "  english: Shelter", "line 9: texts.english: is no language"),
        ("  en: Shelter {place}", "  en: ' '", "line 9: texts.en: is empty"),
        ("  en: Shelter {place}", "  en: [a]", "line 9: texts.en: must be the text"),
        ("  en: ", "  ar: ", "line 9: ar stands twice"),
        ("Shelter {place}", "x" * 4097, "line 9: texts.en: must be at most 4096"),
        ("name: Shelters", "name: " + "ل" * 101, "line 1: name: must be at most 200 bytes"),
        ("expires: 6h\n", "", "line 1: expires: is missing; it must be a time, or how long"),
        ("expires: 6h", "expires: soon", "line 11: expires: must be a time"),
        ("expires: 6h", "expires: 2026-11-22", "line 11: expires: must say the hour too"),
        ("6h", "2026-11-22 18:00 Asia/Atlantis", "line 11: expires: names a time zone"),
        ("language: ar", "language: Arabic please", "line 10: language: must be a language"),
        ("corrections:", "correction:", "line 12: correction: is not known here"),
        ("kind: ", "brake_at: 2\nkind: ", "line 2: brake_at: must be a number from 0 to 1"),
        ("kind: ", "agency: Civil Defence\nkind: ", "line 2: agency: must be up to 32"),
        ("kind: ", "override: {order: x}\nkind: ", "line 2: override.legal_basis: is missing"),
        ("name: Shelters", "name: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_told_by_line_field_and_rule(was: str, becomes: str, told: str) -> None:
    assert was in PLAN
    with pytest.raises(ConfigError) as refused:
        plan(PLAN.replace(was, becomes, 1))
    assert str(refused.value).startswith("plan.yaml, line ")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22 18:00", "2026-11-22T18:00+04:00"),
        ("2026-11-22 18:00:30", "2026-11-22T18:00:30+04:00"),
        ("2026-11-22T18:00+01:00", "2026-11-22T18:00+01:00"),
        ("2026-11-22T18:00Z", "2026-11-22T18:00+00:00"),
        ("2026-11-22 18:00 UTC", "2026-11-22T18:00+00:00"),
        # In winter and in summer the same clock on the wall is another time.
        ("2026-11-22 18:00 Europe/Berlin", "2026-11-22T18:00+01:00"),
        ("2027-07-22 18:00 Europe/Berlin", "2027-07-22T18:00+02:00"),
        ("90m", "2026-11-22T10:00+00:00"),
        ("2d", "2026-11-24T08:30+00:00"),
    ],
)
def test_times_are_of_a_zone(written: str, meant: str) -> None:
    made = plan(PLAN.replace("6h", written)).plan
    assert datetime.fromtimestamp(made.expires_ms / 1000, UTC) == datetime.fromisoformat(meant)


def test_a_list_comes_from_the_file_or_beside_it_and_not_from_both() -> None:
    without = PLAN.replace(f"audience: {LIST}\n", "")
    assert plan(without, OTHER.upper()).plan.audience.upload == OTHER
    with pytest.raises(ConfigError, match=r"line 4: audience: stands here and in --audience"):
        plan(PLAN, OTHER)
    with pytest.raises(ConfigError, match="--audience must be the id of a list, or its first"):
        plan(without, "people.csv")


def test_sets_are_put_together() -> None:
    written = f"\n  except:\n    - any_of: [{LIST}, {OTHER}]\n    - {OTHER}"
    made = plan(PLAN.replace(LIST, written)).plan.audience
    assert made.WhichOneof("of") == "except"
    [first, second] = getattr(made, "except").audiences
    assert [one.upload for one in first.any_of.audiences] == [LIST, OTHER]
    assert second.upload == OTHER
    assert list(uploads(made)) == [LIST, OTHER, OTHER]
    deep = LIST
    for _ in range(9):
        deep = f"{{any_of: [{deep}]}}"
    with pytest.raises(ConfigError, match="line 4: audience: must be the id"):
        plan(PLAN.replace(LIST, deep))


def test_who_reached_out_is_asked_for_in_a_plan() -> None:
    asked = "{agency: water, place: Al  Jahra, line: 109, since: 2h, state: open}"
    other = "{kind: complaint, life_safety: true, until: 2026-11-22 12:00, topic: leaks}"
    lines = (f"callers: {asked}", f"callers: {other}", f"file: {LIST}", f"callers: {asked}")
    text = "".join(f"\n    - {line}" for line in lines)
    made = plan(PLAN.replace(LIST, f"\n  any_of:{text}"))
    first, second, file, again = uploads(made.plan.audience)
    assert (file, again) == (LIST, first)
    assert list(made.queries) == [first, second]
    assert made.queries[first].callers == Callers(
        agency="water",
        place="Al Jahra",
        line="109",
        since_ms=NOW - 2 * 3_600_000,
        state=audiences_pb2.CALLER_STATE_OPEN,
    )
    assert made.queries[second].callers == Callers(
        kind=common_pb2.CONTACT_KIND_COMPLAINT,
        life_safety=True,
        topic="leaks",
        until_ms=ms("2026-11-22T12:00+04:00"),
    )
    filled = made.filled({first: OTHER, second: LIST})
    assert list(uploads(filled.audience)) == [OTHER, LIST, LIST, OTHER]
    assert filled.name == "Shelters"
    # What stands in the file is as it was.
    assert next(uploads(made.plan.audience)) == first


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("{}", "must say something of the callers: agency"),
        ("{agency: Water}", "callers.agency: must be an agency's code"),
        ("{colour: red}", "callers.colour: is not known here; there are agency"),
        (
            "{since: yesterday}",
            "callers.since: must be how long ago, e.g. 2h, 30m or 3d; or a time",
        ),
        ("{since: 2026-11-22}", "callers.since: must say the hour too"),
        ("{kind: anger}", "callers.kind: must be enquiry or complaint"),
        ("{state: new}", "callers.state: must be open or resolved"),
        ("{incident: 12}", "callers.incident: must be the id of an incident"),
        ("{life_safety: 'yes'}", "callers.life_safety: must be true or false"),
        ("{place: [a]}", "callers.place: must be text"),
        ("water", "callers is a mapping"),
        ("{agency: water}\n  file: x", "must be one of callers, subscribers, file"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_by_line(asked: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(PLAN.replace(LIST, f"\n  callers: {asked}"))
    assert str(refused.value).startswith("plan.yaml, line ")
    assert told in str(refused.value)


def test_a_query_is_written_in_one_line_too() -> None:
    made = written("callers", 'agency=water place="Al Jahra" since=30m', NOW).callers
    assert made == Callers(agency="water", place="Al Jahra", since_ms=NOW - 1_800_000)
    for line, told in (
        ("", "--callers: must say something"),
        ("water", "--callers: water is not written as field=value"),
        ("place='Jahra", "--callers: a quotation mark is not closed"),
        ("line=1 line=2", "--callers: line stands twice"),
        ("line=", "--callers: line: must be text"),
        ("colour=red", "--callers: colour: is not known here"),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            written("callers", line, NOW)


def test_languages_are_not_read_as_yaml_reads_them() -> None:
    made = plan(PLAN.replace("  en:", "  no:")).plan
    assert [one.language for one in made.texts] == ["ar", "no"]


def test_what_the_service_finds_gets_its_line_back() -> None:
    written = plan()

    def told(*fields: str) -> str:
        return str(written.told(Invalid([Violation(field, "is wrong") for field in fields])))

    assert told("plan.texts[1].template") == "plan.yaml, line 9: texts.en: is wrong"
    assert told("plan.expires_ms") == "plan.yaml, line 11: expires: is wrong"
    assert told("plan.corrections[0].template") == "plan.yaml, line 13: corrections.ar: is wrong"
    assert told("plan.audience.upload") == "plan.yaml, line 4: audience: is wrong"
    assert told("plan.starts_ms") == "plan.yaml: starts_ms: is wrong"
    both = told("plan.texts", "request_id").splitlines()
    assert both == [
        "2 faults",
        "  plan.yaml, line 5: texts: is wrong",
        "  plan.yaml: request_id: is wrong",
    ]


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(PLAN.splitlines()))
def test_whatever_is_written_is_read_or_told(written: str, line: str) -> None:
    field = line.partition(":")[0]
    told, expires_ms = "", 0
    try:
        expires_ms = plan(PLAN.replace(line, f"{field}: {written}")).plan.expires_ms
    except ConfigError as error:
        told = str(error)
    assert told.startswith("plan.yaml") if told else expires_ms > 0


def test_a_list_may_be_named_by_its_first_letters() -> None:
    short = PLAN.replace(LIST, "3F0C5a52")
    made = plan(short)
    [(stands, begins)] = made.shorts.items()
    assert (made.plan.audience.upload, begins) == (stands, "3f0c5a52")
    assert made.filled({stands: LIST}).audience.upload == LIST
    some = f"{{any_of: [abcd, {LIST}, {{file: abcd}}, {{file: 1234}}]}}"
    several = plan(PLAN.replace(LIST, some))
    assert sorted(several.shorts.values()) == ["1234", "abcd"]
    without = PLAN.replace(f"audience: {LIST}\n", "")
    assert list(plan(without, "ABCD-1").shorts.values()) == ["abcd-1"]
    with pytest.raises(ConfigError, match="must be the id of a list"):
        plan(PLAN.replace(LIST, "abc"))
