"""What a question asks and about what; and the data files behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup.meaning import kept
from services.dedup.meaning.reading import LONGEST, cleaned, read, stemmed
from services.runtime.errors import ConfigError

ASKING = kept.asking()
PARTS = """
frame: [ما, هي]
asks: {benefit: [فوائد]}
doing: []
sort: [مدينة]
apart: [[شمال, جنوب]]
not: [لا]
"""


@pytest.mark.parametrize(
    ("text", "asks", "topic"),
    [
        ("ما هي فوائد الزنجبيل؟", {"benefit"}, ["الزنجبيل"]),
        ("ما المقصود بالزكاة؟", {"what"}, ["بالزكاه"]),
        ("ما هو العمل؟", {"what"}, ["العمل"]),
        ("ماذا نعني بالعمل؟", {"what"}, ["بالعمل"]),
        ("من طرق تحضير الكنافة", {"prepare"}, ["الكنافه"]),
        ("كيف أحضر الكنافة بالجبن؟", {"prepare"}, ["الكنافه", "بالجبن"]),
        ("كيف أجدد جواز السفر؟", {"renew"}, ["جواز", "السفر"]),
        ("في أي عام تأسست بغداد؟", {"when", "founded"}, ["بغداد"]),
        ("كم يبلغ عدد سكان قطر؟", {"people"}, ["قطر"]),
        ("لم سميت بغداد بهذا الاسم؟", {"called", "cause"}, ["بغداد"]),
        ("What are the benefits of ginger?", {"benefit"}, ["ginger"]),
        ("كيف؟", {"how"}, ["كيف"]),
    ],
)
def test_what_is_asked_and_about_what(text: str, asks: set[str], topic: list[str]) -> None:
    reading = read(text, ASKING)
    assert (set(reading.asks), list(reading.topic.values())) == (asks, topic)


def test_a_word_with_the_article_asks_only_at_the_beginning() -> None:
    assert read("ما الفوائد الصحية للتمر؟", ASKING).asks == {"benefit"}
    assert read("كيف أحسب الفوائد البنكية على القرض مع الفوائد؟", ASKING).asks >= {"compute"}
    assert "الفوايد" in read("ما معنى حساب بعض تلك الفوائد؟", ASKING).topic.values()


def test_numbers_negations_and_sides_are_kept() -> None:
    reading = read("لماذا لا ترجع كهرباء شمال المدينة في شارع 14؟", ASKING)
    assert reading.names == {"14"}
    assert reading.negated
    assert frozenset({"شمال"}) in reading.apart.values()
    assert not read("لم سميت بهذا الاسم؟", ASKING).negated


def test_what_one_topic_has_beyond_the_other() -> None:
    plain, more = read("طريقة عمل الكنافة", ASKING), read("طريقة عمل الكنافة بالجبن", ASKING)
    assert (plain.beyond(more), more.beyond(plain)) == ("", "بالجبن")
    city, bare_name = read("أين تقع مدينة صور؟", ASKING), read("أين تقع صور؟", ASKING)
    assert city.beyond(bare_name) == ""


@pytest.mark.parametrize(
    ("word", "stem"),
    [("والمدارس", "مدارس"), ("بالجبن", "جبن"), ("كتابها", "كتاب"), ("ال", "ال"), ("بيت", "بيت")],
)
def test_stems(word: str, stem: str) -> None:
    assert stemmed(word) == stem


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    reading = read(text, ASKING)
    assert bool(reading.topic) == bool(reading.words)
    assert len(reading.text) <= 20 * LONGEST
    assert "\0" not in cleaned(text)


@pytest.mark.parametrize("text", ["", " \t", "؟!…", "\0\0", "\u202e\u200d", "🙂"])
def test_nothing_to_read_has_no_topic(text: str) -> None:
    assert not read(text, ASKING).topic
    assert not cleaned(text)


def test_a_megabyte_is_read_to_its_limit() -> None:
    assert len(read("ماء " * 262_144, ASKING).words) <= LONGEST


def test_the_words_are_in_one_spelling() -> None:
    asking = kept.asking(PARTS)
    assert asking.asks == {"فوايد": frozenset({"benefit"})}
    assert asking.apart == {"شمال": ((0, "شمال"),), "جنوب": ((0, "جنوب"),)}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("frame: [ما, هي]\n", "", "needs apart, asks, doing, frame, not, sort"),
        ("asks: {benefit: [فوائد]}", "asks: [x]", "a name and its words"),
        ("doing: []", "doing: [fly]", "not among asks: fly"),
        ("[فوائد]", "[on]", "each must be a text"),
        ("[[شمال, جنوب]]", "x", "must be a list"),
    ],
)
def test_a_wrong_file_is_refused_in_words(old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        kept.asking(PARTS.replace(old, new))


@pytest.mark.parametrize(
    "text", ["same: 0.5", "same: 2\nsure: 0.6\nconflict: 0.2", "same: x\nsure: 1\nconflict: 0"]
)
def test_wrong_limits_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"limits\.yaml"):
        kept.levels(text)


def test_the_shipped_limits_are_in_order() -> None:
    levels = kept.levels()
    assert levels.conflict < levels.same < levels.sure
