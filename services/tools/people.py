"""`mawja people`: erases one person at once, on their own or a court's word."""

import sys
import uuid
from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer
from mawja.dedup.v1 import service_pb2, service_pb2_grpc

from services.runtime.errors import Away, ConfigError
from services.runtime.identity import Role
from services.runtime.privacy import mask
from services.tools import where
from services.tools.asked import Service, ended, place, shown
from services.tools.options import AsJson, Dedup, Token
from services.tools.screen import show_answer

app = typer.Typer(
    name="people",
    help="""What is done with a person's data as a whole.

Works on the local run (`mawja up`), or on the service at MAWJA_DEDUP.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def people() -> None:
    """What is done with a person's data as a whole."""


_GONE = """Erasing the person at {number}. Gone, for every reader and at once:
  · the number, texts, places and notes of all that they told until now, wherever a copy is kept
  · messages that wait to be sent to them, and callbacks that are owed to them
What stays, without number or words:
  · their cases and contacts as counts: times, lines, agencies, services, what was done
  · that they opted out, and that you asked for this and why
It can't be undone. Who calls again is somebody new."""
_AGAIN = (
    "mawja: it may be done. Asked again with --request-id {request_id} it takes nothing that they "
    "say from now on"
)
_LOOK = "mawja audit list --what ErasePerson"


@app.command("erase")
def erase_command(
    reason: Annotated[
        str,
        typer.Option(help="Why: 10 characters or more, without the number. Auditors read it."),
    ],
    number: Annotated[
        str,
        typer.Argument(
            help="E.164, as +971501234567; better left out: it is asked for, or read from standard "
            "input, and then stands in no shell's history."
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before.")] = False,
    request_id: Annotated[
        str,
        typer.Option(
            help="Of a request that had no answer, as the command said it then: this is that one."
        ),
    ] = "",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: Annotated[
        str,
        typer.Option(
            "--as", help="Who you are, in a local run that makes tokens: an administrator so named."
        ),
    ] = "",
    dedup: Dedup = "",
    home: where.Home = None,
) -> None:
    """Erase one person: their number and words are opened by nobody any more, from now on.

    Needs an administrator. What they say later is a new beginning; the same person may be erased
    again.

    Examples:

    - `mawja people erase --reason "request 4711 of 22/11"`

    - `pass show request-4711 | mawja people erase --yes --reason "request 4711 of 22/11"`
    """
    with ended(_LOOK):
        target, keys = place(home, dedup, "dedup")
        who = shown(token, as_subject, keys, Role.ADMINISTRATOR)
        number = number or _asked()
        if not yes:
            _confirm(number)
        stub = service_pb2_grpc.DedupServiceStub
        with closing(Service(target, "dedup", stub, who)) as service:
            asked = service_pb2.ErasePersonRequest(
                number=number, reason=reason, request_id=request_id or str(uuid.uuid4())
            )
            try:
                answer = service.ask("ErasePerson", asked)
            except Away:
                print(_AGAIN.format(request_id=asked.request_id), file=sys.stderr)
                raise
        if as_json:
            show_answer(answer)
            return
        at = datetime.fromtimestamp(answer.erased_ms / 1000).astimezone()
        print(f"erased: what was told until {at:%d/%m/%Y %H:%M:%S}; see `{_LOOK}`")


def _asked() -> str:
    """The number, which is not shown while it is typed."""
    if sys.stdin.isatty():
        said: str = typer.prompt("Number, as +971501234567 (not shown)", hide_input=True, err=True)
    else:
        said = sys.stdin.readline()
    return said.strip()


def _confirm(number: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: give --yes once you are sure")
    print(_GONE.format(number=mask(number)), file=sys.stderr)
    typer.confirm("Erase this person?", abort=True, err=True)
