"""What a runbook says to a program: its alert, its fault, and the commands of its steps."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "runbooks"
_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.S)
_STEPS = re.compile(r"^```sh\n(.*?)^```$", re.S | re.M)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of an alert. `fault`: its name and what it is done to, "none" where it is not made
    here, and then `why`. `steps`: the commands, block by block."""

    name: str
    alert: str
    fault: str
    why: str
    steps: tuple[str, ...]


def read(path: Path) -> Page | None:
    """The page in this file; None for one that is about no alert."""
    text = path.read_text("utf-8")
    head = _HEAD.match(text)
    if head is None:
        return None
    said = yaml.safe_load(head[1])
    return Page(path.name, said["alert"], said["fault"], said.get("why", ""), steps(text))


def steps(text: str) -> tuple[str, ...]:
    """The commands of a page."""
    return tuple(_STEPS.findall(text))


def lines(name: str) -> tuple[str, ...]:
    """The lines of the commands of a page, in order."""
    blocks = steps((FOLDER / name).read_text("utf-8"))
    return tuple(line for block in blocks for line in block.splitlines() if line.strip())


def pages() -> list[Page]:
    """Every page of an alert, by name."""
    return [page for path in sorted(FOLDER.glob("*.md")) if (page := read(path)) is not None]
