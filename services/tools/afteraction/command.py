"""`mawja report surge`: the after-action report of a surge, as HTML and PDF, from the log alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.local.progress import Progress
from services.runtime.errors import ConfigError
from services.tools.told import told, told_if_away
from services.tools.where import Home

app = typer.Typer(
    name="report",
    help="Papers made from the log alone, for people who were not there.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def _papers() -> None:
    """So that `surge` is a command of its own, and not all there is."""


@app.command("surge")
def surge(
    since: Annotated[
        str, typer.Option(help="How long ago (12h, 2d) or a time. Left out: all that is kept.")
    ] = "",
    until: Annotated[str, typer.Option(help="The same, for the end. Left out: now.")] = "",
    lang: Annotated[
        Literal["ar", "en", "both"], typer.Option(help="In which language it is made.")
    ] = "both",
    to: Annotated[Path, typer.Option(help="Folder for the files; made if need be.")] = Path(),
    name: Annotated[
        str, typer.Option(help="What the surge is called on the first page. Left out: its day.")
    ] = "",
    zone: Annotated[
        str, typer.Option(help="Time zone in which times are told, by its IANA name.")
    ] = "Asia/Dubai",
    drill: Annotated[
        bool, typer.Option("--drill", help="A rehearsal: it says so on every page.")
    ] = False,
    again: Annotated[
        Path | None,
        typer.Option(help="The .json beside an earlier report: make the same report again."),
    ] = None,
    with_pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Also as PDF.")] = True,
    home: Home = None,
) -> None:
    """Write what happened in a surge: timeline, demand, service levels, who was reached when,
    callbacks, calls that were not needed, faults, and what to do better.

    Everything comes from the log (Kafka) alone; no service is asked and nothing is changed. The
    files hold no telephone number and no citizen's name, and fetch nothing when they are opened.
    Real contacts and rehearsals never stand in one report. It looks at the local run of `--home`,
    else at MAWJA_KAFKA, else at the local run of the usual folder.

    Writes surge-DAY-LANGUAGE.html and .pdf (drill-DAY-… of a rehearsal), and surge-DAY.json, which
    says what the report is of and up to where the log was read.

    Examples:

    - `mawja report surge --since 24h`

    - `mawja report surge --since '2026-11-22 06:00' --until '2026-11-23 06:00' --lang ar`

    - `mawja report surge --drill --name "Flood drill" --to booklet`

    - `mawja report surge --again booklet/surge-20261122.json`
    """
    with told():
        from services.tools.account import source
        from services.tools.afteraction.making import written
        from services.tools.afteraction.reading import Asked
        from services.tools.periods import limits, zone_named
        from services.tools.reports.words import LANGUAGES

        told_in = zone_named(zone)
        since_ms, until_ms = limits(since, until, told_in)
        if again is not None and (since or until or drill or name):
            raise ConfigError("--again says itself what the report is of: give nothing beside it")
        languages = LANGUAGES if lang == "both" else (lang,)
        asked = Asked(since_ms, until_ms, drill, name)
        with told_if_away():
            for path in written(
                source(home).kafka,
                asked,
                to,
                languages,
                (told_in, zone),
                again,
                with_pdf,
                Progress(),
            ):
                print(path)
