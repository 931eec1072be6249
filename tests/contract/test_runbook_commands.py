"""The commands of the runbooks are commands that exist, with the options that they have."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from services.tools.__main__ import app
from tests.runbooks import shift
from tests.runbooks.pages import FOLDER, steps

COMMAND = typer.main.get_command(app)
LEADING = (
    "activate-a-surge",
    "run-a-campaign",
    "recall-a-message",
    "hand-over-a-shift",
    "drill",
    "after-action",
)


def lines(path: Path) -> list[str]:
    blocks = steps(path.read_text("utf-8"))
    return [m for block in blocks for m in re.findall(r"\bmawja [^\n]*", block)]


def refusal(line: str) -> str:
    """Why there is no such command, or ""."""
    words = shlex.split(line.split(")")[0].split(">")[0])[1:]
    command: Any = COMMAND
    while words and hasattr(command, "get_command"):
        found = command.get_command(None, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    if hasattr(command, "get_command") and not getattr(command, "invoke_without_command", False):
        return f"{line}: no such command"
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    unknown = {word for word in words if word.startswith("--")} - known
    return f"{line}: no such option {sorted(unknown)}" if unknown else ""


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: str(path.stem))
def test_every_command_of_a_page_exists(path: Path) -> None:
    assert not [said for line in lines(path) if (said := refusal(line))]


@pytest.mark.parametrize("line", ["mawja nothing", "mawja campaign nothing", "mawja ledger --no"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert refusal(line)


@pytest.mark.parametrize("name", LEADING)
def test_a_page_for_who_leads_is_in_both_languages(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text("utf-8")
    arabic, english = text.split("</div>")
    for heading in (
        "ما يشعر به الناس",
        "كيف تراه",
        "ما تفعله الآن",
        "كيف تعرف",
        "التراجع",
        "من توقظ",
    ):
        assert f"**{heading}" in arabic
    for heading in ("What people feel", "See it", "Do now", "It worked when", "Undo", "Wake"):
        assert f"**{heading}" in english
    assert lines(FOLDER / f"{name}.md")


def in_prose(text: str) -> set[tuple[str, ...]]:
    """The commands that prose names, as words without `mawja`: `campaign new`, `drill play`."""
    prose = re.sub(r"```sh\n.*?```", "", text, flags=re.S)
    groups = set(getattr(COMMAND, "commands", {}))
    spoken = (tuple(code.split()) for code in re.findall(r"`([^`]+)`", prose))
    named = (words[1:] if words[0] == "mawja" else words for words in spoken)
    return {words for words in named if words[0] in groups}


@pytest.mark.parametrize("name", LEADING)
def test_both_languages_name_the_same_commands_and_all_are_typed(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text("utf-8")
    arabic, english = map(in_prose, text.split("</div>"))
    assert arabic == english
    typed = [set(line.split()) for line in lines(FOLDER / f"{name}.md")]
    assert not [words for words in english if not any(set(words) <= one for one in typed)]


def test_a_shift_has_every_page_for_who_leads() -> None:
    assert {f"{name}.md" for name in LEADING} == set(shift.PAGES)


def test_what_a_page_names_an_earlier_command_has_printed() -> None:
    known: set[str] = set()
    for page in shift.PAGES:
        for line in shift.commands(page):
            shift.filled(line, dict.fromkeys(known, "x"))
            for command, names in shift.PRINTS.items():
                if line.startswith(command):
                    known |= set(names)
