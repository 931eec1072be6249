"""How many needed something and how well they were served. Pure, given the words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.tools.afteraction.events import overlapping
from services.tools.afteraction.facts import Facts, busiest
from services.tools.afteraction.saying import Saying, shaded
from services.tools.reports.document import Block, Chart, Column, Heading, Paragraph, Table
from services.tools.reports.flows import Axes, Flow, flows
from services.tools.reports.words import rightwards
from services.tools.scorecards.figures import CONTRACT, TARGETS

_MOST_GROUPS = 15
_GREY, _BLUE, _ORANGE, _GREEN = "#a8c4d8", "#0072b2", "#d55e00", "#009e73"
_MEASURES = ("answered_share", "mean_wait_s", "mean_handling_s", "first_contact_resolved_share")
_COLUMNS = ("answered_share", "answered_in_20s_share", "mean_wait_s", "mean_handling_s",
            "first_contact_resolved_share")  # fmt: skip


def demand(facts: Facts, saying: Saying) -> Iterator[Block]:
    """What came, and what of it was a need."""
    whole, words = facts.whole, saying.words
    if not whole["contacts"]:
        return
    yield Heading(saying.say("demand"), fresh=True)
    yield Paragraph(saying.say("demand_key"))
    yield _over_time(facts, saying)
    width = words.duration(facts.width_ms)
    yield Paragraph(saying.say("per_span", width=width), "note")
    most = busiest(facts.spans)
    assert most is not None
    per_minute = most.figures["contacts"] * 60_000 / facts.width_ms
    rows = [
        ("contacts_all", whole["contacts"]),
        ("dialled_row", whole["dialled"]),
        ("answered_row", whole["answered"]),
        ("abandoned_row", whole["abandoned"]),
        ("open_row", whole["open"]),
        ("other_channels", whole["contacts"] - whole["dialled"]),
        ("joined_row", facts.avoided.joined),
        ("needs_row", whole["needs"]),
    ]
    minor = frozenset({2, 3, 4})
    table = [(saying.say(entry), words.number(count)) for entry, count in rows]
    table.append((saying.say("per_minute_row", width=width), words.decimal(per_minute)))
    columns = [Column(saying.say("measure")), Column(saying.say("count"), number=True)]
    yield Table(columns, table, minor)


def _over_time(facts: Facts, saying: Saying) -> Chart:
    def of(figure: str) -> list[float | None]:
        return [float(span.figures[figure]) for span in facts.spans]

    shown = [
        Flow(saying.say("flow_contacts"), _GREY, of("contacts"), filled=True),
        Flow(saying.say("flow_dialled"), _BLUE, of("dialled")),
        Flow(saying.say("flow_needs"), _ORANGE, of("needs")),
    ]
    most = max(value or 0 for flow in shown for value in flow.values)
    says = saying.say("demand_alt")
    return Chart(flows(shown, _axes(facts, saying, most), saying.words.direction, says), says)


def _axes(
    facts: Facts, saying: Saying, most: float, level: tuple[float, str] | None = None
) -> Axes:
    since, until = facts.spans[0].start_ms, facts.spans[-1].start_ms + facts.width_ms
    up = [(value / 5, f"{value * 20}%") for value in range(6)] if level else saying.up(most)
    return Axes(
        across=saying.across(since, until),
        up=up,
        level=level,
        shaded=overlapping(shaded(facts), since, until),
    )


def levels(facts: Facts, saying: Saying) -> Iterator[Block]:
    """The four targets; over time; by line, agency and language."""
    if not facts.whole["dialled"]:
        return
    yield Heading(saying.say("levels"), fresh=True)
    yield Paragraph(saying.say("levels_key", source=rightwards(CONTRACT)), "note")
    yield _targets(facts, saying)
    if any(span.figures["answered_share"] is not None for span in facts.spans):
        yield _levels_over_time(facts, saying)
    for by, heading in (("line", "by_line"), ("agency", "by_agency"), ("language", "by_language")):
        yield Heading(saying.say(heading))
        yield from _groups(facts.groups[by], by, saying)
    yield from _routes(facts, saying)


_WENT = {"taken": "went_taken", "hosted": "went_hosted", "left to the agency": "went_left"}


def _routes(facts: Facts, saying: Saying) -> Iterator[Block]:
    """Where calls under contract went."""
    if not facts.routes:
        return
    yield Heading(saying.say("by_contract"))
    number = saying.words.number
    rows = [
        (saying.group("agency", agency), *(number(calls[went]) for went in _WENT))
        for agency, calls in facts.routes.items()
    ]
    yield Table([Column(saying.say("agency_head")), *saying.numbers(*_WENT.values())], rows)
    command = rightwards("mawja contracts settlement")
    yield Paragraph(saying.say("routes_key", command=command), "note")


def _targets(facts: Facts, saying: Saying) -> Table:
    rows, marked = [], set[tuple[int, int]]()
    for number, name in enumerate(_MEASURES):
        value, target = facts.whole[name], TARGETS[name]
        said = saying.share if name.endswith("_share") else saying.seconds
        if target.least is not None:
            promised = saying.say("at_least", value=saying.limit(target.least))
        else:
            promised = saying.say("at_most", value=said(target.most))
        kept = "not_measured" if value is None else "kept" if target.met(value) else "missed"
        if kept == "missed":
            marked |= {(number, 1), (number, 3)}
        rows.append((saying.say(name), said(value), promised, saying.say(kept)))
    rows.append((saying.say("satisfaction_row"), _satisfaction(facts, saying), "", ""))
    columns = [
        Column(saying.say("measure")),
        Column(saying.say("reached_target")),
        Column(saying.say("target")),
        Column(""),
    ]
    return Table(columns, rows, marked=frozenset(marked))


def _satisfaction(facts: Facts, saying: Saying) -> str:
    if facts.satisfaction is not None:
        score = saying.words.decimal(facts.satisfaction)
        answers = saying.words.number(facts.whole["scores"])
        return saying.say("satisfaction_of", score=score, answers=answers)
    asked = next((one for one in facts.origins if one.step == "satisfaction"), None)
    if asked is None:
        return saying.say("not_asked")
    people = saying.words.count("people", asked.buckets["delivered"])
    return saying.say("not_answered", people=people)


def _levels_over_time(facts: Facts, saying: Saying) -> Chart:
    def of(figure: str) -> list[float | None]:
        return [span.figures[figure] for span in facts.spans]

    least = TARGETS["answered_share"].least or 0.0
    shown = [
        Flow(saying.say("flow_answered"), _GREEN, of("answered_share")),
        Flow(saying.say("flow_in_20s"), _BLUE, of("answered_in_20s_share")),
    ]
    says = saying.say("levels_alt")
    axes = _axes(facts, saying, 1.0, (least, saying.limit(least)))
    return Chart(flows(shown, axes, saying.words.direction, says), says)


def _groups(
    groups: Sequence[tuple[str, Mapping[str, Any]]], by: str, saying: Saying
) -> Iterator[Block]:
    words = saying.words
    rows, marked = [], set[tuple[int, int]]()
    shown = groups[:_MOST_GROUPS]
    for number, (key, figures) in enumerate(shown):
        row = [
            saying.group(by, key),
            words.number(figures["dialled"]),
            words.number(figures["needs"]),
        ]
        for at, name in enumerate(_COLUMNS, start=len(row)):
            value = figures[name]
            row.append(saying.share(value) if name.endswith("_share") else saying.short(value))
            if value is not None and name in TARGETS and not TARGETS[name].met(value):
                marked.add((number, at))
        rows.append(tuple(row))
    head = {"line": "line", "agency": "agency_head", "language": "language"}[by]
    heads = ("head_dialled", "head_needs", "head_answered", "head_20s", "head_wait",
             "head_handling", "head_first")  # fmt: skip
    columns = [Column(saying.say(head)), *saying.numbers(*heads)]
    yield Table(columns, rows, marked=frozenset(marked))
    rest = groups[_MOST_GROUPS:]
    if rest:
        yield Paragraph(
            saying.say(
                "more_groups",
                groups=words.count("groups", len(rest)),
                contacts=words.count("contacts", sum(row["contacts"] for _, row in rest)),
                command=rightwards(f"mawja scorecard --by {by}"),
            ),
            "note",
        )
