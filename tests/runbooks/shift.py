"""A shift: the pages for who leads, typed line by line as people would.

What stands in capitals in a command is what an earlier one printed. Who types is who may: agents
their callbacks, somebody else the approval. What people do outside of the pages (they reach out,
they write the text of a campaign) is done here, and named.
"""

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.runtime.identity import Role
from tests.runbooks import pages
from tests.runbooks.local import Local
from tests.runbooks.outside import enquiry, hang_up, intake, number

PAGES = (
    "drill.md",
    "activate-a-surge.md",
    "run-a-campaign.md",
    "recall-a-message.md",
    "hand-over-a-shift.md",
    "after-action.md",
)
"""In the order of a shift."""
PRINTS: Mapping[str, Mapping[str, str]] = {
    "mawja proposal list": {
        "PROPOSAL": r"(?m)^([0-9a-f]{8}) ",
        "OTHER": r"(?m)^[0-9a-f]{8} (?:.*\n)+?([0-9a-f]{8}) ",
    },
    "mawja announce set": {"ANNOUNCEMENT": r"(?m)^([0-9a-f]{8}) plays on"},
    "mawja campaign audience": {"LIST": r"--audience ([0-9a-f-]{36})"},
    "mawja campaign new": {"CAMPAIGN": r"campaign rehearse ([0-9a-f]{8})"},
    "mawja campaign recall": {"CORRECTION": r"campaign watch ([0-9a-f]{8})"},
    "mawja playbook hand-overs": {"CASE": r"\b(MW-[0-9A-Z-]+)"},
}
"""What a command prints that a later one names: its placeholder, and how it is found."""
PLACEHOLDER = re.compile(r"\b[A-Z]{4,}\b")
_AGENT = re.compile(r"mawja (callbacks|playbook) ")
# Who plays a drill is on the machine, where the token that it takes is made.
_PLAYS = re.compile(r"mawja drill play ")
_APPROVES = re.compile(r"mawja campaign approve ")
# A local run has no carrier to people: what goes out is a drill, as the example of a plan is, too.
_REHEARSED = re.compile(r"mawja campaign audience ")
# Somebody watches the campaign for a while, and does something else then.
_LEAVES = re.compile(r"mawja campaign watch CAMPAIGN\b")
_LEAVES_S = 8.0
_STEP_S = 180.0
_INTERRUPTED = 130


def commands(page: str) -> tuple[str, ...]:
    """The lines of a page that are typed, in order."""
    return pages.lines(page)


def filled(line: str, known: Mapping[str, str]) -> str:
    """A line with what is known for its placeholders. Raises AssertionError for one that nothing
    has printed."""
    names = {name for values in PRINTS.values() for name in values}

    def of(found: re.Match[str]) -> str:
        if found[0] not in names:
            return found[0]
        assert found[0] in known, f"{line}: nothing has printed {found[0]}"
        return known[found[0]]

    return PLACEHOLDER.sub(of, line) + (" --drill" if _REHEARSED.match(line) else "")


def printed(line: str, said: str) -> dict[str, str]:
    """What a command said that later ones name."""
    for command, names in PRINTS.items():
        if line.startswith(command):
            found = {name: re.search(pattern, said) for name, pattern in names.items()}
            return {name: one[1] for name, one in found.items() if one is not None}
    return {}


@dataclass(slots=True)
class Shift:
    """The pages on a system that runs, in a folder of the people's own."""

    on: Local
    folder: Path
    known: dict[str, str] = field(default_factory=dict)

    def perform(self, page: str) -> str:
        """Types a page, told in a line. Raises AssertionError, CalledProcessError, RpcError."""
        began = time.monotonic()
        lines = commands(page)
        before = _BEFORE.get(page)
        if before is not None:
            before(self)
        for line in lines:
            self._type(line)
        return f"{len(lines)} commands in {time.monotonic() - began:.0f} s"

    def _type(self, line: str) -> None:
        self.known |= printed(line, self._said(line))
        if line == "mawja campaign example > plan.yaml":
            _written(self.folder / "plan.yaml")

    def _said(self, line: str) -> str:
        ours, theirs = pty.openpty()
        # Who is asked whether they are sure, is.
        os.write(ours, b"y\n")
        env = self.on.env | {"MAWJA_TOKEN": self._token(line), "COLUMNS": "160"}
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", filled(line, self.known)],
            cwd=self.folder,
            env=env,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        leaves = _LEAVES.match(line) is not None
        try:
            said, wrong = process.communicate(timeout=_LEAVES_S if leaves else _STEP_S)
        except subprocess.TimeoutExpired:
            assert leaves, f"not within {_STEP_S:g} s: {line}"
            os.killpg(process.pid, signal.SIGINT)
            said, wrong = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(ours)
            os.close(theirs)
        good = (0, _INTERRUPTED) if leaves else (0,)
        assert process.returncode in good, f"{line}\n{said}{wrong}"
        return said

    def _token(self, line: str) -> str:
        if _PLAYS.match(line):
            return ""
        if _AGENT.match(line):
            # Who has a call of a drill in hand is not given a real one.
            return self.on.as_("salma" if "--drill" in line else "amal", Role.AGENT)
        if _APPROVES.match(line):
            return self.on.as_("khalid", Role.APPROVER)
        return self.on.as_("maryam", Role.COORDINATOR)


def _written(plan: Path) -> None:
    # So slow that it is not over before it is held.
    with plan.open("a") as text:
        text.write("most_parts_per_second: 20\n")


def wait_until(done: Callable[[], bool], what: str, within_s: float = 90.0) -> None:
    """Raises AssertionError when something is not so in time."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.5)


def _wave(shift: Shift) -> None:
    # Two things happen: schools are asked about, and the power is out, which is listed first.
    for first, last, said in (
        (40, 90, "Are the schools closed tomorrow? My son goes to school in Hawalli."),
        (0, 40, "No power at our house in Al Jahra for 3 hours, when is it back?"),
    ):
        more = partial(_more, shift, _proposed(shift))
        with intake(shift.on) as stub:
            for at in range(first, last):
                stub.submit(enquiry(f"wave-{at}", said, number=number(at), language="en"))
        wait_until(more, "a proposal")


def _more(shift: Shift, before: int) -> bool:
    return _proposed(shift) > before


def _proposed(shift: Shift) -> int:
    said = shift.on.said("proposal", "list", "--as", "maryam")
    return len(re.findall(r"(?m)^[0-9a-f]{8} ", said))


def _people(shift: Shift) -> None:
    rows = [f"+999500{at:06d},{'en' if at % 4 == 0 else 'ar'},{at}" for at in range(800)]
    listed = "\n".join(["number,language,place", *rows, "12,ar,7", ""])
    (shift.folder / "people.csv").write_text(listed, "utf-8")


def _open(shift: Shift) -> None:
    # Who leaves has a callback and a life in danger on their hands.
    hang_up(shift.on, range(100, 104), "109")
    with intake(shift.on) as stub:
        said = "Help, my father is not breathing, send an ambulance now"
        stub.submit(enquiry("danger", said))
    wait_until(lambda: shift.on.hand_over() is not None, "the case is handed over")
    wait_until(
        lambda: "call +" in shift.on.said("callbacks", "claim", "--as", "amal"),
        "there is somebody to be called",
    )


_BEFORE: Mapping[str, Callable[[Shift], None]] = {
    "activate-a-surge.md": _wave,
    "run-a-campaign.md": _people,
    "hand-over-a-shift.md": _open,
}
