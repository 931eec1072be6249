"""The authored crisis set: as large as it says, whole, and its test split as it was frozen."""

import hashlib
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from services.dedup import catalogue
from tests.quality import scenes as authored
from tests.quality.scenes import FOLDER, STYLES, Contact, Scene, Truth

SPLITS = ("dev", "test", "learn")


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[Scene, ...]]:
    return {split: authored.read(split) for split in SPLITS}


def contacts(scenes: tuple[Scene, ...]) -> list[Contact]:
    return [contact for scene in scenes for contact in scene.contacts]


def test_the_test_split_is_as_it_was_frozen() -> None:
    """Whoever has to change it says so by changing the hash as well."""
    digest = hashlib.sha256()
    for path in sorted((FOLDER / "test").glob("*.tsv")):
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes())
    assert digest.hexdigest() == (FOLDER / "test.sha256").read_text().strip()


def test_it_is_as_large_as_it_says(splits: dict[str, tuple[Scene, ...]]) -> None:
    both = splits["dev"] + splits["test"]
    truths = Counter(pair.truth for pair in authored.pairs(both))
    assert truths.total() >= 3_000
    assert truths[Truth.SAME_NEED] >= 1_000
    assert sum(len(group) >= 2 for group in authored.incidents(both).values()) >= 300


@pytest.mark.parametrize("split", SPLITS)
def test_the_readme_counts_rightly(splits: dict[str, tuple[Scene, ...]], split: str) -> None:
    scenes = splits[split]
    truths = Counter(pair.truth for pair in authored.pairs(scenes))
    groups = authored.incidents(scenes).values()
    several = sum(len(group) >= 2 for group in groups)
    counted = [
        f"{len(scenes):,}",
        f"{len(contacts(scenes)):,}",
        f"{truths.total():,}",
        *(f"{truths[truth]:,}" for truth in Truth),
        f"{len(groups):,} ({several:,})",
    ]
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (FOLDER.parent / "README.md").read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    column = table[0].index(split)
    assert [row[column] for row in table[2:]] == counted


@pytest.mark.parametrize(
    ("split", "least", "most"), [("dev", 0.07, 0.12), ("test", 0.07, 0.12), ("learn", 0.15, 0.25)]
)
def test_every_style_is_there_and_danger_is_as_rare_as_it_says(
    splits: dict[str, tuple[Scene, ...]], split: str, least: float, most: float
) -> None:
    every = contacts(splits[split])
    assert {contact.style for contact in every} == set(STYLES)
    assert least <= sum(contact.life for contact in every) / len(every) <= most


def test_no_text_is_there_twice_in_one_split_or_in_two(
    splits: dict[str, tuple[Scene, ...]],
) -> None:
    texts = {split: [one.text for one in contacts(splits[split])] for split in SPLITS}
    texts["train"] = [example.text for example in authored.examples()]
    assert len(texts["train"]) >= 2_500
    for split in ("dev", "learn", "train"):
        assert len(set(texts[split])) == len(texts[split]), split
    for one, other in combinations(texts, 2):
        assert set(texts[one]).isdisjoint(texts[other]), (one, other)


def test_needs_are_services_of_the_catalogue(splits: dict[str, tuple[Scene, ...]]) -> None:
    known = catalogue.read().services
    for scene in (scene for split in SPLITS for scene in splits[split]):
        for services in scene.services.values():
            assert services <= set(known), scene.id


def test_there_are_texts_to_learn_every_service_from() -> None:
    known = catalogue.read().services
    taught = Counter(example.service for example in authored.examples())
    assert set(taught) - {"-"} == set(known)
    assert min(taught[service] for service in known) >= 14
    assert sum(example.life for example in authored.examples()) >= 500


def test_nobodys_number_is_in_it(splits: dict[str, tuple[Scene, ...]]) -> None:
    for contact in (one for split in SPLITS for one in contacts(splits[split])):
        longest = max(
            (len(run) for run in "".join(c if c.isdigit() else " " for c in contact.text).split()),
            default=0,
        )
        assert longest < 9, contact.id


SCENE = "scene\tdomain\ttitle\ttrap\ns1\tfloods\tA street floods\t-\n"
CONTACT = (
    "scene\tcontact\tperson\tneed\tincident\tquestion\tstyle\tminutes\tlife\tkind\ttext\n"
    "s1\tc1\tp1\tn1\ti1\t-\tgulf\t0\t0\trequest\tالشارع غرقان\n"
)
NEED = "scene\tneed\tservice\talso\ns1\tn1\tflood-street\t-\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("scenes", "floods", "fire", "scenes-x.tsv, line 2: domain must be one of health"),
        ("contacts", "gulf", "klingon", "contacts-x.tsv, line 2: style must be one of formal"),
        ("contacts", "request", "wish", "line 2: kind must be one of enquiry"),
        ("contacts", "الشارع غرقان", " ", "line 2: text must not be empty"),
        ("contacts", "\tالشارع", " الشارع", "line 2: columns are missing or odd"),
        ("contacts", "s1\tc1", "s2\tc1", "line 2: the scene has no contacts"),
        ("needs", "n1", "n2", "line 2: each need of the scene must stand once"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, told: str
) -> None:
    (tmp_path / "own").mkdir()
    for name, text in (("scenes", SCENE), ("contacts", CONTACT), ("needs", NEED)):
        changed = text.replace(old, new) if name == file else text
        (tmp_path / "own" / f"{name}-x.tsv").write_text(changed, "utf-8")
    monkeypatch.setattr(authored, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"x\.tsv") as error:
        authored.read("own")
    assert told in str(error.value)
