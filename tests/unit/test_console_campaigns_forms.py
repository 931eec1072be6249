"""The Campaigns forms: a plan comes back from its form as it went in, and what is wrong is told."""

import base64
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceSet, CampaignPlan, CampaignText

from services.broadcast.texts.template import parse
from services.console import words
from services.console.campaigns import audience_form, finding, names, plan_form
from services.console.campaigns.faults import Faults
from services.console.campaigns.sentences import translated
from services.runtime import ids

ZONE = ZoneInfo("Asia/Qatar")
NOW = 1_795_000_020_000
MINUTE = 60_000
ARABIC = words.load()["ar"].gettext


def leaf(name: str) -> Audience:
    return Audience(upload=ids.derive("audience", name))


def sent(form: plan_form.Form) -> plan_form.Form:
    """The form as a browser would send it."""
    fields = [(name, value) for name, value in form.one.items()]
    fields += [(f"text_{tag}", text) for tag, text in form.texts.items()]
    fields += [(f"correction_{tag}", text) for tag, text in form.corrections.items()]
    fields += [(box, "1") for box in form.ticked]
    chosen = form.audience
    fields += [("include", one) for one in chosen.include]
    fields += [("exclude", one) for one in chosen.exclude]
    fields += [("how", chosen.how)]
    if chosen.kept:
        fields += [("kept", chosen.kept), ("keep", "1")]
    return plan_form.posted(fields)


audiences = st.one_of(
    st.just(leaf("one")),
    st.just(Audience(any_of=AudienceSet(audiences=[leaf("one"), leaf("two")]))),
    st.just(Audience(all_of=AudienceSet(audiences=[leaf("one"), leaf("two")]))),
    st.just(
        Audience(
            **{"except": AudienceSet(audiences=[leaf("one"), leaf("two")])}  # type: ignore[arg-type]
        )
    ),
    st.just(
        Audience(
            any_of=AudienceSet(
                audiences=[Audience(all_of=AudienceSet(audiences=[leaf("one")])), leaf("two")]
            )
        )
    ),
)


@given(
    audience=audiences,
    name=st.text("abcأبت·", min_size=1, max_size=40),
    text=st.text("ab {}\nأب", min_size=1, max_size=60).filter(lambda one: bool(one.strip())),
    minutes=st.integers(1, 10_000),
    starts=st.integers(0, 500),
    held=st.integers(0, 500),
    emergency=st.booleans(),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_a_plan_comes_back_from_its_form(
    audience: Audience,
    name: str,
    text: str,
    minutes: int,
    starts: int,
    held: int,
    emergency: bool,
    flags: tuple[bool, bool],
) -> None:
    minute = NOW // MINUTE * MINUTE
    plan = CampaignPlan(
        name=name,
        agency="water",
        kind=plan_form.KINDS["emergency" if emergency else "information"],
        drill=flags[0],
        accept_missing=flags[1],
        audience=audience,
        texts=[
            CampaignText(language="ar", template=text),
            CampaignText(language="zh-Hant", template="b"),
        ],
        corrections=[CampaignText(language="ar", template="c")],
        language="zh-Hant",
        starts_ms=minute + starts * MINUTE if starts else 0,
        expires_ms=minute + (starts + minutes) * MINUTE,
        held_back=held / 1000,
        brake_at=0.25,
        most_parts_per_second=12.5,
    )
    if emergency:
        plan.override.legal_basis = "ae-ncema"
        plan.override.order = "Order 12"
        plan.override.ignores_opt_out = True
    read, faults = plan_form.read(sent(plan_form.of_plan(plan, ZONE)), NOW, ZONE)
    assert not faults, faults.said(lambda one: one)
    assert read == plan


def test_a_deeper_set_is_kept_until_somebody_chooses_anew() -> None:
    deep = Audience(
        any_of=AudienceSet(audiences=[Audience(all_of=AudienceSet(audiences=[leaf("one")]))])
    )
    chosen = audience_form.of(deep)
    assert chosen.kept
    assert not chosen.include
    fields = [("kept", chosen.kept), ("include", ids.derive("audience", "two"))]
    anew = audience_form.posted(fields)
    assert audience_form.read(anew, Faults()) == leaf("two")
    for broken in ("x", base64.b64encode(b"\xff\xff").decode()):
        faults = Faults()
        assert audience_form.read(audience_form.Chosen(kept=broken), faults) is None
        assert "audience" in faults


def test_what_is_left_out_again_is_told() -> None:
    one = ids.derive("audience", "one")
    faults = Faults()
    assert audience_form.read(audience_form.Chosen((one,), "any", (one,)), faults) is None
    assert "audience" in faults


@pytest.mark.parametrize(
    ("field", "own"),
    [
        ("plan.texts[1].template", "text_en"),
        ("plan.corrections[0].template", "correction_en"),
        ("plan.texts", "texts"),
        ("plan.expires_ms", "expires"),
        ("plan.override.legal_basis", "legal_basis"),
        ("plan.audience.upload", "audience"),
        ("plan.texts[9].template", "texts"),
        ("campaign_id", ""),
    ],
)
def test_fields_of_the_service_are_found_in_the_form(field: str, own: str) -> None:
    form = plan_form.Form(
        texts={"ar": "a", "fr": " ", "en": "b"}, corrections={"ar": "", "fr": "", "en": "c"}
    )
    assert plan_form.field_of(field, form) == own


@given(st.text("a{}|\n ب", max_size=30))
def test_what_is_priced_is_a_text_without_placeholders(text: str) -> None:
    try:
        parse("ar", text)
    except ValueError:
        return
    plain = parse("ar", plan_form.filled(text)) if plan_form.filled(text).strip() else None
    assert plain is None or not plain.fields


def test_times_are_the_zones_and_numbers_of_every_script() -> None:
    form = plan_form.blank(NOW, ZONE)
    form.one |= {"expires": "2026-12-01T10:00", "held_back": "١٢٫٥", "name": "n"}
    form.texts["ar"] = "a"
    form.audience = audience_form.Chosen((ids.derive("audience", "one"),))
    plan, faults = plan_form.read(form, NOW, ZONE)
    assert not faults
    assert plan.held_back == 0.125
    assert plan.expires_ms == 1_796_108_400_000


def test_languages_are_added_once_and_by_their_tags() -> None:
    form = plan_form.blank(NOW, ZONE)
    assert form.with_language("ur")
    assert not form.with_language("AR")
    assert not form.with_language("<b>")
    assert form.languages == ("ar", "en", "ur")
    fields = [(f"text_a{chr(97 + i % 26)}{chr(97 + i // 26)}", "x") for i in range(60)]
    assert len(plan_form.posted(fields).texts) == 16


def test_callers_are_found_by_what_is_said_of_them() -> None:
    faults = Faults()
    said = {"agency": "water", "since": "2026-11-22T10:00", "state": "open", "life_safety": "1"}
    query = finding.callers(said, ZONE, faults)
    assert not faults
    assert query.callers.agency == "water"
    assert query.callers.since_ms == 1_795_330_800_000
    assert query.callers.state == audiences_pb2.CALLER_STATE_OPEN
    assert query.callers.life_safety


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({}, ""),
        ({"agency": "Wa ter"}, "agency"),
        ({"incident_id": "12"}, "incident_id"),
        ({"language": "<script>"}, "language"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-22T10:00", "until": "2026-11-22T09:00"}, "until"),
    ],
)
def test_what_is_wrong_with_a_question_is_told_at_its_field(
    given_: dict[str, str], field: str
) -> None:
    faults = Faults()
    finding.callers(given_, ZONE, faults)
    assert faults.fields() == [field]


@pytest.mark.parametrize(
    ("said", "arabic"),
    [
        ("it is running: only an approved campaign can be started", "قيد الإرسال"),
        ("en, character 3: this brace closes nothing; write }} for a brace itself", "الحرف 3"),
        ("waiting for carrier one: throttled, 20 queued, next in 3 s", "أُبطئت"),
        ("slowed: 80 people wait, room for 12 calls/min; 12 held back by quiet hours or caps", "؛"),
        ("write hi, ur, or set accept_missing", "hi, ur"),
        ("amal paused it: resume or cancel it", "amal"),
    ],
)
def test_services_sentences_are_said_in_arabic(said: str, arabic: str) -> None:
    told = translated(said, ARABIC)
    assert arabic in told
    assert told != said
    assert translated(said, lambda one: one)


def test_what_nobody_translated_is_shown_as_it_came() -> None:
    assert translated("something {new} %(x)s", ARABIC) == "something {new} %(x)s"
    assert names.reason("new-reason", ARABIC) == "new-reason"
