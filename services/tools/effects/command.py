"""`mawja campaign effect`: reads the log, measures, tells."""

from pathlib import Path
from typing import Annotated

import typer

from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, NotInState
from services.runtime.spans import span_ms
from services.tools.campaigns.app import Name, show, show_json
from services.tools.campaigns.words import said
from services.tools.effects.measuring import Effect, Measuring, Part
from services.tools.effects.reading import read
from services.tools.options import AsJson
from services.tools.told import told, told_if_away
from services.tools.where import Home


def command(
    campaign: Name,
    within: Annotated[
        str, typer.Option(help="Calls from its start on so long: a number and m, h or d.")
    ] = "24h",
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Write it into this copy of calls_back.yaml, too, for rehearsals of campaigns to "
            "come (MAWJA_CALLS_BACK); it is made where there is none."
        ),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """The calls that a campaign really avoided: callers among those whom it was sent to, beside
    those who were held back (`held_back` in its plan), with what chance alone may do (95 %).

    Everything comes from the log (Kafka) alone, as of now; nothing is changed, and no number is
    told. Without a share that was held back nobody can tell what a campaign did. With --keep what
    was found is one line of a file that somebody looks at before `broadcast` gets it.
    """
    with told():
        from services.tools.account import source
        from services.tools.reports.reading import campaign_of

        within_ms = span_ms(within)
        if within_ms is None:
            raise ConfigError("--within is a number and m, h or d, e.g. 24h")
        with told_if_away():
            kafka = source(home).kafka
            found = read(kafka, campaign_of(kafka, campaign), within_ms).measured
            if not found.started_ms:
                raise NotInState("it was not started yet: there is nothing to measure")
        effect = found.effect()
        if keep is not None:
            _keep(found, keep, within)
        if as_json:
            show_json(_as_dict(found, effect))
        else:
            show(_told(found, effect, within))
            if keep is not None:
                print(f"\nkept: {keep}")


def _keep(found: Measuring, path: Path, within: str) -> None:
    from services.broadcast.campaigns import returning, watching
    from services.tools.effects import keeping

    line = keeping.line(found, within, now_ms())
    shipped = Path(watching.__file__).with_name("calls_back.yaml")
    try:
        before = path.read_text("utf-8") if path.exists() else shipped.read_text("utf-8")
        returning.parse(before, path.name)
        after = keeping.kept(before, path.name, found.campaign_id, line)
        returning.parse(after, path.name)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(after, "utf-8")
        partial.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be written ({type(error).__name__})") from None


def _told(found: Measuring, effect: Effect, within: str) -> list[str]:
    lines = [f"{said(found.campaign.plan.name)}: calls within {within} of its start"]
    lines.append(f"  sent to    {_part(effect.sent)}; {effect.delivered:,} have it")
    lines.append(f"  held back  {_part(effect.held)}")
    if not effect.known:
        lines.append("nobody can be compared: a plan with held_back keeps a share apart")
        return lines
    share, least, most = (100 * one for one in effect.fewer)
    lines.append(f"{share:.1f} points fewer call (95 %: {least:.1f} to {most:.1f})")
    avoided, low, high = effect.avoided
    lines.append(f"callers avoided: {avoided:,.0f} (95 %: {low:,.0f} to {high:,.0f})")
    if low <= 0 <= high:
        lines.append("that may be chance: hold a larger share back, or wait for more calls")
    return lines


def _part(part: Part) -> str:
    low, high = (100 * one for one in part.interval)
    return (
        f"{part.people:,} people, {part.callers:,} called ({100 * part.share:.1f} %, 95 %: "
        f"{low:.1f} to {high:.1f}), {part.calls:,} calls"
    )


def _as_dict(found: Measuring, effect: Effect) -> dict[str, object]:
    parts = {
        name: {
            "people": part.people,
            "callers": part.callers,
            "calls": part.calls,
            "share": part.share,
            "interval": part.interval,
        }
        for name, part in (("sent", effect.sent), ("held_back", effect.held))
    }
    return {
        "campaign_id": found.campaign_id,
        "started_ms": found.started_ms,
        "within_ms": found.within_ms,
        "delivered": effect.delivered,
        **parts,
        "fewer": effect.fewer if effect.known else None,
        "avoided": effect.avoided if effect.known else None,
    }
