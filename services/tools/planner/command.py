"""`mawja plan`, as it is typed: reads what is given, and shows the plan."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.runtime.errors import ConfigError
from services.tools.local import home_folder
from services.tools.options import Token
from services.tools.planner import measured
from services.tools.planner.measured import ANSWERED, JOINED
from services.tools.screen import console
from services.tools.told import told
from services.tools.where import Home

if TYPE_CHECKING:
    from services.tools.planner.demand import Demand
    from services.tools.planner.queueing import Target


def plan(
    calls: Annotated[
        int | None,
        typer.Option(min=1, help="Fresh calls of the wave, without redials. Default: 78000."),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(help="How long it lasts. Default: 12h; with --live how far ahead: 2h."),
    ] = None,
    aht: Annotated[
        str | None,
        typer.Option(
            help="Mean handling time: seconds, or 4m. After-call work included. Default: 240; with "
            "--live what is measured."
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Share of dialled calls in % / within how many seconds.")
    ] = "90/20",
    patience: Annotated[
        str | None,
        typer.Option(
            help="Mean time until who waits hangs up, e.g. 120 or 2m. Left out: nobody hangs up."
        ),
    ] = None,
    redial: Annotated[
        float,
        typer.Option(
            min=0, max=0.99, help="Who hung up dials again with this probability, 0 to 1."
        ),
    ] = 0.0,
    redial_after: Annotated[
        str | None,
        typer.Option(
            help="… so long after, in the mean (90s), followed exactly: slower, and for up "
            "to about 1,000 agents. Left out: long after, which takes fewer."
        ),
    ] = None,
    shape: Annotated[
        str, typer.Option(help="flat, covid-78k, steady-month or flash (loadtests/shapes).")
    ] = "flat",
    arrivals: Annotated[
        Path | None,
        typer.Option(
            help="CSV of counts per interval (time, calls), or of calls (time): a row for each."
        ),
    ] = None,
    begins: Annotated[
        str | None,
        typer.Option(
            help="When it begins, e.g. 2026-11-23T08:00+04:00: of a plan that services read "
            "(MAWJA_AGENTS)."
        ),
    ] = None,
    shrinkage: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, help="Share of paid time on breaks, in training, ill: 0 to 1."
        ),
    ] = 0.0,
    answered: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.99,
            help="Assumed share of calls that an SMS answers before. The measured surge, with the "
            "shipped examples of answers, says 0.01; ones for the event answer more.",
        ),
    ] = ANSWERED,
    joined: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.99,
            help="Assumed share of calls that join one that is owed already. In the measured surge "
            "13,704 abandoned calls became 9,186 callbacks.",
        ),
    ] = JOINED,
    text: Annotated[
        str | None, typer.Option(help="An SMS as it will be sent, to count its parts.")
    ] = None,
    parts: Annotated[
        float, typer.Option(min=1, max=255, help="Parts of an SMS, where --text is not given.")
    ] = 2,
    pace: Annotated[
        float, typer.Option(min=0.1, help="SMS parts a second that a carrier takes on a route.")
    ] = 1500,
    routes: Annotated[int, typer.Option(min=1, help="Routes that there are.")] = 1,
    audience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="People of a campaign. Default: as many as call, one for 2.9 calls as in the "
            "measured surge.",
        ),
    ] = None,
    within: Annotated[str, typer.Option(help="Until when a campaign is to be through.")] = "10m",
    picture: Annotated[
        Path | None, typer.Option(help="Write the agents as an SVG picture.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Plan the next hours from the minutes of a wave that runs, without any history.",
        ),
    ] = False,
    drill: Annotated[
        bool, typer.Option("--drill", help="With --live: of a drill that runs, not of real calls.")
    ] = False,
    minutes: Annotated[
        int, typer.Option(min=5, max=110, help="With --live: look at so many minutes at most.")
    ] = 15,
    wave: Annotated[
        str,
        typer.Option(
            envvar="MAWJA_WAVE",
            help="With --live: where wave listens (host:port), when it is no local run.",
            show_envvar=True,
        ),
    ] = "",
    token: Token = "",
    emit: Annotated[
        Path | None,
        typer.Option(
            help="Write the replicas as an overlay of deploy/k8s into this folder. Partitions are "
            "never in it."
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="What the overlay stands on. Default: deploy/k8s/base of this code."),
    ] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """What a wave takes, before it comes: agents by half-hour, SMS, services.

    Without --patience by Erlang C (nobody hangs up); with it by Erlang A, where who hangs up counts
    as not answered; with --redial they come back, and the load is the one at which that settles.
    Soon after (--redial-after) they meet the busy spell that they left, which takes more agents.

    Examples:

    - `mawja plan --calls 78000 --over 12h --aht 240 --target 90/20 --redial 0.6 --patience 120`

    - `mawja plan --shape covid-78k --patience 2m --redial 0.6 --shrinkage 0.3`

    - `mawja plan --arrivals calls.csv --picture agents.svg`

    - `mawja plan --live --patience 2m --redial 0.6`

    - `mawja plan --shape covid-78k --begins 2026-11-23T08:00+04:00 --json > agents.json`

    - `mawja plan --calls 5000000 --emit deploy/k8s/overlays/wave`

    The agents are those without any savings. What answers by SMS and joined repeats would save is
    assumed, and told beside them. How fast the services are says `mawja calibrate`, once it ran.
    """
    from loadtests.shapes import ShapeError, seconds
    from services.tools.planner.demand import FLAT
    from services.tools.planner.queueing import Callers, PlanError

    with told(ShapeError, PlanError):
        from services.tools.planner import overlay, rates_file, sizing, sms
        from services.tools.planner import plan as planning
        from services.tools.planner.live import seen
        from services.tools.planner.picture import svg
        from services.tools.planner.running import Running
        from services.tools.planner.staffing import Saving
        from services.tools.planner.telling import render

        aht_s, running = 240.0 if aht is None else seconds(aht), None
        if live:
            if calls is not None or arrivals is not None or shape != FLAT:
                raise PlanError(
                    "--live sees the calls itself: leave out --calls, --shape, --arrivals"
                )
            running = Running.seen(
                seen(home, wave, token, minutes, drill=drill),
                redial,
                7200.0 if over is None else _positive("--over", over),
            )
            if aht is None and running.aht_s is not None:
                aht_s = running.aht_s
        if live and begins is not None:
            raise PlanError("--live begins with what it has seen: leave out --begins")
        since = None if begins is None else _begins(begins)
        if running is None:
            demand = _demand(calls, over, shape, arrivals)
        else:
            demand, since = running.ahead, running.until
        if begins is not None:
            demand = replace(demand, begins=since)
        made = planning.plan(
            demand,
            Callers(
                aht_s,
                None if patience is None else seconds(patience),
                redial,
                None if redial_after is None else _positive("--redial-after", redial_after),
            ),
            target_of(target),
            Saving(answered, joined),
            shrinkage,
        )
        sent = sms.sending(
            sms.Order(
                measured.MESSAGES_PER_CALL,
                parts if text is None else _parts_of(text),
                pace,
                routes,
                round(made.demand.calls * measured.PEOPLE_PER_CALL)
                if audience is None
                else audience,
                _positive("--within", within),
            ),
            made.dialled(),
            made.dialled_per_s(),
        )
        sized = sizing.sizing(made.dialled_per_s(), sent.peak, rates_file.read(home_folder(home)))
        if picture is not None:
            _write(picture, svg(made))
        notes = [] if running is None else running.notes(made)
        if emit is not None:
            written, notes = overlay.write(emit, base or overlay.BASE, made, sized)
            notes.append(f"overlay: {written}")
        if as_json:
            said: dict[str, Any] = {"begins": None if since is None else since.isoformat()}
            said |= planning.as_json(made)
            said |= {"sms": sms.as_json(sent), "system": sizing.as_json(sized)}
            said["assumptions"] += notes
            if running is not None:
                said["live"] = running.as_json(made)
            print(json.dumps(said, indent=2, ensure_ascii=False))
        else:
            console().print(render(made, sent, sized, notes))


def calibrate(
    busy_too: Annotated[
        bool, typer.Option("--busy-too", help="Even while other programs use the machine.")
    ] = False,
    home: Home = None,
) -> None:
    """Measure what this machine can do, for `mawja plan`.

    One round of `mawja bench`, on Kafka, Valkey and an SMS centre of its own, in under two and a
    half minutes. What it finds is kept in the home folder (rates.json) until it is measured again.
    """
    with told():
        from services.local.progress import Progress
        from services.tools.planner.calibrate import calibrate as measure
        from services.tools.planner.telling import render_rates

        rates, path = measure(home_folder(home), Progress(), busy_too=busy_too)
        console().print(render_rates(rates))
        print(f"\nrates: {path}")


def target_of(text: str) -> "Target":
    """The target that `90/20` says: 90 % within 20 seconds. Raises PlanError."""
    from services.tools.planner.queueing import PlanError, Target

    share, slash, within = text.strip().removesuffix("s").partition("/")
    try:
        if slash:
            return Target(float(share.strip().removesuffix("%")) / 100, float(within))
    except ValueError:
        pass
    raise PlanError(f"--target {text}: write it as 90/20, for 90 % within 20 seconds")


def _demand(calls: int | None, over: str | None, shape: str, arrivals: Path | None) -> "Demand":
    from services.tools.planner import arrivals as known
    from services.tools.planner.demand import FLAT
    from services.tools.planner.queueing import PlanError

    over_s = None if over is None else _positive("--over", over)
    if arrivals is None:
        return known.named(shape, calls, over_s)
    if shape != FLAT:
        raise PlanError("give --shape or --arrivals, not both")
    return known.read(arrivals, calls, over_s)


def _begins(text: str) -> datetime:
    from services.tools.planner.queueing import PlanError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise PlanError(f"--begins {text}: write it with its zone, e.g. 2026-11-23T08:00+04:00")
    return found


def _positive(option: str, text: str) -> float:
    from loadtests.shapes import seconds
    from services.tools.planner.queueing import PlanError

    found = seconds(text)
    if found <= 0:
        raise PlanError(f"{option} must be more than 0 seconds")
    return found


def _parts_of(text: str) -> int:
    from services.broadcast.segments import TextError, split
    from services.tools.planner.queueing import PlanError

    try:
        return split(text).part_count
    except TextError as error:
        raise PlanError(f"--text: {error}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
