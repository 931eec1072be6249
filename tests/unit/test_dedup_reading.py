"""A text is read whatever it holds; what it says is told with how sure that is."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2

from services.dedup import data, learnt
from services.dedup.cases import Cases
from services.dedup.reading import Reader, Reading
from services.dedup.signs import CaseSigns, Signs, unpack, unpack_case
from tests.quality.measure_needs import accepted, reader
from tests.quality.scenes import Contact

RULES = data.rules()
TREES = learnt.trees()
READER: Reader = reader(RULES)
DANGER = [
    "ابوي طاح وما يتنفس الحقونا",
    "my father is not breathing, send an ambulance",
    "abooy ma yetnaffas el7agoona",
    "मेरे पिता सांस नहीं ले रहे, एम्बुलेंस भेजो",
    "ابا جی سانس نہیں لے رہے، ایمبولینس بھیجیں",
    "আমার বাবা শ্বাস নিতে পারছেন না, অ্যাম্বুলেন্স পাঠান",
    "അച്ഛൻ ശ്വസിക്കുന്നില്ല, ആംബുലൻസ് അയക്കൂ",
    "hindi humihinga ang tatay ko, magpadala kayo ng ambulansya",
]
CALM = [
    "متى يفتح مركز التطعيم يوم الجمعة",
    "what are the fees for renewing a passport",
    "الجو يذبح من الحر اليوم",
    "شكرا لكم على سرعة الرد",
]
ODD = [
    "",
    " \n\t ",
    "\x00\x01\x02",
    "\u202e\u202d\u2066\u2069\u200f\u200e",
    "\u200d\u200c\ufeff",
    "🙏🙏🙏😭",
    "؟؟؟!!!...",
    "....",
    "12",
    "a",
    "ا",
    "\ud800",
    "ـــــــ",
]


@pytest.mark.parametrize("text", DANGER)
def test_danger_is_heard_in_every_language(text: str) -> None:
    said = READER.read(text).triage
    assert said is not None
    assert said.life_safety
    assert said.life_safety_confidence >= RULES.life_enough


@pytest.mark.parametrize("text", CALM)
def test_what_only_sounds_like_danger_is_none(text: str) -> None:
    said = READER.read(text).triage
    assert said is not None
    assert not said.life_safety
    assert said.life_safety_reason == ""


def test_a_reason_is_in_words_of_ours() -> None:
    said = READER.read("my father is not breathing").triage
    assert said is not None
    assert said.life_safety_reason == "cannot breathe"


def test_a_service_is_told_with_its_agency_and_how_sure() -> None:
    said = READER.read("الكهرباء مقطوعة عن بيتنا من الصبح متى ترجع").triage
    assert said is not None
    assert said.topic == "power-cut"
    assert said.agency
    assert said.topic_confidence >= RULES.topic_enough
    assert not said.unsure
    assert said.language == "ar"


def test_who_can_not_be_understood_goes_to_a_person() -> None:
    said = READER.read("زقلبطون برطميس").triage
    assert said is not None
    assert said.unsure
    assert said.topic_confidence < RULES.topic_enough


@pytest.mark.parametrize("text", ODD)
def test_what_says_nothing_joins_nothing(text: str) -> None:
    reading = READER.read(text)
    assert not reading.signs.services or reading.signs.words <= 1
    if reading.triage is not None:
        assert not reading.triage.life_safety


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("language", ["", "ar", "xx-Bogus", "en-\x00"])
def test_odd_texts_of_many_people_are_not_one_case(text: str, language: str) -> None:
    cases = Cases(RULES, trees=TREES)
    ids = {
        decided(cases, offset, text, person=f"p{offset}", language=language).case.case_id
        for offset in range(5)
    }
    assert len(ids) == 5


def test_a_megabyte_is_read_like_its_beginning() -> None:
    beginning = "الكهرباء مقطوعة في الحي " * 400
    long = READER.read(beginning + "x" * 1_000_000)
    assert len(long.shape) <= 64
    assert long.triage is not None
    assert long.triage.topic == "power-cut"


def test_marks_that_cannot_be_seen_change_nothing() -> None:
    plain = READER.read("انقطع الماء عن شارعنا")
    marked = READER.read("\u202bانقطع\u200d الم\u200cاء\u202c عن\u200f شارعنا\u2069")
    assert marked.shape == plain.shape
    assert marked.signs == plain.signs


@settings(max_examples=150)
@given(st.text(max_size=300), st.text(max_size=12))
def test_any_text_is_read(text: str, language: str) -> None:
    reading = READER.read(text, language)
    assert unpack(reading.signs.pack()) == (reading.signs if reading.signs.services else Signs())
    again = Reading(**{name: getattr(reading, name) for name in Reading.__slots__})
    assert again == reading


@given(st.lists(st.sampled_from([*DANGER, *CALM]), max_size=12))
def test_the_signs_of_a_case_are_kept_as_they_are(texts: list[str]) -> None:
    signs = CaseSigns()
    for text in texts:
        signs = signs.joined(READER.read(text).signs)
        assert unpack_case(signs.pack()) == signs
    assert signs.texts == len(texts)


def decided(cases: Cases, offset: int, text: str, **given: Any) -> Any:
    language = given.pop("language", "")
    one = Contact(
        "s", f"c{offset}", given["person"], "n", "-", "-", "en", offset, False, "request", text
    )
    at = common_pb2.Input(topic="t", offset=offset)
    contact = accepted(one)
    contact.language = language
    return cases.contact(contact, READER.read(text, language), at, contact.event_ms)


def test_who_says_that_nobody_came_goes_on_about_it() -> None:
    cases = Cases(RULES, trees=TREES)
    texts = [
        "الكهرباء مقطوعة عندنا في الجهراء قطعة 3 من الفجر",
        "للحين ما رجعت الكهرباء وما حد جانا",
        "kahraba lel7een ma rj3at fel jahra gte3a 3",
    ]
    made = [decided(cases, place, text, person="p") for place, text in enumerate(texts)]
    assert len({one.case.case_id for one in made}) == 1
    assert "goes on about it" in made[1].link.reason
    assert made[1].link.score >= RULES.need_same


def test_another_need_of_the_same_person_is_another_case() -> None:
    cases = Cases(RULES, trees=TREES)
    texts = ["الكهرباء مقطوعة عندنا في الجهراء قطعة 3 من الفجر", "كم رسوم تجديد جواز السفر"]
    first, second = (decided(cases, place, text, person="p") for place, text in enumerate(texts))
    assert first.case.case_id != second.case.case_id
    assert "another need" in second.link.reason


def test_danger_that_a_text_tells_marks_the_case_for_good() -> None:
    cases = Cases(RULES, trees=TREES)
    first = decided(cases, 0, DANGER[0], person="p")
    assert first.case.life_safety
    later = decided(cases, 1, "وينكم؟؟ وصلتوا ولا لا", person="p")
    assert later.case.case_id == first.case.case_id
    assert later.case.life_safety
