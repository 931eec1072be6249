"""The commands of the runbooks are commands that exist, with the options that they have."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from services.tools.__main__ import app
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
