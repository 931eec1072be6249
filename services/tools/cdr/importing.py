"""What `mawja import calls` does: looks at the file, shows what was understood, sends."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from services.local.progress import Progress
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from services.runtime.identity import Role, Unauthenticated
from services.runtime.spans import span_ms
from services.tools.asked import place, subject_of
from services.tools.asked import shown as token_shown
from services.tools.campaigns.app import errors_console, sure
from services.tools.cdr import fields
from services.tools.cdr.cells import MEANS
from services.tools.cdr.cells import Order as CellOrder
from services.tools.cdr.reading import File, Found, interval_ms, look
from services.tools.cdr.rows import BadRow, Call, Reading
from services.tools.cdr.sending import Sender
from services.tools.cdr.showing import Looked, calls_of, list_bad, look_through, shown
from services.tools.periods import zone_named

_FIXED = ("line", "agency", "topic", "language")


@dataclass(frozen=True, slots=True)
class Order:
    """What the command was given; see there."""

    file: Path
    columns: Sequence[str]
    fixed: Sequence[str]
    means: Sequence[str]
    zone: str
    dates: CellOrder | None
    country: str
    system: str
    interval: str
    encoding: str
    sheet: str
    drill: bool
    check: bool
    yes: bool
    bad_rows: Path | None
    as_json: bool
    token: str
    intake: str
    home: Path | None


def run(order: Order) -> None:
    """Does it. Raises ConfigError, Invalid, Unauthenticated, Forbidden, typer.Exit."""
    opened = File(order.file, order.encoding, "", order.sheet)
    found = look(opened, fields.said(order.columns))
    if found.ambiguous and order.dates is None:
        raise ConfigError(
            "dates such as 03/04/2026 may begin with the day or the month, and the file does "
            "not tell: give --dates dmy or --dates mdy"
        )
    in_zone = zone_named(order.zone)
    apart_ms = 0
    if found.plan.has("calls"):
        apart_ms = _span(order.interval) if order.interval else interval_ms(opened, found, in_zone)
    fixed = _pairs(order.fixed, "--set", _FIXED)
    reading = Reading(
        plan=found.plan,
        zone=in_zone,
        order=order.dates or found.order or "dmy",
        country=order.country,
        drill=order.drill,
        fixed=fixed,
        means=dict(_meanings(order.means)),
        now_ms=now_ms(),
        interval_ms=apart_ms,
    )
    progress = Progress()
    looked = look_through(opened, found, reading, progress)
    screen = errors_console()
    for one in shown(order.file, found, reading, looked, order.zone):
        screen.print(one)
    list_bad(looked.bad, looked.bad_count, order.bad_rows, order.as_json)
    if order.check or not looked.calls:
        _finish(order.as_json, looked, None)
        if not looked.calls:
            raise ConfigError("the file tells of no call that could be imported")
        return
    target, shown_token = _asked(order)
    if not order.drill or sys.stdin.isatty():
        sure(f"Import {looked.calls:,} calls?", order.yes)
    sender = Sender(target, shown_token, _source(shown_token, order.system), order.drill)
    _send(sender, opened, found, reading, looked.calls, progress)
    list_bad(sender.sent.refused, len(sender.sent.refused), None, order.as_json)
    _finish(order.as_json, looked, sender)


def _send(
    sender: Sender, file: File, found: Found, reading: Reading, total: int, progress: Progress
) -> None:
    def only_calls() -> Iterator[Call]:
        for number, one in enumerate(calls_of(file, found, reading)):
            if number % 500 == 0:
                done = sender.sent.calls
                progress.update(f"importing: {done:,} of {total:,} calls ({done / total:.0%})")
            if not isinstance(one, BadRow):
                yield one

    again = "import the file again to go on: what is in changes nothing"
    try:
        asyncio.run(sender.send(only_calls()))
    except KeyboardInterrupt:
        progress.clear()
        print(
            f"mawja: interrupted; {sender.sent.calls:,} of {total:,} calls are in; {again}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    finally:
        progress.clear()


def _finish(as_json: bool, looked: Looked, sender: Sender | None) -> None:
    sent = sender.sent if sender is not None else None
    if as_json:
        print(
            json.dumps(
                {
                    "calls": looked.calls,
                    "answered": looked.outcomes["answered"],
                    "abandoned": looked.outcomes["abandoned"],
                    "first_ms": looked.first_ms,
                    "last_ms": looked.last_ms,
                    "bad_rows": looked.bad_count,
                    "bad": [one._asdict() for one in looked.bad[:1000]],
                    "imported": sent.calls if sent else 0,
                    "known_before": sent.known if sent else 0,
                    "events": sent.events if sent else 0,
                    "refused": len(sent.refused) + sent.events_refused if sent else 0,
                }
            )
        )
    elif sent is not None:
        print(
            f"{sent.calls:,} calls are in, {sent.known:,} of them were before; "
            f"{len(sent.refused) + sent.events_refused:,} refused"
        )
        print("next: mawja scorecard")
    if sent is not None and (sent.refused or sent.events_refused):
        raise typer.Exit(1)


def _pairs(given: Sequence[str], option: str, names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or name not in names or not value:
            raise ConfigError(f"{option} takes FIELD=VALUE, FIELD one of {', '.join(names)}")
        found[name] = value
    return found


def _meanings(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for one in given:
        word, equals, meaning = one.rpartition("=")
        if not equals or meaning not in MEANS:
            raise ConfigError(f"--means takes WORD=MEANING, MEANING one of {', '.join(MEANS)}")
        yield word, meaning


def _span(given: str) -> int:
    found = span_ms(given)
    if found is None:
        raise ConfigError("--interval must be a time such as 5m or 1h")
    return found


def _asked(order: Order) -> tuple[str, str]:
    """Where intake is, and a token for it. Raises ConfigError, Unauthenticated, Away."""
    target, keys = place(order.home, order.intake, "intake")
    role = Role.LOAD_TESTER if order.drill else Role.GATEWAY
    local = order.home is not None or not order.intake
    subject = "import" if local and not order.token else ""
    if not (subject or order.token):
        raise Unauthenticated(
            "this needs a gateway's token: set MAWJA_TOKEN, or give --token (`mawja token --role "
            "gateway`)"
        )
    return target, token_shown(order.token, subject, keys, role)


def _source(token: str, system: str) -> str:
    """The name under which the calls are told: below the caller's own. Raises ConfigError."""
    subject = subject_of(token)
    if not subject:
        raise Unauthenticated("the token can't be read; make one with `mawja token`")
    source = f"{subject}/{system}"
    if len(source) > 64 or not all(c.isascii() and (c.isalnum() or c in "._/-") for c in source):
        raise ConfigError("--system must be of letters, digits and . _ -, and shorter")
    return source
