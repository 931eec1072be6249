"""`mawja campaign export`: who got what, when, as a CSV: a row for each recipient.

The file has its name only once all of it is there: what broke off leaves none.
"""

import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TextIO
from zoneinfo import ZoneInfo

import typer
from mawja.broadcast.v1.campaigns_pb2 import (
    ExportCampaignResponse,
    ExportedRecipient,
    ExportEnd,
)

from services.local.progress import Progress
from services.runtime.errors import Away, ConfigError
from services.tools.campaigns import words
from services.tools.campaigns.app import Name, reason_for
from services.tools.campaigns.asking import asks
from services.tools.campaigns.office import Office

Language = Literal["ar", "en"]
HEADINGS: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "file",
        "line",
        "number",
        "language",
        "bucket",
        "reason",
        "carrier",
        "parts",
        "attempts",
        "decided",
        "correction",
        "correction reason",
        "correction carrier",
        "correction parts",
        "correction decided",
    ),
    "ar": (
        "الملف",
        "السطر",
        "الرقم",
        "اللغة",
        "الخانة",
        "السبب",
        "الناقل",
        "الأجزاء",
        "المحاولات",
        "تاريخ القرار",
        "التصحيح",
        "سبب التصحيح",
        "ناقل التصحيح",
        "أجزاء التصحيح",
        "تاريخ قرار التصحيح",
    ),
}
_BOM = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ATTEMPTS = 3


@asks("export")
def export_command(
    desk: Office,
    campaign: Name,
    numbers: Annotated[
        bool,
        typer.Option("--numbers", help="Whole numbers; for auditors and administrators."),
    ] = False,
    reason: Annotated[
        str,
        typer.Option("--reason", help="Why whole numbers are needed; kept with your name."),
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", help="The file. Left out: it is written to standard output."),
    ] = None,
    language: Annotated[Language, typer.Option(help="Language of the headings.")] = "en",
    zone: Annotated[
        str, typer.Option(help="Time zone in which times are told, by its IANA name.")
    ] = "Asia/Dubai",
) -> None:
    """Write who got what, when, as a CSV: a row for each recipient, with file and line.

    Numbers are masked. Whole ones need the role of an auditor or administrator, and a reason: the
    service keeps who took them out. What begins like a formula stands behind an apostrophe.

    Examples:

    - `mawja campaign export 01f7ea56 --to reached.csv`

    - `mawja campaign export 01f7ea56 --numbers --reason "ticket 4711" --to reached.csv`
    """
    told_in = _zone(zone)
    why = reason_for(reason, "take the numbers of") if numbers else ""
    ask = partial(desk.export, desk.id_of(campaign), numbers, why)
    end = _exported(ask, to, language, told_in)
    print(_summary(end, to), file=sys.stderr)


def _exported(
    ask: Callable[[], Iterator[ExportCampaignResponse]],
    to: Path | None,
    language: Language,
    zone: tzinfo,
) -> ExportEnd:
    """Asks from the beginning again when the service was away meanwhile."""
    progress, attempt = Progress(), 1
    while True:
        try:
            with file_at(to) as file:
                return written(ask(), file, language, zone, progress)
        except Away:
            # On standard output a second beginning would follow half of the first.
            if attempt == _ATTEMPTS or to is None:
                raise
            time.sleep(attempt)
            attempt += 1
        finally:
            progress.clear()


def written(
    pieces: Iterator[ExportCampaignResponse],
    file: TextIO,
    language: Language,
    zone: tzinfo,
    progress: Progress,
) -> ExportEnd:
    """Writes an export into `file`; what it adds up to. Raises Away when it is not whole."""
    rows, began, count = csv.writer(file), time.monotonic(), 0
    names, total = list[str](), 0
    for piece in pieces:
        match piece.WhichOneof("piece"):
            case "start":
                names = [one.name for one in piece.start.files]
                total = sum(one.recipients for one in piece.start.files)
                file.write(_BOM)
                rows.writerow(HEADINGS[language])
            case "rows":
                recipients = piece.rows.recipients
                rows.writerows(cells(one, names[one.file], zone) for one in recipients)
                count += len(recipients)
                seconds = time.monotonic() - began
                progress.update(f"{count:,} of {total:,} recipients, {seconds:.0f} s")
            case "end":
                if count != piece.end.rows:
                    raise Away("rows went missing on the way; export it again")
                return piece.end
    raise Away("the export broke off; export it again")


def cells(one: ExportedRecipient, name: str, zone: tzinfo) -> tuple[str | int, ...]:
    """Pure. A recipient's row. `name`: of the file."""
    corrected = one.correction if one.HasField("correction") else None
    return (
        cell(name),
        one.line,
        cell(one.number),
        one.language,
        words.name_of(one, "bucket"),
        one.reason,
        cell(one.carrier),
        one.parts,
        one.attempts,
        _moment(one.decided_ms, zone),
        words.name_of(corrected, "bucket") if corrected is not None else "",
        corrected.reason if corrected is not None else "",
        cell(corrected.carrier) if corrected is not None else "",
        corrected.parts if corrected is not None else "",
        _moment(corrected.decided_ms, zone) if corrected is not None else "",
    )


def cell(text: str) -> str:
    """Pure. A text that a spreadsheet must not take for a formula, nor a number for a sum."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _moment(at_ms: int, zone: tzinfo) -> str:
    if not at_ms:
        return ""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return moment.isoformat(sep=" ", timespec="seconds")


def _summary(end: ExportEnd, to: Path | None) -> str:
    bad = sum(one.recipients for one in end.buckets) - end.rows
    lines = [f"{end.rows:,} recipients" + (f": {to}" if to is not None else "")]
    if bad:
        lines.append(f"{bad:,} more rows of the files could not be read, and reached nobody")
    return "\n".join(lines)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"--zone {name!r} is no time zone: give one like Asia/Dubai") from None


@contextmanager
def file_at(to: Path | None) -> Iterator[TextIO]:
    """Where the rows go; None: standard output. A file stands under its name only when all went
    well. Raises ConfigError."""
    if to is None:
        yield sys.stdout
        return
    if to.exists() and not to.is_file():
        # A device or a folder must not be replaced by what is written beside it.
        raise ConfigError(f"{to} cannot be written: it is no file")
    # Where a link leads; the link stays.
    to = to.resolve()
    begun = to.with_name(f"{to.name}.part")
    try:
        begun.unlink(missing_ok=True)
        # It tells of people: for nobody but who asked.
        begun.touch(mode=0o600)
        with begun.open("w", encoding="utf-8", newline="") as file:
            yield file
        begun.replace(to)
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror}") from None
    finally:
        begun.unlink(missing_ok=True)
