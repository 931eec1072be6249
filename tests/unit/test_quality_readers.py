"""The second reading of the authored set: whole, without texts, and held against the labels."""

from dataclasses import replace
from pathlib import Path

import pytest
from mawja.dedup.v1 import events_pb2

from tests.quality import scenes as authored
from tests.quality.figures import Judged
from tests.quality.measure_levels import INCIDENT, OF_TWO, OTHER, QUESTION, SAME_NEED, Played
from tests.quality.readers import compared, read_levels
from tests.quality.scenes import FOLDER, Contact, Scene

HEAD = "scene\tcontact\tneed\tincident\tquestion\tlife\n"


def contact(name: str, person: str, said: str, life: bool = False, scene: str = "s1") -> Contact:
    """`said`: need, incident and question."""
    need, incident, question = said.split()
    return Contact(
        scene, name, person, need, incident, question, "gulf", 0, life, "request", f"{scene} {name}"
    )


def scene_of(*contacts: Contact) -> Scene:
    needs = {one.need: frozenset({"fire"}) for one in contacts}
    return Scene(contacts[0].scene, "floods", "A street floods", "-", contacts, needs)


LABELLED = scene_of(
    contact("c1", "p1", "n1 i1 -", life=True),
    contact("c2", "p1", "n1 i1 q1"),
    contact("c3", "p2", "n1 i1 q1"),
    contact("c4", "p2", "n2 - -"),
)
OTHER_SCENE = scene_of(contact("c1", "p1", "n1 i1 -", scene="s2"))
# The reader parts c2 from c1, puts c4 to c3, sees danger in c2 too and no question anywhere.
LINES = ("c1\tn1\ti1\t-\t1", "c2\tn2\ti1\t-\t1", "c3\tn1\ti1\t-\t0", "c4\tn1\ti1\t-\t0")


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(authored, "FOLDER", tmp_path)
    (tmp_path / "readers").mkdir()
    path = tmp_path / "readers" / "own.tsv"
    path.write_text(HEAD + "".join(f"s1\t{line}\n" for line in LINES), "utf-8")
    return path


@pytest.mark.parametrize(("split", "scenes"), [("dev", 40), ("test", 76)])
def test_whole_scenes_were_read_again_and_no_text_is_there(split: str, scenes: int) -> None:
    again = authored.read_again(split, authored.read(split))
    assert len(again) == scenes
    head = (FOLDER / "readers" / f"{split}.tsv").read_text("ascii").splitlines()[0]
    assert head + "\n" == HEAD


def test_the_readers_labels_take_the_place_of_the_authors(readers: Path) -> None:
    [again] = authored.read_again("own", [LABELLED, OTHER_SCENE])
    said = [(one.need, one.incident, one.question, one.life) for one in again.contacts]
    assert said == [
        ("n1", "i1", "-", True),
        ("n2", "i1", "-", True),
        ("n1", "i1", "-", False),
        ("n1", "i1", "-", False),
    ]
    assert [(one.person, one.text) for one in again.contacts] == [
        (one.person, one.text) for one in LABELLED.contacts
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("s1\tc4\tn1\ti1\t-\t0\n", "", "must label every contact of its scenes"),
        ("s1\tc4", "s1\tc5", "must label every contact of its scenes"),
        ("s1\tc4", "s9\tc4", "must label every contact of its scenes"),
        ("s1\tc4", "s1\tc3", "line 5: the contact stands there twice"),
        ("c1\tn1\ti1\t-\t1", "c1\tn1\ti1\t-\tyes", "line 2: life must be one of 0, 1"),
        ("c1\tn1\ti1", "c1\tn1 i1", "line 2: columns are missing or odd"),
    ],
)
def test_what_is_wrong_is_named(readers: Path, old: str, new: str, told: str) -> None:
    text = readers.read_text("utf-8")
    assert old in text
    readers.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(ValueError, match=r"own\.tsv") as error:
        authored.read_again("own", [LABELLED, OTHER_SCENE])
    assert told in str(error.value)


def test_every_pair_is_judged_as_the_reader_has_it(readers: Path) -> None:
    again = authored.read_again("own", [LABELLED])
    found = {
        level: [(one.true, one.found) for one in judged]
        for level, judged in read_levels([LABELLED], again).items()
    }
    # One person: c1 c2, c3 c4. Two: c1 c3, c1 c4, c2 c3, c2 c4.
    assert found[SAME_NEED] == [(True, False), (False, True)]
    assert found[OTHER] == [(True, True), (False, True), (True, False), (False, False)]
    assert found[OF_TWO] == [(True, True), (False, True), (True, True), (False, True)]
    assert len(found[INCIDENT]) == 6
    assert found[INCIDENT].count((True, True)) == 3
    assert found[QUESTION] == [(False, False), (False, False), (True, False), (False, False)]


def test_mawjas_figures_are_of_the_same_scenes(readers: Path) -> None:
    again = authored.read_again("own", [LABELLED, OTHER_SCENE])
    judged = [Judged("s1", "ar", True, True), Judged("s2", "ar", True, False)]
    decisions = {}
    for number, one in enumerate((*LABELLED.contacts, *OTHER_SCENE.contacts)):
        decision = events_pb2.CaseDecision()
        decision.triage.life_safety = number == 1
        decision.case.life_safety = number < 2
        decisions[one.scene, one.id] = decision
    levels = dict.fromkeys((SAME_NEED, OTHER, INCIDENT, OF_TWO, QUESTION), judged)
    found = compared(
        [LABELLED, OTHER_SCENE], again, Played({}, decisions, levels, [], incidents=0, strangers=0)
    )
    assert (found.scenes, found.contacts) == (1, 4)
    assert found.levels[SAME_NEED].ours.recall.value == 1
    assert found.levels[SAME_NEED].ours.of == 1
    assert found.levels[SAME_NEED].reader.recall.value == 0
    dangers = [(one.recall.value, one.flagged.value) for one in found.life.values()]
    assert dangers == [(1.0, 0.5), (0.0, 0.25), (1.0, 0.5)]


def test_scenes_that_are_not_the_same_are_not_compared() -> None:
    fewer = replace(LABELLED, contacts=LABELLED.contacts[:3])
    with pytest.raises(ValueError, match="zip"):
        read_levels([LABELLED], [fewer])
