"""`mawja import calls`: call-detail records of any phone system, into intake."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.tools.asked import ended
from services.tools.where import Home

app = typer.Typer(name="import", help="Bring in what other systems hold.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Bring in what other systems hold."""


@app.command("calls")
def calls_command(
    file: Annotated[Path, typer.Argument(help="A .csv, .tsv, .txt or .xlsx with headings.")],
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Which column holds what, by heading, letter or place. Repeatable; FIELD= for "
            "none. Left out: found by the headings.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="line, agency, topic or language where none is."
        ),
    ] = None,
    means: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD=MEANING",
            help="The system's own words for how calls went: answered, abandoned, resolved, "
            "unresolved or transferred. Repeatable.",
        ),
    ] = None,
    zone: Annotated[
        str, typer.Option(help="Time zone of times that name none, by its IANA name.")
    ] = "Asia/Dubai",
    dates: Annotated[
        Literal["dmy", "mdy"] | None,
        typer.Option(help="Order of dates such as 03/04/2026, where the file does not tell."),
    ] = None,
    country: Annotated[
        str, typer.Option(help="Country of numbers that are written without one.")
    ] = "AE",
    system: Annotated[
        str, typer.Option(help="Name of the phone system; calls of two systems differ by it.")
    ] = "calls",
    interval: Annotated[
        str, typer.Option(help="In a file of counts: over which time each is spread, e.g. 5m.")
    ] = "",
    encoding: Annotated[str, typer.Option(help="When the file is no UTF-8, e.g. windows-1256.")] = (
        ""
    ),
    sheet: Annotated[str, typer.Option(help="Sheet of a workbook.")] = "",
    drill: Annotated[
        bool, typer.Option("--drill", help="As a rehearsal: never counted as real.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look at the file; send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    bad_rows: Annotated[
        Path | None, typer.Option(help="Write the rows that tell of no call here.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: the outcome as JSON.")
    ] = False,
    token: Annotated[
        str, typer.Option(envvar="MAWJA_TOKEN", help="Of a gateway; see `mawja token`.")
    ] = "",
    intake: Annotated[
        str,
        typer.Option(
            envvar="MAWJA_INTAKE", help="Where intake listens (host:port), when it is no local run."
        ),
    ] = "",
    home: Home = None,
) -> None:
    """Import call-detail records: CSV, TSV or a workbook of any phone system.

    The columns that were found, and the first calls as they are understood, are shown before
    anything is sent. Rows that tell of no call are listed by line, field and rule; the others are
    kept. Fields: `arrived`, `answered`, `ended` (times), `wait`, `talk`, `wrap`, `handling`,
    `duration` (in seconds, m:ss or h:mm:ss), `outcome`, `resolved`, `number`, `id`, `line` (or
    queue), `agency`, `topic`, `language`, `agent`, and `calls` for a file of counts.

    Calls are known by their `id`, or by what their row says: importing a file again changes nothing
    and goes on where an import was interrupted. Nobody is written to or called back because of
    them. They count in `mawja scorecard`; what was reported as it came must not be imported again
    under another name.

    Exit codes: 0 all that could be read is in; 1 something is wrong with the file or what was
    given; 3 intake did not answer; 130 Ctrl-C.

    Examples:

    - `mawja import calls cdr.csv --check`

    - `mawja import calls cdr.csv --map arrived=calldate --map duration=duration --set line=109`

    - `mawja import calls avaya.xlsx --map wait="Queue s" --means RONA=abandoned --country KW`

    - `mawja import calls counts.csv --drill --yes`
    """
    with ended("mawja scorecard"):
        # What reads files takes a while to load, and the other commands don't need it.
        from services.tools.cdr.importing import Order, run

        run(
            Order(
                file=file,
                columns=tuple(map_ or ()),
                fixed=tuple(set_ or ()),
                means=tuple(means or ()),
                zone=zone,
                dates=dates,
                country=country,
                system=system,
                interval=interval,
                encoding=encoding,
                sheet=sheet,
                drill=drill,
                check=check,
                yes=yes,
                bad_rows=bad_rows,
                as_json=as_json,
                token=token,
                intake=intake,
                home=home,
            )
        )
