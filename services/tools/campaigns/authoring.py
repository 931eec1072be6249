"""`mawja campaign example, new, change, preview, rehearse, list, show`: up to the point
where somebody else approves it."""

import sys
import time
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.audiences_pb2 import MakeAudienceRequest
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignPlan
from rich.text import Text

from services.broadcast.campaigns.plans import uploads
from services.local.progress import Progress, Silent
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, Invalid, NotInState
from services.tools.campaigns import dear, lists, tables, words
from services.tools.campaigns import plan as plans
from services.tools.campaigns.app import Name, app, next_is, show, show_json, tell
from services.tools.campaigns.asking import asks
from services.tools.campaigns.audience import find
from services.tools.campaigns.office import Office
from services.tools.options import AsJson

EXAMPLE = files("services.tools.campaigns").joinpath("example.yaml").read_text("utf-8")

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="The file; - reads standard input.")]
AudienceId = Annotated[
    str,
    typer.Option(
        "--audience", help="Id of a list, or its first letters, for a file that leaves it out."
    ),
]


@app.command("example")
def example_command() -> None:
    """Print a plan to begin with, commented in Arabic and English.

    - `mawja campaign example > plan.yaml`
    """
    print(EXAMPLE, end="")


@asks(
    "new",
    help=f"""Make a draft from a plan: a small YAML file.

Nothing is sent. What is wrong with the file is told by line, field and rule.

Examples:

- `mawja campaign new plan.yaml`

- `mawja campaign new plan.yaml --audience 3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44`

A plan (`mawja campaign example` prints it):

```yaml
{EXAMPLE}
```
""",
)
def new_command(
    desk: Office,
    plan_file: PlanFile,
    audience: AudienceId = "",
    as_json: AsJson = False,
) -> None:
    """Make a draft from a plan."""
    written = _plan(plan_file, audience)
    wanted = _filled(desk, written, as_json)
    try:
        made = desk.create(wanted)
    except Invalid as refused:
        raise written.told(refused) from None
    _tell_plan(desk, made, as_json)


@asks("change")
def change_command(
    desk: Office,
    campaign: Name,
    plan_file: PlanFile,
    audience: AudienceId = "",
    version: Annotated[
        int, typer.Option(min=0, help="Only if it is still at this version, as `show` told it.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Replace the plan of a campaign that was not started. Its rehearsal and approval are void."""
    written = _plan(plan_file, audience)
    campaign_id = desk.id_of(campaign)
    seen = version or desk.get(campaign_id).campaign.version
    wanted = _filled(desk, written, as_json)
    try:
        changed = desk.update(campaign_id, seen, wanted)
    except Invalid as refused:
        raise written.told(refused) from None
    _tell_plan(desk, changed, as_json)


def _tell_plan(desk: Office, campaign: Campaign, as_json: bool) -> None:
    """What was made, and at once what of it no row can have."""
    if not as_json:
        names = dict.fromkeys(uploads(campaign.plan.audience))
        for line in dear.told((*campaign.plan.texts, *campaign.plan.corrections)):
            show([Text(words.said(f"look again: {line}"), style="yellow")])
        show(lists.strange(campaign.plan, [desk.audience(name) for name in names]))
    tell(campaign, as_json, "rehearse {}")


def _plan(path: Path, audience: str) -> plans.Written:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8: save it so") from None
    name = "standard input" if str(path) == "-" else path.name
    return plans.read(text, name, now_ms(), audience=audience)


def _filled(desk: Office, written: plans.Written, as_json: bool) -> CampaignPlan:
    """The plan with its lists, queries made into such: what is asked now is what it stays with."""
    plan = written.plan
    asked = {name: desk.list_id_of(begin) for name, begin in written.shorts.items()}
    for placeholder, query in written.queries.items():
        request = MakeAudienceRequest(
            name=plan.name, agency=plan.agency, drill=plan.drill, query=query
        )
        made = find(desk, request, Silent() if as_json else Progress())
        asked[placeholder] = made.audience_id
        if not as_json:
            show(lists.file(made))
    return written.filled(asked)


@asks("preview")
def preview_command(
    desk: Office,
    campaign: Name,
    as_json: AsJson = False,
) -> None:
    """Show to whom it would go and what they would read: its lists, how many people, who is left
    out and why, languages, some numbers masked, parts. Sends nothing, decides nothing.

    Who is left out by rules and routes is known once it was rehearsed.
    """
    seen = desk.get(desk.id_of(campaign)).campaign
    found = desk.look(seen.plan.audience)
    if as_json:
        told = {
            "campaign_id": seen.campaign_id,
            **words.as_dict(found),
            "plan": words.as_dict(seen.plan),
        }
        if seen.HasField("rehearsal"):
            told["rehearsal"] = words.as_dict(seen.rehearsal)
        show_json(told)
        return
    show(tables.head(seen))
    show(tables.plan(seen))
    for one in found.lists:
        show(lists.file(one))
    show(lists.preview(found))
    if seen.HasField("rehearsal"):
        show(tables.rehearsal(seen))
    else:
        print("not rehearsed: what rules and routes leave out, parts and time are known then")
        next_is(seen, "rehearse {}")


@asks("rehearse")
def rehearse_command(
    desk: Office,
    campaign: Name,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, help="Seconds to wait for it; it goes on by itself.")
    ] = 900,
    as_json: AsJson = False,
) -> None:
    """Go through the whole audience as sending would, and send nothing.

    Prints who would get it by which carrier in how many parts, who not and why, and the hash that
    an approval is bound to. Ctrl-C leaves it to end by itself.
    """
    progress = Silent() if as_json else Progress()
    begun = desk.do("Rehearse", desk.id_of(campaign))
    done = _rehearsed(desk, begun, wait_s, progress)
    if as_json:
        show_json(done)
        return
    show(tables.head(done))
    show(tables.rehearsal(done))
    if not tables.goes(done.rehearsal.buckets):
        next_is(done, "change {} PLAN")
        return
    print("next: somebody else looks at it and approves it:")
    print(f"      mawja campaign approve {tables.short(done)}")


def _rehearsed(desk: Office, begun: Campaign, wait_s: float, progress: Progress) -> Campaign:
    """Waits until the rehearsal `begun` has ended. Raises NotInState when somebody ended it."""
    began = time.monotonic()
    while True:
        seen = desk.get(begun.campaign_id).campaign
        passed = time.monotonic() - began
        # The view may still show what was before.
        if seen.version > begun.version:
            if seen.revision == begun.revision and seen.HasField("rehearsal"):
                progress.clear()
                return seen
            if seen.state != campaigns_pb2.CAMPAIGN_STATE_REHEARSING:
                raise NotInState("it was changed or ended meanwhile; see `mawja campaign show`")
        if passed > wait_s:
            raise NotInState(
                f"it is still being rehearsed after {passed:.0f} s and goes on; see "
                f"`mawja campaign preview {tables.short(begun)}`"
            )
        progress.update(f"rehearsing, {passed:.0f} s")
        time.sleep(0.25)


@asks("list")
def list_command(
    desk: Office,
    agency: Annotated[str, typer.Option(help="Only of this agency.")] = "",
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the latest change first."""
    found = list(islice(desk.all(agency), most))
    if as_json:
        show_json({"campaigns": [words.as_dict(one) for one in found]})
    else:
        show([tables.many(found)])


@asks("show")
def show_command(
    desk: Office,
    campaign: Name,
    as_json: AsJson = False,
) -> None:
    """Show all of a campaign: what it says, who did what, where every recipient is."""
    found = desk.get(desk.id_of(campaign))
    if as_json:
        show_json(found)
        return
    seen = found.campaign
    show(tables.head(seen))
    show([Text(f"version {seen.version}"), *tables.deeds(seen)])
    show(tables.why_it_waits(seen, now_ms()))
    show(tables.plan(seen))
    show(tables.how_old(found.counted_ms))
    if found.buckets:
        show(tables.buckets(found.buckets))
    if found.corrections:
        show(tables.buckets(found.corrections, "correction"))
