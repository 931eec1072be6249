"""The data files of incidents are read strictly, and say what is wrong."""

from importlib.resources import files

import pytest
import yaml

from services.dedup import levels
from services.dedup.incidents import data as incident_data
from services.dedup.incidents import ordinary
from services.dedup.incidents.levels import OTHER_PERSON
from services.dedup.words import tokens
from services.runtime.errors import ConfigError
from tests.incidents_desk import EAR, GAZETTEER
from tests.quality.scenes import plain_hash

SHIPPED = (files("services.dedup") / "levels.yaml").read_text("utf-8")


def changed(**given: object) -> str:
    return yaml.safe_dump(yaml.safe_load(SHIPPED) | given)


def test_what_is_shipped_can_be_read() -> None:
    read = levels.read()
    assert read.stay_at <= read.join_at
    assert read.field_of("municipality") == ""


def test_an_agency_may_have_a_threshold_and_a_field_of_its_own() -> None:
    given = yaml.safe_load(SHIPPED)
    given["levels"]["other_person"]["agencies"] = {"ambulance": 0.9}
    given["fields"] = {"travel": ["civil-aviation", "tourism"]}
    read = levels.read(yaml.safe_dump(given))
    assert read.levels[OTHER_PERSON].threshold("ambulance") == 0.9
    assert read.levels[OTHER_PERSON].threshold("police") == read.levels[OTHER_PERSON].link_at
    assert read.field_of("tourism") == read.field_of("civil-aviation") == "travel"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1", "names and values"),
        (changed(windows="1h"), "windows"),
        (changed(window="soon"), "window must be a time"),
        (changed(join_at=2), "join_at must be a score"),
        (changed(stay_at=0.9), "stay_at must not be above"),
        (changed(refine_at="often"), "refine_at must be a score"),
        (changed(keep="1h"), "keep must not be shorter"),
        (changed(most_cases=0), "most_cases must be a count"),
        (changed(fields={"a": ["x"], "b": ["x"]}), "x stands in two"),
        (SHIPPED.replace("always: ", "alway: ", 1), "alway"),
        (SHIPPED.replace("agencies: {}", "agencies: {police: high}", 1), "police must be a score"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        levels.read(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("انقطعت الكهرباء بالجهراء قطعة 3", ["Jahra"]),
        ("kahraba magtoo3a fel jahra", ["Jahra"]),
        ("जहरा में बिजली नहीं", ["Jahra"]),
        ("مركز الجيمي الصحي في العين", ["Al Jimi", "Al Ain"]),
        ("عين الماء جفت", []),
        ("رأس الخيمة ووادي البيح", ["Ras Al Khaimah", "Wadi Bih"]),
        ("flight from Khor Fakkan to Muscat", ["Khor Fakkan", "Muscat"]),
        ("", []),
    ],
)
def test_places_are_found_as_people_write_them(text: str, found: list[str]) -> None:
    assert [GAZETTEER.places[number].name for number in GAZETTEER.find(text)] == found
    assert list(EAR.hear(tokens(text)).places) == found


def test_a_place_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="there twice: Deira"):
        incident_data.places("A:\n  Dubai=دبي: [Deira=ديرة]\n  Sharjah=الشارقة: [Deira=الديرة]\n")
    with pytest.raises(ConfigError, match="what lies in it"):
        incident_data.places("- Dubai")


def test_a_rare_word_says_more_and_an_event_is_learnt_once() -> None:
    usual = incident_data.ordinary(plain_hash, "100\nwater\t50\nrare\t3\n")
    water, rare, unheard = (ordinary.hash_of(plain_hash, w) for w in ("water", "rare", "unheard"))
    assert usual.rarity(water) < usual.rarity(rare) < usual.rarity(unheard) == 1
    for _ in range(40):
        usual.learn({unheard})
    assert usual.rarity(unheard) < usual.rarity(rare)
    assert usual.fresh().rarity(unheard) == 1
    for text in ("", "water", "10\nwater", "10\nwater\tmany"):
        with pytest.raises(ConfigError):
            incident_data.ordinary(plain_hash, text)
