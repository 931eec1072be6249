"""The scorecard shows what a person must not overlook, and the exit code follows the account."""

from typing import Any

import pytest
from rich.console import Console

from services.tools import scorecard
from services.tools.report import ended_well


def report(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "calls": 78_000,
        "dialled": 85_000,
        "accepted": 85_000,
        "refused": 0,
        "call_events_refused": 0,
        "people": 26_000,
        "cases": 30_000,
        "merged": 55_000,
        "callbacks": 9_000,
        "false_merges": 0,
        "lost": 0,
        "duplicate_cases": 0,
        "duplicate_messages": 0,
        "problems": [],
        "messages": {
            "requested": 30_000,
            "submitted": 29_990,
            "delivered": 29_980,
            "failed": 0,
            "unknown": 10,
            "suppressed": 10,
            "expired": 0,
            "waiting": 0,
        },
        "service_levels": {"offered": 60_000, "answered": 0.75, "answered_within_20s": None},
        "elapsed_s": 120.4,
        "time_compression": 360.0,
        "accepted_per_s": 708.3,
        "intake_p50_ms": 12.0,
        "intake_p99_ms": 90.0,
        "end_to_end_p50_s": 0.4,
        "end_to_end_p99_s": 1.5,
    }
    return made | changes


def shown(made: dict[str, Any]) -> list[str]:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(scorecard.render(made))
    return captured.get().splitlines()


def line(lines: list[str], words: str) -> str:
    return next(one for one in lines if words in one)


def test_every_bucket_that_holds_a_message_is_shown() -> None:
    lines = shown(report())
    assert "29,980" in line(lines, "delivered")
    assert "10" in line(lines, "unknown")
    assert "10" in line(lines, "suppressed")
    assert not any("expired" in one for one in lines)


def test_problems_are_shown_in_words() -> None:
    lines = shown(report(lost=2, problems=["2 acknowledged contacts are in no case"]))
    assert line(lines, "lost").split()[-1] == "2"
    assert line(lines, "acknowledged contacts are in no case")
    assert not any("in one bucket" in one for one in lines)
    assert line(shown(report()), "in one bucket")


def test_a_level_that_nobody_measured_is_not_shown() -> None:
    lines = shown(report())
    assert "75.0%" in line(lines, "answered")
    assert not any("within 20 s" in one for one in lines)


@pytest.mark.parametrize(
    ("changes", "well"),
    [
        ({}, True),
        ({"problems": ["1 duplicate cases"]}, False),
        ({"refused": 3}, False),
        ({"call_events_refused": 1}, False),
        ({"false_merges": 4}, True),
    ],
)
def test_the_exit_code_follows_the_account(changes: dict[str, Any], well: bool) -> None:
    assert ended_well(report(**changes)) is well
