"""The `mawja` command: what a person types. Every command explains itself with --help."""

import contextlib
import io
import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from services.local.doctor import checks
from services.local.progress import Progress
from services.runtime.config import CONSOLE_VARIABLES, VARIABLES
from services.tools import announce, callbacks, dlq, keyring, people, processes, rebuild, restored
from services.tools.afteraction.command import app as report_app
from services.tools.audit.command import app as audit_app
from services.tools.campaigns.commands import app as campaign_app
from services.tools.cdr.command import app as import_app
from services.tools.contracts.command import app as contracts_app
from services.tools.drills import command as drills
from services.tools.local import home_folder
from services.tools.planner import command as planner
from services.tools.playbooks import app as playbook_app
from services.tools.practice.command import app as practice_app
from services.tools.proposals.command import app as proposal_app
from services.tools.scorecards import command as scorecards
from services.tools.screen import console, listing
from services.tools.told import told
from services.tools.users import app as users_app

app = typer.Typer(
    name="mawja",
    help="Mawja (موجة, wave) absorbs a surge of people calling a government contact centre.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
Home = Annotated[
    Path | None,
    typer.Option(help="Folder of this run's state. Default: $MAWJA_HOME, else ./.mawja"),
]


app.add_typer(dlq.app)
app.add_typer(restored.app)
app.add_typer(campaign_app)
app.add_typer(callbacks.app)
app.add_typer(announce.app)
app.add_typer(people.app)
app.add_typer(proposal_app)
app.add_typer(drills.app)
app.add_typer(practice_app)
app.add_typer(import_app)
app.add_typer(contracts_app)
app.add_typer(playbook_app)
app.add_typer(report_app)
app.add_typer(audit_app)
app.add_typer(users_app)
app.command("keys")(keyring.keys_command)
app.command("token")(keyring.token_command)
app.command("rebuild")(rebuild.command)
app.command("pid")(processes.command)
app.command("down")(processes.down)
app.command("plan")(planner.plan)
app.command("scorecard")(scorecards.command)
app.command("calibrate")(planner.calibrate)


def _errors() -> contextlib.AbstractContextManager[None]:
    from loadtests.replay import ReplayError
    from loadtests.shapes import ShapeError

    return told(ShapeError, ReplayError)


@app.command()
def surge(
    calls: Annotated[
        int | None, typer.Option(min=1, help="Fresh calls and messages; redials come on top.")
    ] = None,
    over: Annotated[
        str | None, typer.Option(help="Real time to replay it in, e.g. 90s or 10m.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="covid-78k, steady-month or flash (loadtests/shapes).")
    ] = "covid-78k",
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Send the messages of a CSV (id, original or message) twice, as a gateway that "
            "retries would: the second pass must add nothing."
        ),
    ] = None,
    arrivals: Annotated[
        Path | None,
        typer.Option(help="Take the shape from a CSV of counts per interval (time, calls)."),
    ] = None,
    agents: Annotated[
        int | None,
        typer.Option(min=1, help="Agents on the simulated floor. Fewer: longer waits, redials."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same surge.")] = 1,
    report: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "surge-report.json"
    ),
    home: Home = None,
) -> None:
    """Replay a surge through the whole system on real parts, and keep score.

    Starts Kafka, Valkey, the SMS centre and every service on this machine, sends the surge, waits
    until every message has its end, prints the scorecard, stops everything. Exit code 1 when
    anything was lost or came twice.

    Everything is marked as drill and uses numbers that no person can have.

    Examples:

    - `mawja surge` — 78,000 calls and messages

    - `mawja surge --calls 5000 --agents 20 --over 30s`

    - `mawja surge --replay messages.csv`

    - `mawja surge --arrivals calls.csv --calls 20000`
    """
    with _errors():
        from loadtests import shapes
        from loadtests.replay import replay as replay_of
        from loadtests.surge import script
        from services.tools import scorecard
        from services.tools.report import Order, ended_well
        from services.tools.surge import run

        if replay is not None and arrivals is not None:
            raise typer.BadParameter("give --replay or --arrivals, not both")
        over_s = shapes.seconds(over) if over else None
        if replay is not None:
            messages = replay_of(replay)
            for row in messages.bad_rows:
                print(f"{replay}, line {row.line}: not sent: {row.reason}", file=sys.stderr)
            order = Order(
                script=messages,
                profile=f"replay/{replay.stem}",
                virtual_s=messages.over_s,
                over_s=over_s or max(5.0, len(messages) / 400),
                home=home_folder(home),
                report=report,
                passes=2,
            )
        else:
            made = script(
                shapes.read_arrivals(arrivals) if arrivals else shape,
                calls=calls,
                seed=seed,
                agents=agents,
            )
            order = Order(
                script=made,
                profile=made.shape.name,
                virtual_s=made.shape.duration_s,
                over_s=over_s or max(10.0, made.shape.calls / _CALLS_PER_S),
                home=home_folder(home),
                report=report,
                agents=made.agents,
            )
        result = run(order, Progress())
        console().print(scorecard.render(result))
        print(f"\nreport: {report}")
        if not ended_well(result):
            raise typer.Exit(1)


# What two cores work through as it comes, with every part on the same machine.
_CALLS_PER_S = 180


@app.command()
def up(
    brokers: Annotated[int, typer.Option(help="Kafka nodes: 1, or 3 for RF 3.")] = 1,
    replicas: Annotated[
        list[str] | None, typer.Option(help="Replicas of a service, e.g. dedup=3. Repeatable.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="How the SMS centre behaves: default, slow, hostile, or a file.")
    ] = "default",
    console_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the console's pages; 0: any free one.")
    ] = 7090,
    watch: Annotated[
        bool, typer.Option("--watch", help="Prometheus too, if it is installed.")
    ] = False,
    home: Home = None,
) -> None:
    """Start Kafka, Valkey, the SMS centre and every service, and keep them up until Ctrl-C.

    Prints where everything listens and how to make a token to try it with. Every run begins empty:
    nothing of an earlier one in this folder is kept. Services read the files of your own that
    MAWJA_RULES (playbooks), MAWJA_KNOWLEDGE, MAWJA_CATALOGUE, MAWJA_AGENTS, MAWJA_CALLS_BACK,
    MAWJA_PROPOSALS, MAWJA_CONTRACTS and MAWJA_SENDING_RULES name.
    """
    with _errors():
        from services.local import watching
        from services.local.system import ROOMS
        from services.tools import local

        wanted: dict[str, int] = {}
        for one in replicas or []:
            room, _, count = one.partition("=")
            if room not in ROOMS or not count.isdigit() or not 1 <= int(count) <= 8:
                raise typer.BadParameter(
                    f"--replicas takes ROOM=1..8, ROOM one of {', '.join(ROOMS)}"
                )
            wanted[room] = int(count)
        if watch:
            watching.installed()
        folder = home_folder(home)
        stopped = False

        def stop(_number: int, _frame: object) -> None:
            nonlocal stopped
            stopped = True

        with local.make_parts(
            folder, brokers=brokers, profile=profile, progress=Progress()
        ) as parts:
            system = local.make_system(parts, wanted, profile=profile, console=console_port)
            users = Path(system.env["MAWJA_CONSOLE_USERS"])
            passwords = local.make_users(users)
            beside = watching.Beside(system)
            try:
                system.start()
                signal.signal(signal.SIGTERM, stop)
                addresses = local.write_addresses(system)
                console().print_json(addresses.read_text())
                print(f"\naddresses: {addresses}\nlogs: {system.logs}")
                print(local.sign_in_told(system, users, passwords))
                if watch:
                    print(beside.start())
                print("\ntry it: mawja token --role coordinator\nstop it: Ctrl-C, or mawja down")
                while not stopped:
                    processes.write(system)
                    time.sleep(0.5)
                    for told in parts.tend():
                        print(told, flush=True)
                    for name in system.crashes:
                        print(f"{name} ended and was started again; see {system.logs}")
                    system.crashes.clear()
            finally:
                beside.stop()
                system.stop()


@app.command()
def doctor(
    settings: Annotated[
        bool, typer.Option("--settings", help="List every setting of a service instead.")
    ] = False,
    home: Home = None,
) -> None:
    """Look whether this machine has what a local run needs. Changes nothing."""
    if settings:
        table = listing("variable", "default", "meaning")
        for variable in (*VARIABLES, *CONSOLE_VARIABLES):
            table.add_row(variable.name, variable.default or "–", variable.meaning)
        console().print(table)
        return
    found = checks(home_folder(home))
    table = Table(box=None)
    for check in found:
        mark = "[green]ok[/]" if check.ok else "[red]no[/]"
        table.add_row(mark, check.name, check.detail, check.fix)
    console().print(table)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


@app.command()
def ledger(
    as_json: Annotated[
        bool, typer.Option("--json", help="For a program to read: one object, a line each time.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="A line every few seconds, until Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two lines.")] = 5.0,
    home: Home = None,
) -> None:
    """The account of a running system: every accepted contact and message in exactly one bucket.

    Reads the topics up to one moment (and the SMS centre's own record of a local run), and holds
    them against each other. Changes nothing. It looks at the local run of `--home`, else at
    MAWJA_KAFKA, else at the local run of the usual folder. Exit code 1 when the sums do not agree
    or a promise is broken (a contact in two cases, a message that was sent twice, …).
    """
    with _errors():
        from services.tools import balance
        from services.tools.account import Auditor, source

        good = True
        progress = Progress()
        # Ctrl-C is how watching ends; it started nothing that would have to be stopped.
        ending = contextlib.suppress(*([KeyboardInterrupt] if watch else []))
        with Auditor(source(home), progress) as auditor, ending:
            while True:
                taken = auditor.take()
                progress.clear()
                good = good and taken.good
                if as_json:
                    print(json.dumps(taken.as_dict()), flush=True)
                elif watch:
                    print(balance.line(taken), flush=True)
                else:
                    console().print(balance.render(taken))
                if not watch:
                    break
                time.sleep(every)
        if not good:
            raise typer.Exit(1)


@app.command()
def bench(
    report: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path(
        "bench-report.json"
    ),
    home: Home = None,
) -> None:
    """Measure each part beside its bare floor, in one run, as ratios."""
    with _errors():
        from services.tools.bench.render import render
        from services.tools.bench.run import run

        result = run(home_folder(home), Progress())
        report.write_text(json.dumps(result, indent=2) + "\n")
        console().print(render(result))


def main() -> None:
    """The command's entry."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Arabic letters shows others for them; no answer is lost for it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
