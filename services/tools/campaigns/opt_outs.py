"""`mawja campaign opt-outs`: brings a list of people who told others that they want no messages."""

from pathlib import Path
from typing import Annotated

import typer
from mawja.broadcast.v1.service_pb2 import ImportOptOutsStart

from services.local.progress import Progress
from services.tools.campaigns.asking import asks
from services.tools.campaigns.audience import size_of
from services.tools.campaigns.office import Office
from services.tools.campaigns.pieces import Pieces
from services.tools.campaigns.words import said

_LISTED = 10


@asks("opt-outs")
def opt_outs_command(
    desk: Office,
    list_file: Annotated[
        Path, typer.Argument(metavar="LIST", help="A .csv or .xlsx of their numbers.")
    ],
    country: Annotated[
        str, typer.Option(help="Country of numbers that are written without one.")
    ] = "AE",
    number_column: Annotated[
        str, typer.Option(help="Column of the numbers. Left out: found by its heading.")
    ] = "",
) -> None:
    """Bring a list of people who want no messages, e.g. a carrier's STOP list.

    It holds within 5 s, also for what is queued. To bring the same list again changes nothing.
    Exit code 1 when a row could not be read: that person may still be written to.

    Example:

    - `mawja campaign opt-outs stop-list.csv`
    """
    size = size_of(list_file)
    progress = Progress()

    def sent(gone: int) -> None:
        progress.update(f"{list_file.name}: {100 * gone // max(size, 1)} % sent")

    start = ImportOptOutsStart(country=country.upper(), number_column=number_column)
    taken, bad, shown = 0, 0, 0
    for answer in desk.opt_out(start, Pieces(list_file, sent)):
        taken, bad = answer.taken, answer.bad
        for row in answer.bad_rows[: _LISTED - shown]:
            shown += 1
            progress.say(f"line {row.line}: {said(row.english)}")
    progress.clear()
    print(f"{taken:,} rows taken: none of them is written to; {bad:,} could not be read")
    if bad:
        raise typer.Exit(1)
