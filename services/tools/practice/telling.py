"""An exercise, how it was done, and what was practised, for a terminal. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.outreach.v1 import events_pb2, service_pb2
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.tools.campaigns.words import said

_WHAT = {"agency": "whose matter", "topic": "which service", "life_safety": "a life in danger"}
_IN_TIME_MS = 240_000
_LATEST = 10


def exercise(callback: events_pb2.Callback) -> RenderableType:
    """What the agent sees before answering."""
    given = callback.exercise
    return Group(
        Text("PRACTICE: a synthetic caller; nobody is called", style="bold"),
        Text(f"case {callback.case_number}, {callback.language}, difficulty {given.difficulty}"),
        Text(),
        Text(said(given.says)),
        Text(),
        Text("then: mawja practice answer AGENCY SERVICE [--danger]   (codes: practice topics)"),
    )


def feedback(
    given: service_pb2.Feedback,
    answer: common_pb2.Solution,
    service: dedup_pb2.CatalogueService | None,
    language: str,
) -> RenderableType:
    """How an exercise was done, and what the procedure says: in the caller's language where the
    catalogue has it, else in English."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "points", "you said", "it is"):
        table.add_column(column)
    for one in given.judged:
        table.add_row(
            _WHAT.get(one.what, one.what),
            f"{one.points} of {one.most}",
            _told(answer, one.what),
            _told(given.solution, one.what),
        )
    seconds = given.handling_ms / 1000
    late = " (4 min are the promise)" if given.handling_ms > _IN_TIME_MS else ""
    lines: list[RenderableType] = [
        Text(f"{given.score} of 100, in {seconds:,.0f} s{late}", style="bold"),
        table,
    ]
    if service is None:
        lines.append(Text("The catalogue has no procedure for it."))
        return Group(*lines)
    lines += [Text(), Text("What the procedure says:")]
    for number, step in enumerate(service.steps, 1):
        text = step.texts.get(language) or step.texts.get("en", "")
        lines.append(Text(f"{number}. {said(text)}"))
    return Group(*lines)


def _told(solution: common_pb2.Solution, what: str) -> str:
    if what == "life_safety":
        return "yes" if solution.life_safety else "no"
    return str(getattr(solution, what)) or "-"


def topics(agencies: Iterable[dedup_pb2.CatalogueAgency]) -> RenderableType:
    """Codes with names."""
    table = Table("agency", "service", "", box=None, pad_edge=False)
    for agency in agencies:
        for number, service in enumerate(agency.services):
            danger = " (a life may hang on it)" if service.life_safety else ""
            table.add_row(
                "" if number else agency.agency,
                service.topic,
                f"{service.names.get('en', '')}{danger}",
            )
    return table


def scores(practised: Sequence[service_pb2.Practice], zone: tzinfo | None = None) -> RenderableType:
    """By agent: how many, the mean, how it went from the earlier half to the later; then the
    latest. `practised`: the latest first."""
    by_agent: defaultdict[str, list[service_pb2.Practice]] = defaultdict(list)
    for one in practised:
        by_agent[one.agent].append(one)
    table = Table("agent", "exercises", "score", "of late", "≤ 4 min", box=None, pad_edge=False)
    for agent, done in sorted(by_agent.items()):
        half = len(done) // 2
        trend = f"{mean(done[:half]) - mean(done[half:]):+.0f}" if half else ""
        in_time = sum(one.handling_ms <= _IN_TIME_MS for one in done)
        table.add_row(
            agent, str(len(done)), f"{mean(done):.0f}", trend, f"{in_time / len(done):.0%}"
        )
    latest = Table("", "agent", "exercise", "hard", "score", "took", box=None, pad_edge=False)
    for one in practised[:_LATEST]:
        at = datetime.fromtimestamp(one.completed_ms / 1000, zone).astimezone(zone)
        latest.add_row(
            f"{at:%d/%m %H:%M}",
            one.agent,
            one.code,
            str(one.difficulty),
            str(one.score),
            f"{one.handling_ms / 1000:,.0f} s",
        )
    return Group(table, Text(), latest)


def mean(done: Sequence[service_pb2.Practice]) -> float:
    """The mean score, 0 to 100."""
    return sum(one.score for one in done) / len(done)
