"""`mawja campaign report`: what became of a campaign, as HTML and PDF, from the log alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.local.progress import Progress
from services.tools.campaigns.app import Name
from services.tools.told import told, told_if_away
from services.tools.where import Home


def command(
    campaign: Name,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if need be.")] = Path(),
    language: Annotated[
        Literal["ar", "en"] | None, typer.Option(help="Only in this language. Default: in both.")
    ] = None,
    zone: Annotated[
        str, typer.Option(help="Time zone in which times are told, by its IANA name.")
    ] = "Asia/Dubai",
    again: Annotated[
        Path | None,
        typer.Option(help="The .json beside an earlier report: make the same report again."),
    ] = None,
    with_pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Also as PDF.")] = True,
    home: Home = None,
) -> None:
    """Write what became of a campaign: timeline, buckets, when people were reached, languages,
    carriers, faults.

    Everything comes from the log (Kafka) alone; no service is asked and nothing is changed. The
    files hold no telephone number and no citizen's name, and fetch nothing when they are opened.
    It looks at the local run of `--home`, else at MAWJA_KAFKA, else at the local run of the usual
    folder.

    Writes campaign-ID-LANGUAGE.html and .pdf, and campaign-ID.json, which says up to where the log
    was read.

    Examples:

    - `mawja campaign report 01f7ea56`

    - `mawja campaign report 01f7ea56 --language ar --out reports`

    - `mawja campaign report 01f7ea56 --again campaign-01f7ea56.json`
    """
    with told():
        from services.tools.account import source
        from services.tools.reports.making import written
        from services.tools.reports.words import LANGUAGES

        languages = LANGUAGES if language is None else (language,)
        with told_if_away():
            for path in written(
                source(home).kafka, campaign, out, languages, zone, again, with_pdf, Progress()
            ):
                print(path)
