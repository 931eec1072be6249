"""`mawja campaign import-alert, export-alert`: between campaigns and alerts of CAP 1.2."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from mawja.broadcast.v1 import alerts_pb2
from mawja.broadcast.v1.alerts_pb2 import ExportAlertRequest

from services.runtime.errors import ConfigError, Invalid
from services.tools.campaigns import drafting
from services.tools.campaigns.app import Name, show_json
from services.tools.campaigns.asking import asks
from services.tools.campaigns.office import Office
from services.tools.options import AsJson

_MOST_BYTES = 1024 * 1024

AlertFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The alert; - reads standard input.")
]


@asks("import-alert")
def import_command(
    desk: Office,
    alert_file: AlertFile,
    to: Annotated[
        Path | None, typer.Option(help="Write the plan there; a file that is there stays.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read an alert (CAP 1.2) and write the plan that it suggests.

    Makes no campaign: fill in whom it goes to and what a recall would say, look at the rest, and
    give the file to `mawja campaign new`. Whatever isn't an actual alert becomes a drill. Who
    signed it is checked by the certificates that the service trusts (MAWJA_CAP_TRUSTED); of an
    alert with a signature that proves nothing, nothing is taken. What is wrong with an alert is
    told by line and element; then the exit code is 1.

    Examples:

    - `mawja campaign import-alert flood.xml --to plan.yaml`

    - `mawja campaign new plan.yaml --audience 3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44`
    """
    content = _content(alert_file)
    name = "standard input" if str(alert_file) == "-" else alert_file.name
    if not 0 < len(content) <= _MOST_BYTES:
        raise ConfigError(f"{name}: must hold an alert, of {_MOST_BYTES} bytes at most")
    said = desk.read_alert(content)
    if as_json:
        show_json(said)
        if said.problems:
            raise typer.Exit(1)
    elif said.problems:
        _tell([drafting.signature(said)] if said.signature else [])
        found = drafting.faults(said, name)
        raise ConfigError("\n  ".join([f"{len(found)} faults", *found][len(found) == 1 :]))
    plan = drafting.plan_file(said)
    if to is not None:
        _keep(to, plan.encode())
        _tell([*drafting.about(said), f"next: fill in {to}, then mawja campaign new {to}"])
    elif not as_json:
        print(plan, end="")


@asks("export-alert")
def export_command(
    desk: Office,
    campaign: Name,
    to: Annotated[
        Path | None, typer.Option(help="Write it there; a file that is there stays.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="What happens, by language (ar=سيول). Left out: as the kind is called."),
    ] = None,
    category: Annotated[str, typer.Option(help="Geo, Met, Safety, Health … as CAP has it.")] = "",
    urgency: Annotated[str, typer.Option(help="Immediate, Expected, Future, Past.")] = "",
    severity: Annotated[str, typer.Option(help="Extreme, Severe, Moderate, Minor.")] = "",
    certainty: Annotated[str, typer.Option(help="Observed, Likely, Possible, Unlikely.")] = "",
    first: Annotated[
        bool, typer.Option("--first", help="The alert that went out, also of one that has ended.")
    ] = False,
) -> None:
    """Write a campaign that was started as an alert (CAP 1.2).

    A recalled one is the Update with its correction, an ended one the Cancel; both refer to the
    alert that went out. A drill's is an Exercise. It is signed when the service has a key
    (MAWJA_CAP_SIGNING).

    Examples:

    - `mawja campaign export-alert 01f7ea56 --event ar=سيول --event en=Flood --to flood.xml`
    """
    events = dict(_event(one) for one in event or ())
    request = ExportAlertRequest(
        campaign_id=desk.id_of(campaign),
        events=events,
        category=category,
        urgency=urgency,
        severity=severity,
        certainty=certainty,
        first=first,
    )
    try:
        said = desk.export_alert(request)
    except Invalid as refused:
        raise ConfigError(_options(refused)) from None
    if to is None:
        sys.stdout.buffer.write(said.alert)
        sys.stdout.buffer.flush()
    else:
        _keep(to, said.alert)
    _tell(_summary(said))


def _summary(said: alerts_pb2.ExportAlertResponse) -> list[str]:
    about = [f"{drafting.kind_of(said)} {said.name.identifier} of {said.name.sender}"]
    about += [f"refers to {one.identifier}" for one in said.references]
    about.append("signed" if said.signed else "not signed: the service has no MAWJA_CAP_SIGNING")
    return ["; ".join(about)]


def _options(refused: Invalid) -> str:
    """A refusal in the words of the command's options."""
    named = {"events": "event"}
    return "; ".join(
        f"--{named.get(one.field, one.field)}: {one.rule}" for one in refused.violations
    )


def _event(given: str) -> tuple[str, str]:
    language, equals, name = given.partition("=")
    if not (equals and language.strip() and name.strip()):
        raise ConfigError("--event must be a language and a name, e.g. ar=سيول")
    return language.strip(), name.strip()


def _content(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read(_MOST_BYTES + 1) if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _keep(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigError(f"{path} is there already: give another --to") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
