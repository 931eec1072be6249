"""The languages as data, how well they are told apart, and what is said of a file that is wrong."""

from collections import Counter
from pathlib import Path

import pytest

from services.dedup import languages
from services.dedup.identify import Identifier
from services.dedup.language import stop_stems
from services.dedup.stems import stem
from services.dedup.words import tokens
from services.runtime.errors import ConfigError
from tests.quality import scenes as authored

SHIPPED = languages.read()
GOOD = """
name: {en: Tagalog, own: Tagalog}
script: latin
shows: [ang, ng]
stop: [po, naman]
not: [hindi]
alike: [["=water", tubig, baha]]
life_safety: [{phrase: [[hindi, di], makahinga], why: cannot breathe}]
not_life_safety: [{phrase: [patay, gutom], why: dying of hunger}]
"""


def test_the_languages_of_the_gulf_are_shipped() -> None:
    assert {one.code for one in SHIPPED} == {"ar", "ar-Latn", "en", "hi", "ur", "bn", "tl", "ml"}


def test_a_word_that_says_nothing_is_no_word_that_says_something() -> None:
    for one in SHIPPED:
        assert not one.stop & one.negations, one.code
        assert not {(word,) for word in one.stop} & set(one.alike), one.code


def test_what_languages_of_one_script_show_they_do_not_share() -> None:
    for one in SHIPPED:
        for other in SHIPPED:
            if one.script == other.script and one is not other:
                assert not one.shows & other.shows, (one.code, other.code)


def test_meanings_have_one_name_in_all_languages() -> None:
    arabic = next(one for one in SHIPPED if one.code == "ar")
    for one in SHIPPED:
        assert set(one.alike.values()) <= set(arabic.alike.values()), one.code


def test_stop_words_are_in_one_spelling() -> None:
    stop = stop_stems(SHIPPED)
    assert {"الي", "علي", "في", "the", "है"} <= stop
    assert not {stem(word) for word in ("فحص", "covid", "flight")} & stop


@pytest.mark.parametrize("split", ["dev", "test"])
def test_people_in_a_crisis_are_answered_in_their_language(split: str) -> None:
    """Of all contacts of the authored set; a mixed text counts as Arabic."""
    identifier = Identifier(SHIPPED)
    contacts = [contact for scene in authored.read(split) for contact in scene.contacts]
    told = Counter(
        (identifier.identify(one.text, tokens(one.text)).code or "unknown", one.language)
        for one in contacts
    )
    right = sum(count for (code, language), count in told.items() if code == language)
    unknown = sum(count for (code, _), count in told.items() if code == "unknown")
    assert right / len(contacts) >= 0.98
    assert (len(contacts) - right - unknown) / len(contacts) <= 0.01


def write(folder: Path, text: str) -> Path:
    (folder / "tl.yaml").write_text(text, "utf-8")
    return folder


def test_a_language_is_added_by_a_file(tmp_path: Path) -> None:
    [one] = languages.read(write(tmp_path, GOOD))
    assert (one.code, one.script, one.name["own"]) == ("tl", "latin", "Tagalog")
    assert one.alike == {("tubig",): "=water", ("baha",): "=water"}
    [danger] = one.danger
    assert danger.places == (frozenset({("hindi",), ("di",)}), frozenset({("makahinga",)}))
    assert Identifier([one]).identify("tulong po", ["tulong", "po"]).code == "tl"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("script: latin", "script: greek", "script must be one of arabic, latin"),
        ("en: Tagalog, own: Tagalog", "en: Tagalog", "name must be given as en and own"),
        ("shows: [ang, ng]", "shows: ang", "shows: must be a list"),
        ("stop: [po, naman]", "stop: [no]", "stop: each must be a text; quote no, yes"),
        ('"=water", ', "", "alike, list 1: must begin with its name, such as =house"),
        ("phrase: [[hindi, di], makahinga], ", "", "life_safety, number 1: needs phrase and why"),
        ("[patay, gutom]", "['…']", "not_life_safety, number 1: phrase has nothing"),
        ("not: [hindi]", "never: [hindi]", "missing or not known: never, not"),
        ("name:", "name: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=r"languages/tl\.yaml") as error:
        languages.read(write(tmp_path, GOOD.replace(old, new, 1)))
    assert told in str(error.value)


def test_an_empty_folder_is_no_language(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.yaml file"):
        languages.read(tmp_path)
