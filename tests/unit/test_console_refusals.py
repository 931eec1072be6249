"""What rooms refuse with is told in the language of the page."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services
from services.console import refusals, words

ARABIC = words.load()["ar"].gettext
ROOMS = Path(services.__path__[0])
ERRORS = {"NotFound", "NotInState", "Forbidden", "Refused", "Told"}
OF_MACHINES = ("caller is a load tester", "contact.source must be", "edit.language", "campaign")
"""What nobody at a page can be told."""


def said() -> Iterator[str]:
    """Every whole sentence that the rooms of cases, outreach and intake refuse a call with."""
    for path in (
        file for room in ("dedup", "outreach", "intake") for file in (ROOMS / room).rglob("*.py")
    ):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            given: list[ast.expr | None] = []
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                given = list(node.args) if name in ERRORS else []
            elif isinstance(node, ast.FunctionDef) and node.name in {"refusal", "unlike"}:
                given = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
            for one in given:
                if (
                    isinstance(one, ast.Constant)
                    and isinstance(one.value, str)
                    and " " in one.value
                ):
                    yield one.value


def test_what_the_rooms_say_is_known_in_arabic() -> None:
    found = {one for one in said() if not any(part in one for part in OF_MACHINES)}
    assert len(found) > 25
    unknown = {one for one in found if refusals.told(one, ARABIC) == one}
    assert not unknown


@pytest.mark.parametrize(
    ("sentence", "part"),
    [
        ("you have the callback of case MW-1: end it or give it back first", "MW-1"),
        ("you have a callback of drills (case MW-1): end it or give it back first", "MW-1"),
        ("the case was merged into MW-2: ask for that one", "MW-2"),
        ("it has more than 1,000 contacts: merge the smaller case into it", "1,000"),
        ("the case is with moh: only a service of that agency can be said", "moh"),
        ("this request said something else: text, lines differ", "text, lines"),
        ("its contacts are in MW-3: name those that become a case of their own", "MW-3"),
    ],
)
def test_names_and_numbers_stay_in_their_sentence(sentence: str, part: str) -> None:
    arabic = refusals.told(sentence, ARABIC)
    assert part in arabic
    assert arabic != sentence
    assert part in refusals.told(sentence, str)


def test_what_nobody_knows_is_told_as_it_came() -> None:
    assert refusals.told("the moon is full {x}", ARABIC) == "the moon is full {x}"
