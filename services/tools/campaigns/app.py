"""The `mawja campaign` group, and what its commands have in common: options, output, questions."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from google.protobuf.message import Message
from mawja.broadcast.v1.campaigns_pb2 import Campaign
from rich.console import Console, RenderableType

from services.runtime.errors import ConfigError
from services.tools.campaigns import tables, words
from services.tools.screen import console

app = typer.Typer(
    name="campaign",
    help="""Campaigns: write to many, in their language, and stop, correct and prove it.

A campaign is a small file (`example`) for a list of recipients (`audience`). It is rehearsed
through everything that sending goes through, approved by somebody else than who wrote it, and
started. It can be held, ended and recalled at any moment; every recipient is in exactly one bucket.

Works on the local run (`mawja up`), or on the service at MAWJA_BROADCAST. Campaigns are named by
their id, or by as much of its beginning as no other has.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Name = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Its id, or the first letters of it.")
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; kept with your name. Asked for when left out.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_SHORTEST_REASON = 3


def show(lines: Iterable[RenderableType], to: Console | None = None) -> None:
    """Prints one below the other."""
    screen = to or console()
    for one in lines:
        screen.print(one, soft_wrap=False)


def show_json(message: Message | dict[str, Any]) -> None:
    """Prints an answer for a program."""
    told = words.as_dict(message) if isinstance(message, Message) else message
    print(json.dumps(told, indent=2, ensure_ascii=False))


def errors_console() -> Console:
    """For what must not stand in an answer for a program."""
    return Console(stderr=True)


def next_is(campaign: Campaign, what: str) -> None:
    """Says what usually comes next."""
    print(f"next: mawja campaign {what.format(campaign.campaign_id[:8])}")


def tell(campaign: Campaign, as_json: bool, following: str) -> None:
    """Says what became of a campaign, and what usually comes next."""
    if as_json:
        show_json(campaign)
        return
    show(tables.head(campaign))
    next_is(campaign, following)


def reason_for(given: str, deed: str) -> str:
    """The reason of a deed, asked of a person when it was not given. Raises ConfigError."""
    if not given and sys.stdin.isatty():
        given = typer.prompt(
            f"Why do you {deed} it? (kept with your name; no personal data)", err=True
        )
    given = given.strip()
    if len(given) < _SHORTEST_REASON:
        raise ConfigError(
            f"to {deed} a campaign takes --reason, of {_SHORTEST_REASON} letters at least: it is "
            "kept with your name"
        )
    return given


def sure(question: str, yes: bool) -> None:
    """Asks whether to go on. Raises ConfigError where nobody can answer, typer.Exit for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody is here to be asked: look at it, then give --yes")
    if not typer.confirm(question, err=True):
        print("nothing was done", file=sys.stderr)
        raise typer.Exit(1)
