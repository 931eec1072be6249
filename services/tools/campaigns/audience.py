"""`mawja campaign audience`: makes a list of recipients, of a file, of who reached out or of who
wants to hear, and tells who is not in it and why."""

import csv
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from mawja.broadcast.v1.audiences_pb2 import (
    ImportSubscribersResponse,
    MakeAudienceRequest,
    MakeAudienceResponse,
)
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    BadRow,
    UploadAudienceResponse,
    UploadAudienceStart,
)
from rich.table import Table
from rich.text import Text

from services.local.progress import Progress, Silent
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, Invalid
from services.tools import where
from services.tools.asked import ended
from services.tools.campaigns import lists, words
from services.tools.campaigns.app import app, show, show_json
from services.tools.campaigns.asking import asks
from services.tools.campaigns.office import LOOK, Office, office
from services.tools.campaigns.pieces import Pieces
from services.tools.campaigns.plan import SHORT
from services.tools.campaigns.query import written
from services.tools.options import AsCoordinator, AsJson, Broadcast, Token

Encoding = Annotated[
    str,
    typer.Option(
        help="How a text file was saved: windows-1256 where Windows is Arabic, windows-1252 where "
        "it is English or French. Left out: UTF-8."
    ),
]
Sheet = Annotated[
    str, typer.Option(help="Sheet of a workbook. Left out: the only one that holds anything.")
]

_LISTED = 20
_LONGEST_NAME = 80
_FORMULA = ("=", "+", "-", "@", "\t")


@app.command("audience")
def audience_command(
    list_file: Annotated[
        str,
        typer.Argument(
            metavar="[LIST]",
            help="A .csv, .tsv, .txt or .xlsx; or a list's id or its first letters, to look at it.",
        ),
    ] = "",
    callers: Annotated[
        str,
        typer.Option(
            metavar="'FIELD=VALUE …'", help="Instead of LIST: who reached out; fields below."
        ),
    ] = "",
    subscribers: Annotated[
        str,
        typer.Option(
            metavar="'FIELD=VALUE …'", help="Instead of LIST: who wants to hear; fields below."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(help="Name of a list that is asked for. Left out: what was asked.")
    ] = "",
    country: Annotated[
        str, typer.Option(help="Country of numbers that are written without one.")
    ] = "AE",
    drill: Annotated[
        bool, typer.Option("--drill", help="Synthetic numbers only, for drills only.")
    ] = False,
    number_column: Annotated[
        str, typer.Option(help="Column of the numbers. Left out: found by its heading.")
    ] = "",
    language_column: Annotated[
        str, typer.Option(help="Column of the languages. Left out: found by its heading.")
    ] = "",
    encoding: Encoding = "",
    sheet: Sheet = "",
    agency: Annotated[str, typer.Option(help="Whose list it is. Left out: the centre's.")] = "",
    bad_rows: Annotated[
        Path | None,
        typer.Option(help="Write the rows that could not be read here: line, rule, column."),
    ] = None,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    broadcast: Broadcast = "",
    home: where.Home = None,
) -> None:
    """Make a list of recipients: a file, people who reached out, or people who want to hear.

    Of a file, every other column is a field that texts may name. Rows that can't be read are listed
    by line and rule; the others are kept.

    Callers are asked for by fields, all of which must be so: `agency`, `topic`, `incident` (id),
    `line` (dialled), `place` (English name), `language`, `kind` (enquiry, complaint, request,
    feedback), `state` (open, resolved), `life_safety` (true), `since` and `until` (2h, 30m or 3d
    ago, or a time). Each person is in it once. Who withheld their number is told, and left out.

    Subscribers are people who said that they want to hear from an agency (see `subscribers`):
    `agency`, and `topic` and `language` where only those are meant.

    A list never changes: a corrected file, or the same question later, is another list.

    Examples:

    - `mawja campaign audience people.csv --country AE --bad-rows bad.csv`

    - `mawja campaign audience synthetic.csv --drill`

    - `mawja campaign audience --callers 'agency=water topic=leaks since=2h'`

    - `mawja campaign audience --callers 'place="Al Jahra" state=open' --name Jahra`

    - `mawja campaign audience --subscribers 'agency=health topic=vaccines'`
    """
    with ended(LOOK):
        if sum(map(bool, (callers, subscribers, list_file))) != 1:
            raise ConfigError("give one of LIST, --callers and --subscribers")
        if asked := callers or subscribers:
            query = written("callers" if callers else "subscribers", asked, now_ms())
            request = MakeAudienceRequest(
                name=name or asked[:_LONGEST_NAME], agency=agency, drill=drill, query=query
            )
            with office(home, broadcast, token, as_subject) as desk:
                made = find(desk, request, Silent() if as_json else Progress())
                if as_json:
                    show_json(made)
                    return
                show(lists.file(made))
                print(f"next: mawja campaign new PLAN --audience {made.audience_id}")
            return
        known = bool(SHORT.fullmatch(list_file)) and not Path(list_file).exists()
        path = Path(list_file)
        size = 0 if known else size_of(path)
        with office(home, broadcast, token, as_subject) as desk:
            if known:
                found = desk.audience(desk.list_id_of(list_file))
                show_json(found) if as_json else show(lists.file(found))
                return
            start = UploadAudienceStart(
                name=path.name,
                country=country.upper(),
                number_column=number_column,
                language_column=language_column,
                encoding=encoding,
                sheet=sheet,
                drill=drill,
                agency=agency,
            )
            taken = _upload(desk, start, path, size, Silent() if as_json else Progress())
            if bad_rows is not None:
                write_bad(bad_rows, taken)
            if as_json:
                show_json(taken)
                return
            show(lists.file(desk.audience(taken.audience_id)))
            list_bad(taken, bad_rows)
            print(f"next: mawja campaign new PLAN --audience {taken.audience_id}")


@asks("audiences")
def audiences_command(
    desk: Office,
    agency: Annotated[str, typer.Option(help="Only of this agency.")] = "",
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the lists of recipients, the latest first: which, how many, made when and by whom.

    The first letters of an id will do wherever a list is named, as long as no other begins so.
    """
    found = list(islice(desk.lists(agency), most))
    if as_json:
        show_json({"audiences": [words.as_dict(one) for one in found]})
    else:
        show([lists.many(found)])


def find(desk: Office, request: MakeAudienceRequest, progress: Progress) -> AudienceFile:
    """Has a list made of the people whom a query means, and tells how far it is. Raises what the
    service refuses with; ConfigError for what a person wrote wrong."""

    def told(so_far: MakeAudienceResponse) -> None:
        share = 100 * so_far.read // max(so_far.of, 1)
        progress.update(f"{request.name}: {share} % of the log read, {so_far.found:,} found")

    try:
        made = desk.find(request, told)
    except Invalid as refused:
        faults = (f"{one.field.rpartition('.')[2]}: {one.rule}" for one in refused.violations)
        raise ConfigError("; ".join(faults)) from None
    progress.clear()
    return made


def size_of(path: Path) -> int:
    """Bytes of a file that can be read. Raises ConfigError."""
    try:
        with path.open("rb"):
            return path.stat().st_size
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _upload(
    desk: Office, start: UploadAudienceStart, path: Path, size: int, progress: Progress
) -> UploadAudienceResponse:
    began = time.monotonic()

    def sent(gone: int) -> None:
        share = 100 * gone // max(size, 1)
        seconds = time.monotonic() - began
        progress.update(f"{path.name}: {share} % of {size / 1e6:,.1f} MB, {seconds:.0f} s")

    taken = desk.upload(start, Pieces(path, sent))
    progress.clear()
    return taken


def list_bad(
    taken: UploadAudienceResponse | ImportSubscribersResponse, written: Path | None
) -> None:
    """Prints the first rows that could not be read. `written`: where they were written."""
    if not taken.bad:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("line", justify="right")
    table.add_column("rule")
    table.add_column("column")
    for row in islice(taken.bad_rows, _LISTED):
        table.add_row(str(row.line), words.said(row.rule), words.said(row.field))
    show([Text(f"{taken.bad:,} rows could not be read:", style="bold yellow"), table])
    rest = taken.bad - min(_LISTED, len(taken.bad_rows))
    if written is not None:
        listed = len(taken.bad_rows)
        print(f"{'all' if listed == taken.bad else f'the first {listed:,}'} of them: {written}")
    elif rest:
        print(f"… and {rest:,} more; --bad-rows FILE lists them")


def write_bad(path: Path, taken: UploadAudienceResponse | ImportSubscribersResponse) -> None:
    """Writes the rows that could not be read as CSV. Raises ConfigError."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("line", "rule", "column"))
            rows.writerows((row.line, row.rule, _cell(row)) for row in taken.bad_rows)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _cell(row: BadRow) -> str:
    # A heading of the file: a spreadsheet must not take it for a formula.
    return f"'{row.field}" if row.field.startswith(_FORMULA) else row.field
