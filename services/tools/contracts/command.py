"""`mawja contracts`: check the file, see how full everybody is, settle."""

import contextlib
import csv
import os
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from google.protobuf.message import DecodeError
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc
from mawja.wave.v1.contracts_pb2 import (
    CallDecision,
    QueueCondition,
    QueueHolder,
    Route,
    RouteReason,
    ServiceModel,
)
from rich.table import Table

from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CALL_DECISION
from services.tools.asked import Service, ended, place, shown
from services.tools.contracts.settling import Settlement, words
from services.tools.options import AsCoordinator, AsJson, Token
from services.tools.screen import console, show_answer
from services.tools.told import told, told_if_away
from services.tools.where import Home

app = typer.Typer(
    name="contracts",
    help="""Whose calls we take: the contracts of agencies, how full their queues and ours are, and
what is to be settled.

Exit codes: 0 done; 1 something is wrong with what was given; 2 no such command or option; 3 what
was asked did not answer.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_ASK_S = 10.0
_SETTLED = ("period", "agency", "model", "contract_version", "went", "reason", "calls")


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(help="The file. Left out: MAWJA_CONTRACTS, else the shipped examples."),
    ] = None,
) -> None:
    """Look whether a contracts file is right: names the line and field of what is not.

    Agencies must be in the catalogue (MAWJA_CATALOGUE, else the shipped one).
    """
    with told():
        from services.dedup.catalogue import read as catalogue
        from services.wave.contracts.file import read
        from services.wave.contracts.terms import checked

        given = path or (Path(found) if (found := os.environ.get("MAWJA_CONTRACTS")) else None)
        folder = os.environ.get("MAWJA_CATALOGUE")
        terms = read(given)
        name = given.name if given else "contracts.yaml"
        agencies = catalogue(Path(folder) if folder else None).agencies
        checked(terms, frozenset(agencies), name)
        now = now_ms()
        models = Counter(
            words(ServiceModel.Name(contract.model), "SERVICE_MODEL_")
            for contract in terms.contracts.values()
        )
        kinds = ", ".join(f"{count} {model}" for model, count in sorted(models.items()))
        print(f"{name}: {len(terms.contracts)} contracts ({kinds or 'none'}); all is right")
        if terms.examples:
            print("examples: true: they decide on rehearsals only")
        for contract in terms.contracts.values():
            if not contract.holds(now):
                print(f"not in force today: {contract.agency}")


@app.command()
def state(
    drill: Annotated[bool, typer.Option("--drill", help="Queues of rehearsals.")] = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    wave: Annotated[
        str, typer.Option(envvar="MAWJA_WAVE", help="Where wave listens (host:port).")
    ] = "",
    home: Home = None,
) -> None:
    """How full every queue is, and where an ordinary call of each agency would go now."""
    with ended("mawja contracts state"):
        target, keys = place(home, wave, "wave")
        who = shown(token, as_subject, keys, Role.COORDINATOR)
        stub = contracts_pb2_grpc.ContractServiceStub
        with contextlib.closing(Service(target, "wave", stub, who)) as service:
            answer = service.ask("ListQueues", contracts_pb2.ListQueuesRequest(drill=drill))
        if as_json:
            show_answer(answer)
            return
        for table in _tables(answer):
            console().print(table)


def _tables(answer: contracts_pb2.ListQueuesResponse) -> tuple[Table, Table]:
    queues = Table("queue", "served by", "state", "waiting", "told", "", box=None, pad_edge=False)
    for queue in answer.queues:
        centre = queue.holder == QueueHolder.QUEUE_HOLDER_CENTRE
        most = f" of {queue.queue_max_length:,}" if queue.queue_max_length else ""
        queues.add_row(
            queue.agency or "all",
            "us" if centre else "the agency",
            words(QueueCondition.Name(queue.state), "QUEUE_CONDITION_"),
            f"{queue.queue_length:,}{most}",
            _ago(answer.now_ms - queue.event_ms),
            "its calls go to us" if queue.overflowing else "",
        )
    calls = Table("agency", "contract", "a call now", "why", box=None, pad_edge=False)
    for one in answer.standings:
        model = words(ServiceModel.Name(one.model), "SERVICE_MODEL_")
        calls.add_row(
            one.agency,
            f"{model}, version {one.contract_version}",
            _GOES[one.route],
            words(RouteReason.Name(one.reason), "ROUTE_REASON_"),
        )
    return queues, calls


_GOES = {
    Route.ROUTE_OURS: "is ours",
    Route.ROUTE_HOSTED: "to its agents here",
    Route.ROUTE_AGENCY: "is the agency's",
}


def _ago(ms: int) -> str:
    return f"{max(0, ms) // 1000:,} s ago"


@app.command()
def settlement(
    since: Annotated[
        str, typer.Option(help="How long ago (2h, 7d) or a time. Left out: all that is kept.")
    ] = "",
    until: Annotated[str, typer.Option(help="The same, for the end. Left out: now.")] = "",
    agency: Annotated[str, typer.Option(help="Only of this agency.")] = "",
    by: Annotated[Literal["day", "hour"], typer.Option(help="What it is parted by.")] = "day",
    zone: Annotated[
        str, typer.Option(help="Time zone of days and of times without one, by its IANA name.")
    ] = "Asia/Dubai",
    drill: Annotated[
        bool, typer.Option("--drill", help="Rehearsals, which are never settled.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    home: Home = None,
) -> None:
    """What is to be settled: calls of each agency by where they went and why, day by day.

    From the log of decisions (Kafka) alone, kept for 400 days: no service need run. A call that a
    telephone system asked about twice is one call. Calls about which nobody asked are not in it.

    Examples:

    - `mawja contracts settlement --since '2026-11-01 00:00' --until '2026-12-01 00:00'`

    - `mawja contracts settlement --agency education --by hour --since 24h --csv`
    """
    with told():
        from services.tools.account import source
        from services.tools.periods import limits, zone_named

        in_zone = zone_named(zone)
        since_ms, until_ms = limits(since, until, in_zone)
        shape = "%Y-%m-%d" if by == "day" else "%Y-%m-%d %H:00"

        def period(at_ms: int) -> str:
            return datetime.fromtimestamp(at_ms / 1000, in_zone).strftime(shape)

        settled = Settlement(since_ms, until_ms, drill, period)
        with told_if_away():
            _read(source(home).kafka, since_ms, settled)
        rows = [
            (row.period, row.agency, row.model, row.version, row.went, row.reason, calls)
            for row, calls in settled.rows()
            if agency in ("", row.agency)
        ]
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(_SETTLED)
            writer.writerows(rows)
            return
        if not rows:
            print("no call was decided on in this span")
            return
        table = Table(*(name.replace("_", " ") for name in _SETTLED), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
        console().print(table)


def _read(bootstrap: str, since_ms: int, settled: Settlement) -> None:
    def take(record: Record) -> None:
        # What is no decision nobody wrote who may.
        with contextlib.suppress(DecodeError):
            settled.take(record.partition, CallDecision.FromString(record.value or b""))

    with Scan(bootstrap, (CALL_DECISION,), since_ms) as scan:
        if not scan.beginnings():
            raise ConfigError(f"Kafka at {bootstrap} has no topics of Mawja: none runs there")
        scan.advance(take)
