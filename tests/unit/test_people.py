"""The crowd: its numbers can't be assigned, its shares are as told, its texts fit their needs."""

import random
import re
from collections import Counter, defaultdict

import pytest

from loadtests import shapes
from loadtests.people import Crowd, Habits, number, switchboards
from loadtests.shapes import Shape, ShapeError
from loadtests.steps import Submit
from loadtests.surge import Script, script
from loadtests.texts import phrasebook

SYNTHETIC = re.compile(r"\+999[45]\d{8}")


def _submits(made: Script) -> list[Submit]:
    return [s for s in made if isinstance(s, Submit)]


@pytest.fixture(scope="module")
def submits() -> list[Submit]:
    return _submits(script("covid-78k", calls=20_000, seed=11))


def test_numbers_are_unassignable_and_never_repeat() -> None:
    numbers = [number(7, i) for i in range(50_000)]
    assert len(set(numbers)) == 50_000
    assert all(SYNTHETIC.fullmatch(n) for n in numbers)
    assert all(n.startswith("+9995") for n in numbers)
    assert number(7, 1, landline=True).startswith("+9994")
    assert number(7, 1) != number(8, 1)
    with pytest.raises(ValueError, match="synthetic numbers"):
        number(1, 10**8)


def test_every_number_of_a_surge_is_synthetic_and_no_text_carries_one(
    submits: list[Submit],
) -> None:
    for s in submits:
        assert s.number is None or SYNTHETIC.fullmatch(s.number)
        assert s.handle is None or re.fullmatch(r"@p\d+\.s11|p\d+\.s11@drill\.invalid", s.handle)
        assert s.number is None or s.handle is None
        assert s.text is None or not re.search(r"[\d٠-٩]{7,}|\+", s.text)


def test_a_number_is_one_persons_unless_it_is_shared(submits: list[Submit]) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    families: dict[str, set[str | None]] = defaultdict(set)
    flagged: dict[str, set[bool]] = defaultdict(set)
    for s in submits:
        if s.number:
            owners[s.number].add(s.person)
            families[s.number].add(s.family)
            flagged[s.number].add(s.shared_number)
    boards = switchboards(11, 20_000)
    assert len(boards) == 5
    for n, people in owners.items():
        assert len(flagged[n]) == 1
        if n in boards:
            assert len(people) > 10
            assert flagged[n] == {True}
        elif len(people) > 1:
            assert flagged[n] == {True}
            assert len(families[n]) == 1
            assert None not in families[n]
            assert len(people) <= 4
    assert any(len(people) > 1 for n, people in owners.items() if n not in boards)


def test_shares_of_channels_languages_and_life_safety(submits: list[Submit]) -> None:
    n = len(submits)
    channels = Counter(s.channel for s in submits)
    assert set(channels) == {
        "voice", "sms", "whatsapp", "web", "social", "email", "sign_language_video",
    }  # fmt: skip
    fresh = [s for s in submits if s.reason != "redial"]
    assert sum(s.channel == "voice" for s in fresh) / len(fresh) == pytest.approx(0.7, abs=0.04)
    languages = Counter(s.speaks for s in submits)
    assert set(languages) == {"ar", "en", "hi", "ur", "bn", "ml", "tl"}
    assert languages["ar"] / n == pytest.approx(0.54, abs=0.03)
    assert languages["en"] == sorted(languages.values())[-2]
    assert 0.002 < sum(s.life_safety for s in submits) / n < 0.012
    withheld = sum(s.number is None and s.handle is None for s in submits)
    assert 0.01 < withheld / n < 0.04
    assert all(s.channel == "voice" for s in submits if s.number is None and s.handle is None)
    voice = [s for s in submits if s.channel == "voice"]
    assert sum(s.text is not None for s in voice) / len(voice) == pytest.approx(0.5, abs=0.02)
    written = ("sms", "whatsapp", "web", "social", "email")
    assert all(s.text for s in submits if s.channel in written)
    assert {s.kind for s in submits} == {"enquiry", "complaint", "request", "feedback"}
    assert any((s.number or "").startswith("+9994") for s in submits)
    assert not any(
        s.channel in ("sms", "whatsapp") for s in submits if (s.number or "").startswith("+9994")
    )


def test_about_three_contacts_a_person_in_one_or_two_needs(submits: list[Submit]) -> None:
    fresh = [s for s in submits if s.reason != "redial"]
    people = {s.person for s in fresh}
    assert 2.6 < len(fresh) / len(people) < 3.2
    needs = defaultdict(set)
    for s in submits:
        needs[s.person].add(s.need)
    assert {len(n) for n in needs.values()} == {1, 2}
    assert 0.1 < sum(len(n) == 2 for n in needs.values()) / len(needs) < 0.3


def test_two_needs_of_a_person_are_of_two_agencies(submits: list[Submit]) -> None:
    agencies: dict[str, dict[str, str | None]] = defaultdict(dict)
    for s in submits:
        agencies[s.person][s.need] = s.agency
    for of in agencies.values():
        assert len(set(of.values())) == len(of)


def test_families_share_a_need_and_only_they_do(submits: list[Submit]) -> None:
    people: dict[str, set[str]] = defaultdict(set)
    family: dict[str, set[str | None]] = defaultdict(set)
    for s in submits:
        people[s.need].add(s.person)
        family[s.need].add(s.family)
    shared = [n for n, who in people.items() if len(who) > 1]
    assert len(shared) > 50
    for n in shared:
        assert 2 <= len(people[n]) <= 4
        assert len(family[n]) == 1
        assert None not in family[n]


def test_texts_of_one_need_share_its_facts_and_vary_in_words(submits: list[Submit]) -> None:
    indic = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")
    texts: dict[str, list[str]] = defaultdict(list)
    for s in submits:
        if s.text and s.topic not in ("flight",):
            texts[s.need].append(s.text.translate(indic))
    refs: dict[str, set[str]] = {}
    for need, said in texts.items():
        found = {r for t in said for r in re.findall(r"\d{6}", t)}
        assert len(found) <= 1, said
        refs[need] = found
    several = [t for t in texts.values() if len(t) >= 3]
    assert sum(len(set(t)) > 1 for t in several) / len(several) > 0.9
    distinct = Counter(r for found in refs.values() for r in found)
    assert max(distinct.values()) <= 3


def test_every_language_says_every_topic_in_several_ways_with_no_gap() -> None:
    book = phrasebook()
    rng = random.Random(4)
    said: dict[str, str] = {}
    for code, language in book.languages.items():
        facts = book.facts(code, rng)
        assert book.place(code, facts) in book.languages["en"].values["place"]
        for style in language.styles:
            for topic in book.topics:
                texts = {
                    book.say(code, style, topic, facts, rng, repeat=r, long=w)
                    for r in (False, True)
                    for w in (False, True)
                    for _ in range(8)
                }
                assert len(texts) > 5
                for text in texts:
                    assert "{" not in text
                    assert len(text) < 400
                    assert said.setdefault(text, f"{code}/{topic}") == f"{code}/{topic}"
    assert set(book.languages["ar"].styles) == {"formal", "gulf"}


@pytest.mark.parametrize(
    ("code", "script_block"),
    [("ar", "[\u0600-\u06ff]"), ("ur", "[\u0600-\u06ff]"), ("hi", "[\u0900-\u097f]"),
     ("bn", "[\u0980-\u09ff]"), ("ml", "[\u0d00-\u0d7f]"), ("en", "[A-Za-z]"),
     ("tl", "[A-Za-z]")],
)  # fmt: skip
def test_languages_are_in_their_script(code: str, script_block: str) -> None:
    for style in phrasebook().languages[code].styles.values():
        for wordings in style.topics.values():
            for wording in wordings:
                letters = re.findall(r"[^\W\d_]", re.sub(r"\{\w+\}", "", wording))
                assert sum(bool(re.match(script_block, c)) for c in letters) > 0.9 * len(letters)


def test_topics_that_there_are_not_are_refused() -> None:
    flash = shapes.load("flash")

    def crowd(topics: dict[str, float]) -> Crowd:
        shape = Shape(flash.name, 10, 60.0, flash.profile, topics=topics)
        return Crowd(1, shape, phrasebook(), random.Random(1), Habits())

    with pytest.raises(ShapeError, match=r"no topic zebra; there are appointment"):
        crowd({"zebra": 1})
    with pytest.raises(ShapeError, match="not all 0"):
        crowd({"flight": 0})
    person, need, _, reason = crowd({"flight": 1}).contact(0.0)
    assert (need.topic.id, reason) == ("flight", "new")
    assert person.needs == [need]


def test_habits_can_be_changed() -> None:
    habits = Habits(withheld=0.0, switchboard=0.0, landline=0.0, head_of_family=0.0, voice_text=1.0)
    made = _submits(script("flash", calls=2_000, habits=habits))
    assert all(s.number or s.handle for s in made)
    assert not any(s.shared_number or s.family for s in made)
    assert all(s.text for s in made)


def test_a_shape_without_topics_asks_about_all_and_rarely_for_life() -> None:
    flash = shapes.load("flash")
    made = _submits(script(Shape("any", 8_000, 3_600.0, flash.profile)))
    assert {s.topic for s in made} == set(phrasebook().topics)
    assert 0.001 < sum(s.life_safety for s in made) / len(made) < 0.012
