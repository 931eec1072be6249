"""An alert of CAP 1.2 becomes a draft, and a campaign becomes an alert."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.broadcast.cap.drafts import MAX_PARTS, Draft, Remark, draft_of
from services.broadcast.cap.exports import CampaignFacts, alert_of, reference_of
from services.broadcast.cap.model import (
    Alert,
    CapError,
    Category,
    Certainty,
    Info,
    MsgType,
    Pair,
    Scope,
    Severity,
    Signature,
    Status,
    Urgency,
)
from services.broadcast.cap.places import Place, in_language, tidy_tag
from services.broadcast.cap.reading import parse
from services.broadcast.cap.writing import write
from services.broadcast.lanes import BULK, NORMAL, URGENT
from services.broadcast.segments import split
from tests.cap_alerts import ALERTS, fixture

FLOOD = parse(fixture("uae-flood"))
SQUARE = ((24.1, 55.6), (24.1, 55.9), (24.3, 55.9), (24.1, 55.6))
FACTS = CampaignFacts(
    identifier="campaign-7",
    sender="mawja@example.ae",
    sent_ms=1_776_389_400_123,
    name="Flood 7",
    texts={
        "ar": "السيول تجري في العين. ابتعدوا عن الأودية.\nللمساعدة اتصلوا بنا.",
        "en": "Wadis are flowing in Al Ain. Keep away.\nCall us for help.",
    },
    events={"ar": "سيول", "en": "Flood"},
    category=Category.MET,
    urgency=Urgency.IMMEDIATE,
    severity=Severity.EXTREME,
    certainty=Certainty.OBSERVED,
    expires_ms=1_776_434_400_999,
    agency="NCEMA",
    places=(Place({"ar": "العين", "en": "Al Ain"}, (SQUARE,), (), (Pair("ISO3166-2", "AE-AZ"),)),),
)


def with_info(**changes: object) -> Alert:
    return replace(FLOOD, infos=(replace(FLOOD.infos[1], **changes),))  # type: ignore[arg-type]


def text(**changes: object) -> str:
    return draft_of(with_info(**changes)).texts[0].text


def test_a_draft_takes_what_the_alert_says() -> None:
    draft = draft_of(FLOOD)
    assert draft.name == "تحذير: جريان الأودية في العين"
    assert draft.agency == "الهيئة الوطنية لإدارة الطوارئ"
    assert (draft.drill, draft.kind, draft.lane) == (False, MsgType.ALERT, URGENT)
    assert draft.expires_ms == 1_776_434_400_000
    assert [one.language for one in draft.texts] == ["ar-AE", "en-AE", "ur"]
    assert draft.texts[0].text == (
        "تحذير: جريان الأودية في العين\n"
        "أمطار غزيرة وجريان للأودية حتى السادسة مساءً.\n"
        "ابتعدوا عن الأودية ومجاري السيول، ولا تعبروا الطرق المغمورة."
    )
    # The description says the headline again, in the same words.
    assert draft.texts[1].text == (
        "Warning: wadis are flowing in Al Ain after heavy rain, until 6 pm.\n"
        "Stay away from wadis. Do not cross flooded roads."
    )
    (place,) = draft.places
    assert place.names == {"ar-AE": "مدينة العين", "en-AE": "Al Ain city", "ur": "العین شہر"}
    assert place.geocodes == (Pair("ISO3166-2", "AE-AZ"),)
    assert len(place.polygons[0]) == 5
    assert draft.source == FLOOD.reference()
    assert draft.remarks == ()


def test_the_earliest_expiry_is_taken() -> None:
    sooner = replace(FLOOD.infos[1], expires_ms=FLOOD.sent_ms + 1000)
    assert draft_of(replace(FLOOD, infos=(*FLOOD.infos, sooner))).expires_ms == FLOOD.sent_ms + 1000


def test_places_of_different_shape_stay_apart() -> None:
    areas = FLOOD.infos[1].areas
    moved = replace(areas[0], geocodes=())
    named = replace(moved, polygons=())
    again = replace(named, description="Hatta")
    draft = draft_of(with_info(areas=(*areas, moved, named, named, again)))
    assert [list(place.names.values()) for place in draft.places] == [
        ["Al Ain city"],
        ["Al Ain city"],
        ["Al Ain city"],
        ["Hatta"],
    ]


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.ACTUAL])
def test_whatever_is_not_actual_is_a_drill(status: Status) -> None:
    assert draft_of(replace(FLOOD, status=status)).drill


def test_updates_and_cancels_name_what_they_are_about() -> None:
    update = draft_of(parse(fixture("oman-cyclone-update")))
    assert update.kind is MsgType.UPDATE
    assert [one.identifier for one in update.references] == ["OM-TC-07-03", "OM-TC-07-02"]
    cancel = draft_of(parse(fixture("oman-cyclone-cancel")))
    assert cancel.kind is MsgType.CANCEL
    assert cancel.references == (parse(fixture("oman-cyclone-update")).reference(),)
    assert cancel.name == "OM-TC-07-05"
    assert Remark.NO_TEXT in cancel.remarks


@pytest.mark.parametrize("kind", [MsgType.ACK, MsgType.ERROR])
def test_acknowledgements_are_no_drafts(kind: MsgType) -> None:
    with pytest.raises(CapError, match="nothing to send"):
        draft_of(replace(FLOOD, msg_type=kind))


@pytest.mark.parametrize(
    ("urgency", "severity", "certainty", "lane"),
    [
        (Urgency.IMMEDIATE, Severity.EXTREME, Certainty.OBSERVED, URGENT),
        (Urgency.EXPECTED, Severity.SEVERE, Certainty.LIKELY, URGENT),
        (Urgency.EXPECTED, Severity.SEVERE, Certainty.POSSIBLE, NORMAL),
        (Urgency.IMMEDIATE, Severity.MODERATE, Certainty.OBSERVED, NORMAL),
        (Urgency.FUTURE, Severity.EXTREME, Certainty.LIKELY, NORMAL),
        (Urgency.UNKNOWN, Severity.UNKNOWN, Certainty.UNKNOWN, NORMAL),
        (Urgency.FUTURE, Severity.MINOR, Certainty.LIKELY, BULK),
        (Urgency.PAST, Severity.UNKNOWN, Certainty.OBSERVED, BULK),
    ],
)
def test_lanes(urgency: Urgency, severity: Severity, certainty: Certainty, lane: int) -> None:
    alert = with_info(urgency=urgency, severity=severity, certainty=certainty)
    assert draft_of(alert).lane == lane
    # The most pressing block decides.
    assert draft_of(replace(alert, infos=(*alert.infos, FLOOD.infos[0]))).lane == URGENT


def test_lines_that_were_wrapped_are_one_sentence_and_others_stay() -> None:
    wrapped = "The wadi will flow over the road this\n  afternoon.\n\n\nLeave early."
    assert text(description=wrapped, headline="", instruction="") == (
        "The wadi will flow over the road this\nafternoon.\n\nLeave early."
    )
    longer = wrapped.replace("road this", "road from Hatta this")
    assert text(description=longer, headline="", instruction="").startswith(
        "The wadi will flow over the road from Hatta this afternoon.\n"
    )


def test_only_the_same_words_are_left_out() -> None:
    said = text(
        headline="Leave", description="Leaves fall. Stay inside!", instruction="stay inside"
    )
    assert said == "Leave\nLeaves fall. Stay inside!"


def test_a_text_written_for_phones_is_taken() -> None:
    pairs = (Pair("CMAMtext", "short"), Pair("CMAMlongtext", "Longer, for phones"))
    assert text(parameters=pairs) == "Longer, for phones"
    assert text(parameters=pairs[:1]) == "short"


def test_a_long_text_leaves_its_description_out_and_says_so() -> None:
    (brief,) = draft_of(with_info(description="x " * 900)).texts
    assert brief.remarks == (Remark.SHORTENED,)
    assert brief.text == (
        "Warning: wadis are flowing in Al Ain\nStay away from wadis. Do not cross flooded roads."
    )
    assert "x x" in brief.whole
    (still,) = draft_of(with_info(description="x " * 900, instruction="y " * 900)).texts
    assert still.remarks == (Remark.SHORTENED, Remark.LONG)
    assert "y y" in still.text


def test_blocks_of_one_language_are_read_one_after_the_other() -> None:
    more = replace(FLOOD.infos[1], language="en-ae", headline="", description="Schools are closed.")
    draft = draft_of(replace(FLOOD, infos=(FLOOD.infos[1], more)))
    assert [one.language for one in draft.texts] == ["en-AE"]
    assert draft.texts[0].text.count("Stay away") == 1
    assert "Schools are closed." in draft.texts[0].text


@pytest.mark.parametrize(
    ("alert", "remark"),
    [
        (with_info(expires_ms=None), Remark.NO_EXPIRY),
        (with_info(expires_ms=FLOOD.sent_ms), Remark.EXPIRED_WHEN_SENT),
        (
            replace(FLOOD, infos=(*FLOOD.infos, *with_info(expires_ms=0).infos)),
            Remark.EXPIRIES_DIFFER,
        ),
        (replace(FLOOD, scope=Scope.RESTRICTED, restriction="staff"), Remark.NOT_PUBLIC),
        (replace(FLOOD, status=Status.EXERCISE), Remark.EXERCISE_UNNAMED),
        (replace(FLOOD, signature=Signature.UNCHECKED), Remark.SIGNATURE_UNCHECKED),
    ],
)
def test_what_is_odd_is_remarked(alert: Alert, remark: Remark) -> None:
    assert remark in draft_of(alert).remarks


def test_arabic_under_an_english_tag_is_remarked() -> None:
    (doubtful,) = draft_of(replace(FLOOD, infos=(replace(FLOOD.infos[0], language="en-US"),))).texts
    assert Remark.LANGUAGE_DOUBTFUL in doubtful.remarks
    assert not draft_of(FLOOD).texts[0].remarks


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ALERTS, st.sampled_from([MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL]))
def test_any_alert_gives_a_draft(alert: Alert, kind: MsgType) -> None:
    alert = replace(alert, msg_type=kind)
    draft = draft_of(alert)
    assert draft.name
    for one in draft.texts:
        parts = split(one.text).part_count
        assert parts <= MAX_PARTS or Remark.LONG in one.remarks


def test_a_campaign_is_exported_in_each_of_its_languages() -> None:
    alert = parse(write(alert_of(FACTS)))
    assert (alert.status, alert.msg_type, alert.note) == (Status.ACTUAL, MsgType.ALERT, "")
    assert alert.reference() == reference_of("mawja@example.ae", "campaign-7", FACTS.sent_ms)
    arabic, english = alert.infos
    assert (arabic.language, arabic.event, arabic.areas[0].description) == ("ar", "سيول", "العين")
    assert arabic.headline == "السيول تجري في العين."
    assert english.headline == "Wadis are flowing in Al Ain."
    assert english.description == FACTS.texts["en"]
    assert english.expires_ms == 1_776_434_400_000
    assert english.sender_name == "NCEMA"


def draft_back(facts: CampaignFacts) -> Draft:
    return draft_of(parse(write(alert_of(facts))))


@pytest.mark.parametrize("drill", [False, True])
def test_an_exported_campaign_comes_back_as_it_was(drill: bool) -> None:
    draft = draft_back(replace(FACTS, drill=drill))
    assert draft.drill is drill
    assert {one.language: one.text for one in draft.texts} == FACTS.texts
    assert draft.places == FACTS.places
    assert (draft.agency, draft.lane) == ("NCEMA", URGENT)


def test_a_drill_is_an_exercise_and_looks_like_one() -> None:
    alert = alert_of(replace(FACTS, drill=True))
    assert alert.status is Status.EXERCISE
    assert alert.note == "DRILL: Flood 7"
    assert alert.infos[0].headline.startswith("تمرين DRILL: ")
    assert alert.infos[0].description.startswith("تمرين DRILL: ")
    assert alert.infos[1].description.startswith("DRILL: ")


@pytest.mark.parametrize("kind", [MsgType.UPDATE, MsgType.CANCEL])
def test_a_recall_refers_to_what_it_takes_back(kind: MsgType) -> None:
    recall = replace(FACTS, identifier="campaign-8", kind=kind)
    with pytest.raises(CapError, match="must name the alerts"):
        write(alert_of(recall))
    first = parse(write(alert_of(FACTS)))
    written = write(alert_of(replace(recall, references=(first.reference(),))))
    assert (
        "<references>mawja@example.ae,campaign-7,2026-04-17T01:30:00-00:00</references>"
        in written.decode()
    )
    assert draft_of(parse(written)).references == (first.reference(),)


def test_a_cancel_needs_no_text_and_the_others_do() -> None:
    silent = replace(FACTS, texts={}, identifier="c", references=(alert_of(FACTS).reference(),))
    assert parse(write(alert_of(replace(silent, kind=MsgType.CANCEL)))).infos == ()
    with pytest.raises(CapError, match="has a text"):
        alert_of(silent)
    with pytest.raises(CapError, match="must be Alert"):
        alert_of(replace(FACTS, kind=MsgType.ACK))


@given(st.text(st.sampled_from("ab ع.؟\n"), max_size=600))
def test_headlines_are_short_and_begin_the_text(said: str) -> None:
    info: Info = alert_of(replace(FACTS, texts={"ar": said})).infos[0]
    assert len(info.headline) <= 160
    assert "\n" not in info.headline
    assert said.strip().startswith(info.headline.removesuffix("…"))


def test_a_headline_may_be_given() -> None:
    alert = alert_of(replace(FACTS, headlines={"en": "Flood in Al Ain"}))
    assert [info.headline for info in alert.infos] == ["السيول تجري في العين.", "Flood in Al Ain"]


def test_names_in_languages() -> None:
    names = {"ar": "ع", "en-GB": "b", "en": "e"}
    assert [in_language(names, tag) for tag in ("en", "en-AE", "ar-AE", "ur")] == list("ebعع")
    assert in_language({}, "ar") == ""
    assert [tidy_tag(tag) for tag in ("AR-ae", "ZH-hant-tw", "X-Dialect")] == [
        "ar-AE",
        "zh-Hant-TW",
        "x-dialect",
    ]
