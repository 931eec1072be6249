"""The catalogue of agencies and services, and what is said of a file that is wrong."""

from pathlib import Path

import pytest
import yaml

from loadtests.texts import phrasebook
from services.dedup import catalogue
from services.runtime.errors import ConfigError

GOOD = """
name: {ar: الدفاع المدني, en: Civil Defence}
services:
  fire:
    name: {ar: حريق, en: Fire}
    kind: request
    life_safety: true
    first_step: 1m
    resolve: 1h
    steps: {ar: [خذ المكان], en: [Take the place]}
    words: {ar: [حريق], en: [fire]}
"""


def test_the_shipped_catalogue_is_large_enough_for_a_government() -> None:
    read = catalogue.read()
    assert len(read.agencies) >= 35
    assert len(read.services) >= 70


def test_every_service_tells_its_procedure_and_limits_in_both_languages() -> None:
    for service in catalogue.read().services.values():
        assert set(service.name) == set(service.steps) == {"ar", "en"}
        assert 3 <= len(service.steps["ar"]) == len(service.steps["en"]) <= 7
        assert 0 < service.first_step_ms <= service.resolve_ms


def test_every_service_has_words_in_every_language() -> None:
    for service in catalogue.read().services.values():
        assert set(service.words) == {"ar", "ar-Latn", "en", "hi", "ur", "bn", "ml", "tl"}


def test_every_topic_of_a_replayed_surge_is_a_service_of_its_agency() -> None:
    read = catalogue.read()
    for topic in phrasebook().topics.values():
        assert read.agency_of(topic.id) == topic.agency


def test_an_unknown_service_has_no_agency() -> None:
    assert catalogue.read().agency_of("nonsense") == ""


def write(folder: Path, text: str, name: str = "civil-defence.yaml") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder


def test_a_file_of_another_government_is_read(tmp_path: Path) -> None:
    [agency] = catalogue.read(write(tmp_path, GOOD)).agencies.values()
    [fire] = agency.services
    assert (agency.code, fire.code, fire.agency) == ("civil-defence", "fire", "civil-defence")
    assert (fire.first_step_ms, fire.resolve_ms, fire.life_safety) == (60_000, 3_600_000, True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("kind: request -> kind: wish", "fire: kind must be one of enquiry, complaint"),
        ("first_step: 1m -> first_step: soon", "fire: first_step must be a time such as 90s"),
        ("first_step: 1m -> first_step: 2h", "first_step must not be longer than resolve"),
        ("name: {ar: حريق, en: Fire} -> name: {en: Fire}", "must be given in ar and en"),
        ("en: [Take the place] -> en: [Take the place, Send]", "as many in each language"),
        ("en: [fire] -> en: [no]", "words, en: each must be a text; quote no, yes"),
        ("en: [fire] -> en: []", "words, en: must be a list of one text or more"),
        ("life_safety: true -> life_safety: maybe", "life_safety must be true"),
        ("life_safety: true -> danger: true", "missing or not known: danger"),
        ("  fire: -> '  Fire!:'", "code must be 1 to 32 of a-z, 0-9 and -"),
        ("services: -> things:", "missing or not known: services, things"),
        ("name: -> name: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: str, told: str) -> None:
    old, _, new = change.partition(" -> ")
    assert old in GOOD
    text = GOOD.replace(old, new.strip("'"), 1)
    with pytest.raises(ConfigError, match=r"catalogue/civil-defence\.yaml") as error:
        catalogue.read(write(tmp_path, text))
    assert told in str(error.value)


def test_a_service_has_one_agency(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "fire-service.yaml")
    with pytest.raises(ConfigError, match=r"the service fire is in civil-defence\.yaml already"):
        catalogue.read(tmp_path)


def test_an_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.yaml file"):
        catalogue.read(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MAWJA_CATALOGUE"):
        catalogue.read(tmp_path / "none")


def test_the_files_hold_nothing_twice() -> None:
    """YAML takes the last of two equal keys without a word."""
    folder = Path(catalogue.__file__).parent / "catalogue"
    for path in folder.glob("*.yaml"):
        codes = [
            line.strip(" :\n")
            for line in path.read_text("utf-8").splitlines()
            if line.startswith("  ") and not line.startswith("   ") and line.rstrip().endswith(":")
        ]
        assert len(codes) == len(set(codes)) == len(yaml.safe_load(path.read_text())["services"])
