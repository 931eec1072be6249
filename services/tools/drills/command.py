"""`mawja drill`: play a rehearsed wave, now or on a schedule; list, show and compare drills."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from services.local.progress import Progress
from services.runtime.errors import ConfigError, NotFound
from services.tools import where
from services.tools.drills import timing
from services.tools.drills.history import Drill, History, folder_of
from services.tools.screen import console
from services.tools.told import told

if TYPE_CHECKING:
    from services.tools.drills.playing import Order


class _Shapes(TyperGroup):
    """A name that is no command is the shape of a drill to play."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """What `args` ask for, as the group says it."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["play", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="drill",
    cls=_Shapes,
    help="""Rehearse a wave on the system that runs, score people and system, compare with before.

`mawja drill covid-78k` plays the wave of that name (loadtests/shapes, or a file). All of it is
marked as drill, uses numbers that no person can have and reaches test carriers only; levels,
bursts and agents' lists keep it apart from real callers. A drill ends at once when a real burst
begins, and on Ctrl-C; what was sent is settled and scored.

Agents take part with `mawja callbacks claim --drill`, coordinators with a drill campaign. The
history is kept in $MAWJA_DRILLS, else in `mawja/drills` of your data ($XDG_DATA_HOME,
~/.local/share).

Exit codes: 0 done, and nothing was lost or came twice; 1 otherwise, or something is wrong with what
was given; 130 Ctrl-C while it waits for its time.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Folder = Annotated[
    Path | None, typer.Option("--history", help="Where drills are kept. Default: see above.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="For programs: the drill as JSON, and nothing else.")
]
MOST = 200_000
"""Contacts of one drill at most."""
PER_S = 180
"""Contacts a second at most, on average: what a small system works through beside its callers."""
LONGEST_S = 24 * 3600.0


@app.command("play")
def play_command(
    shape: Annotated[str, typer.Argument(help="covid-78k, steady-month, flash, or a YAML file.")],
    size: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Fresh calls and messages. Default: all.")
    ] = None,
    speed: Annotated[
        float,
        typer.Option(min=1.0, help="How much faster than life; 1 lets people work as they would."),
    ] = 1.0,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Agents of the simulated floor, beside the real ones.")
    ] = None,
    linger: Annotated[
        str, typer.Option(help="How long people may go on when the wave is over, e.g. 10m.")
    ] = "0s",
    at: Annotated[
        str, typer.Option(help="Begin at this time of day (HH:MM), or at 2026-11-29T09:00.")
    ] = "",
    every: Annotated[
        str, typer.Option(help="Again and again: hour, day, week, or 12h, 2d. Until Ctrl-C.")
    ] = "",
    beside: Annotated[
        bool,
        typer.Option(
            "--beside", help="Also in hours that another drill was played in: wave adds both up."
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Whose wave it is. Default: other people each time.")
    ] = None,
    history: Folder = None,
    as_json: AsJson = False,
    token: Annotated[
        str,
        typer.Option(
            envvar="MAWJA_TOKEN",
            help="Of the roles load-tester and auditor; made where the key ring is.",
            show_envvar=True,
        ),
    ] = "",
    home: where.Home = None,
) -> None:
    """Play a drill: `mawja drill SHAPE`.

    Goes through the local run (`mawja up`), or the system that MAWJA_KAFKA, MAWJA_INTAKE and
    MAWJA_WAVE name; where neither is, it starts one and stops it afterwards.

    Examples:

    - `mawja drill covid-78k --size 2000 --speed 60`

    - `mawja drill flash --at 09:00 --every week --linger 10m`
    """
    from loadtests.shapes import ShapeError, seconds

    with told(ShapeError):
        interval = timing.interval(every)
        begins = timing.begins(at, datetime.now())
        kept = History(folder_of(history))
        kept.all()
        good = True
        while True:
            _wait(begins)
            order = _order(shape, size, speed, agents, seconds(linger), seed, beside)
            drill = _play(order, home, token)
            path = kept.keep(drill)
            _tell(drill, kept.before(drill), as_json)
            if not as_json:
                print(f"\nkept: {path}")
            good = good and not drill.problems
            if interval is None or drill.ended_early:
                break
            begins = timing.following(begins, interval, datetime.now())
        if not good:
            raise typer.Exit(1)


def _wait(begins: datetime) -> None:
    progress = Progress()
    told_of = False
    while (left_s := (begins - datetime.now()).total_seconds()) > 0:
        if not told_of:
            progress.say(f"the drill begins {begins:%Y-%m-%d %H:%M}; Ctrl-C calls it off")
            told_of = True
        # In short turns: the clock may be set, and a machine may sleep.
        time.sleep(min(left_s, 30.0))


def _order(
    shape: str,
    size: int | None,
    speed: float,
    agents: int | None,
    linger_s: float,
    seed: int | None,
    beside: bool,
) -> "Order":
    from loadtests import shapes
    from loadtests.surge import script
    from services.runtime.clock import now_ms
    from services.tools.drills.playing import Order

    at_ms = now_ms()
    chosen = shapes.load(shape) if not shape.endswith((".yaml", ".yml")) else _file(Path(shape))
    chosen = chosen.scaled(size, None)
    over_s = chosen.duration_s / speed
    if chosen.calls > MOST:
        raise ConfigError(
            f"{chosen.name} has {chosen.calls:,} contacts; give --size up to {MOST:,}"
        )
    if over_s > LONGEST_S:
        raise ConfigError(
            f"that would take {over_s / 3600:,.0f} hours: give a --speed of at least "
            f"{chosen.duration_s / LONGEST_S:.0f}"
        )
    if chosen.calls / over_s > PER_S:
        raise ConfigError(
            f"{chosen.calls / over_s:,.0f} contacts a second are more than a drill may send beside "
            f"real callers ({PER_S}): give a --speed of at most "
            f"{PER_S * chosen.duration_s / chosen.calls:,.0f}, or a smaller --size"
        )
    name = f"{chosen.name}-{datetime.now():%Y%m%dT%H%M%S}"
    made = script(
        chosen,
        # Other people each time: whom dedup knows from the last drill would open no case.
        seed=at_ms // 1000 % 1_000_000 if seed is None else seed,
        agents=agents,
        prefix=f"{name}/{at_ms}",
    )
    return Order(name, made, speed, linger_s, beside)


def _file(path: Path) -> Any:
    from loadtests.shapes import ShapeError, parse
    from services.runtime.yamls import yaml_of

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ShapeError(f"{path} can't be read as UTF-8 text ({type(error).__name__})") from None
    return parse(yaml_of(path.name, text), path.name)


def _play(order: "Order", home: Path | None, token: str) -> Drill:
    from services.local.parts import running
    from services.tools.drills import site
    from services.tools.drills.playing import Playing
    from services.tools.local import (
        home_folder,
        make_parts,
        make_system,
        smsc_record,
        write_addresses,
    )
    from services.tools.surge import known_switchboards

    progress = Progress()
    folder = home_folder(home)
    named = home is None and os.environ.get("MAWJA_KAFKA")
    if named or running(folder) is not None:
        return asyncio.run(Playing(site.running(home, token), order, progress).play())
    progress.say("nothing runs here: starting a system for the drill")
    with make_parts(folder, brokers=1, profile="default", progress=progress) as parts:
        system = make_system(parts, shared_numbers=known_switchboards(order.script))
        try:
            system.start()
            write_addresses(system)
            at = site.started(parts, system, smsc_record(folder))
            return asyncio.run(Playing(at, order, progress).play())
        finally:
            system.stop()


@app.command("list")
def list_command(history: Folder = None, as_json: AsJson = False) -> None:
    """The drills that were played, the latest first."""
    from services.tools.drills.telling import several

    with _kept(history) as kept:
        drills = kept.all()
        if as_json:
            _json([asdict(drill) for drill in drills])
        elif drills:
            console().print(several(drills))
        else:
            print(f"no drill is kept in {kept.folder}")


@app.command("show")
def show_command(
    drill: Annotated[str, typer.Argument(help="Its id, or how that begins.")] = "last",
    history: Folder = None,
    as_json: AsJson = False,
) -> None:
    """One drill, held against the one of that shape before it."""
    with _kept(history) as kept:
        found = kept.get(drill)
        _tell(found, kept.before(found), as_json)


@app.command("compare")
def compare_command(
    drill: Annotated[str, typer.Argument(help="A drill.")],
    before: Annotated[str, typer.Argument(help="The one to hold it against.")],
    history: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Two drills side by side: what is better or worse."""
    with _kept(history) as kept:
        _tell(kept.get(drill), kept.get(before), as_json)


@contextmanager
def _kept(folder: Path | None) -> Iterator[History]:
    with told(NotFound):
        yield History(folder_of(folder))


def _tell(drill: Drill, before: Drill | None, as_json: bool) -> None:
    from services.tools.drills.figures import compared
    from services.tools.drills.telling import one

    if not as_json:
        console().print(one(drill, before))
        return
    changes = {
        it.figure.key: it.change
        for it in compared(drill.figures, before.figures if before else {})
        if it.change
    }
    _json({**asdict(drill), "before": before.id if before else None, "changes": changes})


def _json(told_of: object) -> None:
    json.dump(told_of, sys.stdout, indent=2, ensure_ascii=False)
    print()
