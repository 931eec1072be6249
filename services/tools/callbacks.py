"""`mawja callbacks`: what an agent types to call people back, from anywhere with only gRPC."""

import uuid
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from mawja.outreach.v1 import events_pb2, service_pb2, service_pb2_grpc
from rich.table import Table

from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, NotFound
from services.runtime.identity import Role
from services.tools import where
from services.tools.asked import Service, opened
from services.tools.options import AsAgent, AsJson, Outreach, Token
from services.tools.screen import console, show_answer

app = typer.Typer(
    name="callbacks",
    help="""Call people back: claim one, call, say what came of it.

`claim` gives you the person who comes first and the number to call; it is yours for some minutes
(`extend` while the call lasts). You have one at a time, and the other commands are about that one.
Who is not reached is tried again at another time of the day; nobody loses their place.

Works on the local run (`mawja up`), or on the service at MAWJA_OUTREACH.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Drill = Annotated[
    bool,
    typer.Option("--drill", help="Of a drill that you take part in, instead of real callers."),
]
_OUTCOMES = {
    "resolved": events_pb2.CALLBACK_OUTCOME_RESOLVED,
    "needs-more": events_pb2.CALLBACK_OUTCOME_NEEDS_MORE,
}
_NONE = "you have no callback: claim one (`mawja callbacks claim`)"


class Desk(Service):
    """OutreachService for one agent. Every method raises what the service refuses with, Away."""

    def __init__(self, target: str, token: str) -> None:
        super().__init__(target, "outreach", service_pb2_grpc.OutreachServiceStub, token)

    def mine(self) -> events_pb2.Callback:
        """The callback that the agent has. Raises NotFound."""
        listed = self.ask("ListCallbacks", service_pb2.ListCallbacksRequest(mine=True))
        if not listed.callbacks:
            raise NotFound(_NONE)
        mine: events_pb2.Callback = listed.callbacks[0]
        return mine

    def do(self, method: str, **given: Any) -> events_pb2.Callback:
        """What the agent says of the callback that they have."""
        request = getattr(service_pb2, f"{method}Request")(
            request_id=str(uuid.uuid4()), callback_id=self.mine().callback_id, **given
        )
        after: events_pb2.Callback = self.ask(method, request).callback
        return after


def _desk(
    home: Path | None, outreach: str, token: str, subject: str
) -> AbstractContextManager[Desk]:
    return opened(
        Desk, "outreach", Role.AGENT, "mawja callbacks list --mine", home, outreach, token, subject
    )


@app.command("list")
def list_command(
    mine: Annotated[bool, typer.Option("--mine", help="The one that you have.")] = False,
    agency: Annotated[str, typer.Option(help="Only of this agency.")] = "",
    most: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 20,
    drill: Drill = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Who waits to be called, in the order of calling."""
    with _desk(home, outreach, token, as_subject) as desk:
        request = service_pb2.ListCallbacksRequest(
            mine=mine, agency=agency, page_size=most, work=_work(drill)
        )
        answer = desk.ask("ListCallbacks", request)
        if as_json:
            show_answer(answer)
            return
        table = Table("case", "waits", "agency", "line", "language", "", box=None, pad_edge=False)
        for callback in answer.callbacks:
            table.add_row(
                callback.case_number,
                _minutes(now_ms() - callback.place_ms),
                callback.agency or "-",
                callback.line or "-",
                callback.language or "-",
                _remarks(callback),
            )
        console().print(table if answer.callbacks else "nobody waits to be called")


@app.command("claim")
def claim_command(
    callback: Annotated[
        str, typer.Argument(metavar="[CALLBACK]", help="The id of one; without it, the first.")
    ] = "",
    language: Annotated[list[str] | None, typer.Option(help="You speak it; repeat it.")] = None,
    agency: Annotated[list[str] | None, typer.Option(help="You serve it; repeat it.")] = None,
    line: Annotated[list[str] | None, typer.Option(help="You serve it; repeat it.")] = None,
    drill: Drill = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Take the callback that comes first, with the number to call."""
    with _desk(home, outreach, token, as_subject) as desk:
        answer = desk.ask(
            "ClaimCallback",
            service_pb2.ClaimCallbackRequest(
                callback_id=callback,
                languages=language,
                agencies=agency,
                lines=line,
                work=_work(drill),
            ),
        )
        if as_json:
            show_answer(answer)
            return
        if not answer.HasField("callback"):
            wait_s = answer.retry_after_ms // 1000
            print(f"nobody waits to be called; ask again in {wait_s} s")
            return
        claimed = answer.callback
        if drill:
            print("DRILL: nobody is called in earnest")
        print(f"call {answer.number or '(the number was erased: give it up)'}")
        waits = _minutes(now_ms() - claimed.place_ms)
        told = ", ".join(one for one in (claimed.agency, claimed.language) if one)
        print(f"case {claimed.case_number}, waits for {waits}{f' ({told})' if told else ''}")
        if remarks := _remarks(claimed):
            print(remarks)
        again = "you had it already; " if answer.held else ""
        print(f"{again}yours for {_minutes(claimed.lease_until_ms - now_ms())}; then:")
        print("  mawja callbacks complete resolved|needs-more, no-answer, release or give-up")


@app.command("extend")
def extend_command(
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Have it for longer: the call goes on."""
    with _desk(home, outreach, token, as_subject) as desk:
        _tell(desk.do("ExtendClaim"), as_json)


@app.command("complete")
def complete_command(
    outcome: Annotated[str, typer.Argument(help="resolved, or needs-more.")],
    note: Annotated[str, typer.Option(help="What is to be remembered; stored sealed.")] = "",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """You spoke with the person."""
    with _desk(home, outreach, token, as_subject) as desk:
        if outcome not in _OUTCOMES:
            raise ConfigError(f"it came to {' or '.join(_OUTCOMES)}, not {outcome!r}")
        _tell(desk.do("CompleteCallback", outcome=_OUTCOMES[outcome], note=note), as_json)


@app.command("no-answer")
def no_answer_command(
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """You called, and nobody answered."""
    with _desk(home, outreach, token, as_subject) as desk:
        _tell(desk.do("ReportNoAnswer"), as_json)


@app.command("release")
def release_command(
    start: Annotated[
        datetime | None,
        typer.Option("--from", help="The person wants a call from then (this machine's time)."),
    ] = None,
    until: Annotated[datetime | None, typer.Option("--until", help="… until then.")] = None,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Give it back: it is due again at its place, or at the time that the person asked for."""
    with _desk(home, outreach, token, as_subject) as desk:
        if (start is None) != (until is None):
            raise ConfigError("a time that is promised takes both, --from and --until")
        times = {
            "promised_from_ms": int(start.timestamp() * 1000) if start else 0,
            "promised_until_ms": int(until.timestamp() * 1000) if until else 0,
        }
        _tell(desk.do("ReleaseCallback", **times), as_json)


@app.command("give-up")
def give_up_command(
    reason: Annotated[str, typer.Option("--reason", help="Why; stored sealed, with your name.")],
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """End it without a call. The person is told by message how to reach us."""
    with _desk(home, outreach, token, as_subject) as desk:
        _tell(desk.do("GiveUpCallback", reason=reason), as_json)


def _work(drill: bool) -> "events_pb2.Work.ValueType":
    return events_pb2.WORK_DRILL if drill else events_pb2.WORK_UNSPECIFIED


def _tell(callback: events_pb2.Callback, as_json: bool) -> None:
    if as_json:
        show_answer(callback)
        return
    state = events_pb2.CallbackState.Name(callback.state).removeprefix("CALLBACK_STATE_").lower()
    print(f"{callback.case_number}: {state.replace('_', ' ')}")
    if remarks := _remarks(callback):
        print(remarks)


def _remarks(callback: events_pb2.Callback) -> str:
    found = ["LIFE IN DANGER"] if callback.life_safety else []
    found += ["DRILL"] if callback.drill else []
    if callback.tried_ms:
        found.append(f"nobody answered {len(callback.tried_ms)} times")
    if callback.not_before_ms:
        found.append(f"due again {_local(callback.not_before_ms)}")
    if callback.promised_until_ms:
        end = _local(callback.promised_until_ms)
        found.append(f"promised {_local(callback.promised_from_ms)} to {end}")
    return ", ".join(found)


def _minutes(ms: int) -> str:
    return f"{max(0, ms) // 60_000:,} min"


def _local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%d/%m %H:%M")
