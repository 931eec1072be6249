"""`mawja campaign subscribers`: brings a list of people who said that they want to hear."""

from pathlib import Path
from typing import Annotated

import typer
from mawja.broadcast.v1.audiences_pb2 import Consent, ImportSubscribersStart

from services.local.progress import Progress, Silent
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from services.tools.campaigns.app import show_json
from services.tools.campaigns.asking import asks
from services.tools.campaigns.audience import Encoding, Sheet, list_bad, size_of, write_bad
from services.tools.campaigns.office import Office
from services.tools.campaigns.pieces import Pieces
from services.tools.campaigns.times import past_ms
from services.tools.options import AsJson


@asks("subscribers")
def subscribers_command(
    desk: Office,
    list_file: Annotated[
        Path, typer.Argument(metavar="LIST", help="A .csv, .tsv, .txt or .xlsx of their numbers.")
    ],
    agency: Annotated[str, typer.Option(help="To whose messages they consented.")],
    topic: Annotated[str, typer.Option(help="About what: a code of yours, e.g. vaccines.")],
    source: Annotated[str, typer.Option(help="Where they said so, e.g. web-form or counter.")],
    consented: Annotated[
        str,
        typer.Option(help="When the last of them said so: 2026-11-22 18:00, or 3d ago as 3d."),
    ],
    evidence: Annotated[
        str, typer.Option(help="What proves it, e.g. the number of the form. Kept sealed.")
    ] = "",
    country: Annotated[
        str, typer.Option(help="Country of numbers that are written without one.")
    ] = "AE",
    number_column: Annotated[
        str, typer.Option(help="Column of the numbers. Left out: found by its heading.")
    ] = "",
    language_column: Annotated[
        str, typer.Option(help="Column of the languages. Left out: found by its heading.")
    ] = "",
    encoding: Encoding = "",
    sheet: Sheet = "",
    bad_rows: Annotated[
        Path | None,
        typer.Option(help="Write the rows that could not be read here: line, rule, column."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a list of people who want to hear from an agency about a topic.

    Who recorded it, when, where they said so and what proves it are kept with each. Who took it
    back after that time stays out, and who wants no messages at all gets none. To bring the same
    list again changes nothing.

    Examples:

    - `mawja campaign subscribers people.csv --agency health --topic vaccines --source web-form
      --consented 2d --evidence "form 12/2026"`

    - then `mawja campaign audience --subscribers 'agency=health topic=vaccines'`
    """
    try:
        consented_ms = past_ms(consented, now_ms())
    except ValueError as error:
        raise ConfigError(f"--consented {error}") from None
    size = size_of(list_file)
    start = ImportSubscribersStart(
        country=country.upper(),
        number_column=number_column,
        language_column=language_column,
        encoding=encoding,
        sheet=sheet,
        consent=Consent(
            agency=agency,
            topic=topic,
            source=source,
            consented_ms=consented_ms,
            evidence=evidence,
        ),
    )
    progress = Silent() if as_json else Progress()

    def sent(gone: int) -> None:
        progress.update(f"{list_file.name}: {100 * gone // max(size, 1)} % sent")

    taken = desk.subscribe(start, Pieces(list_file, sent))
    progress.clear()
    if bad_rows is not None:
        write_bad(bad_rows, taken)
    if as_json:
        show_json(taken)
        return
    print(f"{taken.taken:,} people want to hear from {agency} about {topic}")
    list_bad(taken, bad_rows)
    print(f"next: mawja campaign audience --subscribers 'agency={agency} topic={topic}'")
