"""What a runbook says to a program."""

import subprocess

import pytest

from services.local.system import CONSOLE, REPORTS, ROOMS
from tests.runbooks import faults, pages, shift, upgrade

TEXT = """---
alert: RedisLost
fault: freeze valkey
---
# Redis

1. Look.

```sh
mawja pid valkey
```
```json
{}
```
"""

# What one machine can't make within two minutes; why stands in the page and in runbooks/README.md.
NOT_MADE = {
    "certificate-ends.md",
    "console-fails.md",
    "ledger-imbalance.md",
    "meaning-behind.md",
    "room-behind.md",
    "service-level-missed.md",
}


def test_only_commands_are_steps() -> None:
    assert pages.steps(TEXT) == ("mawja pid valkey\n",)


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.name))
def test_a_page_can_be_performed_or_says_why_not(page: pages.Page) -> None:
    if page.fault == "none":
        assert page.why
        return
    assert page.fault.split()[0] in faults.FAULTS
    assert page.steps
    for step in page.steps:
        # Read by the shell, not run.
        subprocess.run(["bash", "-n", "-c", step], check=True)


def test_the_alerts_that_are_not_made_to_fire_are_these() -> None:
    assert {page.name for page in pages.pages() if page.fault == "none"} == NOT_MADE
    told = (pages.FOLDER / "README.md").read_text("utf-8")
    _, _, rest = told.partition("| not made | because |")
    table, _, _ = rest.partition("\n\n")
    assert all(f"| [{name}]({name}) |" in table for name in NOT_MADE)
    assert table.count(".md)") == len(NOT_MADE)


def test_what_a_command_printed_stands_for_its_name_in_later_ones() -> None:
    two = "proposal  since\n0123abcd  18:00  power-cut\n89abcdef  18:01  schools\n"
    known = shift.printed("mawja proposal list --state open", two)
    assert known == {"PROPOSAL": "0123abcd", "OTHER": "89abcdef"}
    assert shift.filled("mawja proposal decline OTHER", known) == "mawja proposal decline 89abcdef"
    assert shift.printed("mawja ledger", two) == {}


def test_what_nothing_has_printed_is_not_typed() -> None:
    with pytest.raises(AssertionError, match="CAMPAIGN"):
        shift.filled("mawja campaign start CAMPAIGN", {})
    assert shift.filled('kill -TERM "$ROOM"', {}) == 'kill -TERM "$ROOM"'


def test_the_upgrade_ends_who_only_reads_then_every_room_from_the_end_of_a_contacts_way() -> None:
    ended = [
        found[2] for line in pages.lines(upgrade.PAGE) if (found := upgrade.ENDS.fullmatch(line))
    ]
    assert tuple(ended) == (REPORTS, CONSOLE, *ROOMS)
