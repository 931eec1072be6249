"""`mawja scorecard`: how well people were served, per line, agency, language or hour."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.local.progress import Progress
from services.tools.screen import console
from services.tools.told import told, told_if_away
from services.tools.where import Home

_PROGRESS_FROM = 50_000
"""Records that are read in a moment need no progress."""


def command(
    since: Annotated[
        str, typer.Option(help="How long ago (2h, 7d) or a time. Left out: all that is kept.")
    ] = "",
    until: Annotated[str, typer.Option(help="The same, for the end. Left out: now.")] = "",
    by: Annotated[
        Literal["line", "agency", "language", "hour"], typer.Option(help="What it is parted by.")
    ] = "line",
    zone: Annotated[
        str, typer.Option(help="Time zone of hours and of times without one, by its IANA name.")
    ] = "Asia/Dubai",
    drill: Annotated[
        bool, typer.Option("--drill", help="Rehearsals, which are never counted as real.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one object, with definitions.")
    ] = False,
    home: Home = None,
) -> None:
    """The scorecard: answered, speed of answer, handling, resolved at first contact; and how many
    people and needs stand behind the calls that were dialled.

    Every contact is counted where and when it came, so the groups add up (people don't: one person
    may call two lines). The targets are the field's: 90 % answered, 20 s, 4 min, 90 % resolved at
    first contact; of cases of the last 7 days that share may still fall, since somebody may reach
    out again. Satisfaction is what people answer when they are asked after their case is resolved.

    Everything comes from the log (Kafka) alone: no service need run. It looks at the local run of
    `--home`, else at MAWJA_KAFKA, else at the local run of the usual folder. Imported records
    (`mawja import calls`) count like calls that were reported as they came.

    Examples:

    - `mawja scorecard --since 24h`

    - `mawja scorecard --by agency --since '2026-11-01 00:00' --until '2026-12-01 00:00'`

    - `mawja scorecard --by hour --since 12h --json`
    """
    with told():
        from services.tools.account import source
        from services.tools.periods import limits, zone_named
        from services.tools.scorecards.figures import card
        from services.tools.scorecards.grouping import grouping
        from services.tools.scorecards.reading import read
        from services.tools.scorecards.telling import Asked, as_dict, render

        in_zone = zone_named(zone)
        since_ms, until_ms = limits(since, until, in_zone)
        progress = Progress()

        def tell(done: int, total: int) -> None:
            if total >= _PROGRESS_FROM:
                progress.update(f"reading: {done:,} of {total:,} records ({done / total:.0%})")

        with told_if_away():
            calls = read(source(home).kafka, drill, since_ms, tell)
        progress.clear()
        made = card(calls, grouping(by, in_zone), since_ms, until_ms)
        asked = Asked(by, since_ms, until_ms, drill, in_zone, zone, calls.of_other_kind)
        if as_json:
            print(json.dumps(as_dict(made, asked), indent=2, ensure_ascii=False))
            return
        screen = console()
        for one in render(made, asked, screen.width, _names(by)):
            screen.print(one)


def _names(by: str) -> dict[str, tuple[str, ...]]:
    """What the agencies of the catalogue are called."""
    if by != "agency":
        return {}
    from services.dedup.catalogue import SHOWN_IN, read

    folder = os.environ.get("MAWJA_CATALOGUE")
    return {
        code: tuple(agency.name[language] for language in SHOWN_IN)
        for code, agency in read(Path(folder) if folder else None).agencies.items()
    }
