"""`mawja proposal`: looks at what outreach suggests, and accepts, edits or declines it."""

import contextlib
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from google.protobuf.message import Message
from mawja.broadcast.v1 import campaigns_pb2, campaigns_pb2_grpc
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignText, CostRange
from mawja.outreach.v1 import proposals_pb2, service_pb2_grpc
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalEdit

from loadtests.shapes import ShapeError
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, MawjaError, NotFound
from services.runtime.identity import Role
from services.runtime.proposed import cost_asked
from services.runtime.spans import span_ms
from services.tools import where
from services.tools.asked import Service, opened, place, shown
from services.tools.campaigns.app import show, show_json
from services.tools.campaigns.query import written
from services.tools.options import AsCoordinator, AsJson, Broadcast, Outreach, Token
from services.tools.proposals import telling
from services.tools.proposals.replay import read, replay
from services.tools.told import told

app = typer.Typer(
    name="proposal",
    help="""Proposals: what could be sent now, because more people than usual reach out.

Within a minute of a burst outreach proposes a campaign: what is asked, by how many, where, how fast
it grows, to whom, in which approved words, how many calls that may avoid. `accept` makes a draft of
it, in your name; somebody else approves that, like any campaign. `edit` changes words or audience,
`decline` says no for as long as the burst lasts. A burst that is over takes its proposal along.

Works on the local run (`mawja up`), or on the services at MAWJA_OUTREACH and MAWJA_BROADCAST.
Proposals are named by their id, or by as much of its beginning as no other has.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Name = Annotated[
    str, typer.Argument(metavar="PROPOSAL", help="Its id, or the first letters of it.")
]
_STATES = {
    "any": proposals_pb2.PROPOSAL_STATE_UNSPECIFIED,
    "open": proposals_pb2.PROPOSAL_STATE_OPEN,
    "accepted": proposals_pb2.PROPOSAL_STATE_ACCEPTED,
    "declined": proposals_pb2.PROPOSAL_STATE_DECLINED,
    "expired": proposals_pb2.PROPOSAL_STATE_EXPIRED,
}
_SHORTEST_ID = 4
_MOST = 500


class Desk(Service):
    """OutreachService for one coordinator. Every method raises what the service refuses with."""

    def __init__(self, target: str, token: str) -> None:
        super().__init__(target, "outreach", service_pb2_grpc.OutreachServiceStub, token)

    def find(self, name: str) -> Proposal:
        """The proposal whose id begins so. Raises NotFound, ConfigError."""
        if len(name) < _SHORTEST_ID:
            raise ConfigError(f"give at least {_SHORTEST_ID} letters of the proposal's id")
        request = proposals_pb2.ListProposalsRequest(page_size=_MOST)
        listed = self.ask("ListProposals", request).proposals
        found = [one for one in listed if one.proposal_id.startswith(name.lower())]
        if not found:
            raise NotFound(f"no proposal's id begins with {name}")
        if len(found) > 1:
            raise ConfigError(f"{len(found)} proposals begin with {name}: give more letters")
        one: Proposal = found[0]
        return one

    def do(self, method: str, proposal: Proposal, **given: Any) -> Proposal:
        """What a coordinator decides."""
        request = getattr(proposals_pb2, f"{method}Request")(
            request_id=str(uuid.uuid4()), proposal_id=proposal.proposal_id, **given
        )
        after: Proposal = self.ask(method, request).proposal
        return after


def _desk(
    home: Path | None, outreach: str, token: str, subject: str
) -> AbstractContextManager[Desk]:
    return opened(
        Desk, "outreach", Role.COORDINATOR, "mawja proposal show", home, outreach, token, subject
    )


@app.command("list")
def list_command(
    state: Annotated[str, typer.Option(help="open, accepted, declined, expired or any.")] = "",
    most: Annotated[int, typer.Option(min=1, max=_MOST, help="How many.")] = 20,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """What was proposed, the latest first."""
    with _desk(home, outreach, token, as_subject) as desk:
        if state and state not in _STATES:
            raise ConfigError(f"--state is {', '.join(_STATES)}")
        answer = desk.ask(
            "ListProposals",
            proposals_pb2.ListProposalsRequest(state=_STATES[state or "any"], page_size=most),
        )
        if as_json:
            show_json(answer)
        elif answer.proposals:
            show([telling.listed(answer.proposals)])
        else:
            print("nothing is proposed")


@app.command("show")
def show_command(
    proposal: Name,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    broadcast: Broadcast = "",
    home: where.Home = None,
) -> None:
    """All of one: what is asked, by how many, where, and what is suggested; once it is accepted,
    what its draft costs."""
    with _desk(home, outreach, token, as_subject) as desk:
        found = desk.find(proposal)
        if as_json:
            show_json(found)
            return
        asked = partial(_broadcast, home, broadcast, token, as_subject)
        show(telling.whole(found, _draft(found, asked), _costs(found, asked)))


@app.command("accept")
def accept_command(
    proposal: Name,
    reason: Annotated[str, typer.Option(help="Why; kept with your name.")] = "",
    line: Annotated[
        list[str] | None,
        typer.Option(help="Have this line play its texts too, from now on. Repeatable."),
    ] = None,
    lasts: Annotated[str, typer.Option(help="With --line: for how long, e.g. 6h.")] = "6h",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Have a draft made of it, rehearsed at once; write its correction, and have it approved.

    What lines play needs no approval by somebody else, and ends by itself (`mawja announce`).
    """
    with _desk(home, outreach, token, as_subject) as desk:
        found = desk.find(proposal)
        announce = None
        if line:
            lasts_ms = span_ms(lasts)
            if lasts_ms is None:
                raise ConfigError("--lasts must be a time such as 30m, 6h or 2d")
            announce = proposals_pb2.ProposalAnnouncement(lines=line, lasts_ms=lasts_ms)
        after = desk.do(
            "AcceptProposal", found, revision=found.revision, reason=reason, announce=announce
        )
        if as_json:
            show_json(after)
            return
        print(f"accepted; the draft is campaign {after.campaign_id}, in a moment")
        if line:
            print(f"{', '.join(line)} play its words for {lasts}: see `mawja announce list`")
        print(f"next: mawja campaign show {after.campaign_id[:8]}")


@app.command("edit")
def edit_command(
    proposal: Name,
    name: Annotated[str, typer.Option(help="Name of the campaign, for staff.")] = "",
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANGUAGE=TEXT",
            help="What is said, e.g. en='Schools are closed.'; repeat it: all texts are given.",
        ),
    ] = None,
    language: Annotated[
        str, typer.Option(help="Of the texts, the one for people whose language is not known.")
    ] = "",
    callers: Annotated[
        str, typer.Option(help='Who reached out, e.g. "topic=school-closure since=2h state=open".')
    ] = "",
    subscribers: Annotated[
        str, typer.Option(help='Who wants to hear, e.g. "agency=education".')
    ] = "",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Change what it suggests, before it is accepted."""
    with _desk(home, outreach, token, as_subject) as desk:
        if callers and subscribers:
            raise ConfigError("give --callers or --subscribers, not both")
        edit = ProposalEdit(name=name, language=language, texts=_texts(text or []))
        if callers or subscribers:
            of = "callers" if callers else "subscribers"
            edit.audience.CopyFrom(written(of, callers or subscribers, now_ms()))
        found = desk.find(proposal)
        after = desk.do("EditProposal", found, revision=found.revision, edit=edit)
        if as_json:
            show_json(after)
        else:
            show(telling.whole(after, None))


@app.command("decline")
def decline_command(
    proposal: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with your name.")],
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Not this: nothing more is proposed while the burst lasts."""
    with _desk(home, outreach, token, as_subject) as desk:
        after = desk.do("DeclineProposal", desk.find(proposal), reason=reason)
        if as_json:
            show_json(after)
        else:
            print(f"declined; of {telling.about(after)} nothing more is proposed while this lasts")


@app.command("replay")
def replay_command(
    file: Annotated[
        Path, typer.Argument(help="CSV of counts per interval (time, calls), in order of time.")
    ],
    seed: Annotated[int, typer.Option(help="How calls lie within an interval.")] = 1,
    as_json: AsJson = False,
) -> None:
    """How often something would have been proposed over the past: counts of calls, run through what
    finds bursts and makes proposals. Sends and keeps nothing."""
    with told(ShapeError):
        found = replay(read(file), seed)
        if as_json:
            show_json(
                {
                    "weeks": found.weeks,
                    "calls": found.calls,
                    "per_week": found.per_week,
                    "begins_ms": [one.bursts[0].start_ms for one in found.proposals],
                }
            )
        else:
            show(telling.replayed(found))


def _texts(given: list[str]) -> list[CampaignText]:
    """Raises ConfigError."""
    texts = []
    for one in given:
        language, equals, template = one.partition("=")
        if not equals or not template.strip():
            raise ConfigError(f"--text {one}: is not written as LANGUAGE=TEXT")
        texts.append(CampaignText(language=language, template=template))
    return texts


def _broadcast(
    home: Path | None, broadcast: str, token: str, subject: str, method: str, request: Message
) -> Any:
    """The answer of CampaignService; None when it can't be asked, or refuses."""
    with contextlib.suppress(MawjaError):
        target, keys = place(home, broadcast, "broadcast")
        who = shown(token, subject, keys, Role.COORDINATOR)
        service = Service(target, "broadcast", campaigns_pb2_grpc.CampaignServiceStub, who)
        with contextlib.closing(service):
            return service.ask(method, request)
    return None


def _draft(proposal: Proposal, asked: Callable[[str, Message], Any]) -> Campaign | None:
    """The draft that was made of a proposal; None while there is none, or it can't be seen."""
    if not proposal.campaign_id:
        return None
    request = campaigns_pb2.GetCampaignRequest(campaign_id=proposal.campaign_id)
    answer = asked("GetCampaign", request)
    return None if answer is None else cast(Campaign, answer.campaign)


def _costs(proposal: Proposal, asked: Callable[[str, Message], Any]) -> Sequence[CostRange]:
    """What its texts would cost; empty when there are none, or nobody can tell."""
    request = cost_asked(proposal)
    answer = None if request is None else asked("EstimateCost", request)
    return () if answer is None else tuple(answer.costs)
