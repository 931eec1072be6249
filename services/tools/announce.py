"""`mawja announce`: what callers hear while they wait."""

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from mawja.outreach.v1 import announcements_pb2, announcements_pb2_grpc
from mawja.outreach.v1.announcements_pb2 import Announcement, AnnouncementText
from rich.table import Table

from services.runtime.announcements import ends_ms
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError, NotFound
from services.runtime.identity import Role
from services.runtime.spans import span_ms
from services.tools.asked import Service, opened
from services.tools.options import AsCoordinator, AsJson, Outreach, Token
from services.tools.screen import console, show_answer
from services.tools.where import Home

app = typer.Typer(
    name="announce",
    help="""What callers hear while they wait: a text per line and language, which telephone systems
fetch. It ends by itself.

Works on the local run (`mawja up`), or on the service at MAWJA_OUTREACH.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_SHORT = 8


class Desk(Service):
    """AnnouncementService for one coordinator. Raises what the service refuses with, Away."""

    def __init__(self, target: str, token: str) -> None:
        super().__init__(target, "outreach", announcements_pb2_grpc.AnnouncementServiceStub, token)

    def known(self, line: str = "", over: bool = False) -> Sequence[Announcement]:
        """Those that play or will; `over`: also those that are."""
        asked = announcements_pb2.ListAnnouncementsRequest(line=line, over=over)
        answer: announcements_pb2.ListAnnouncementsResponse = self.ask("ListAnnouncements", asked)
        return answer.announcements


def _desk(
    home: Path | None, outreach: str, token: str, subject: str
) -> AbstractContextManager[Desk]:
    return opened(
        Desk, "outreach", Role.COORDINATOR, "mawja announce list", home, outreach, token, subject
    )


@app.command("set")
def set_command(
    line: Annotated[list[str], typer.Option(help="A line that plays it. Repeatable.")],
    ar: Annotated[str, typer.Option(help="What is said, in Arabic.")],
    en: Annotated[str, typer.Option(help="What is said, in English.")],
    lasts: Annotated[str, typer.Option(help="How long it plays: 30m, 2h, 3d; at most 31d.")],
    text: Annotated[
        list[str] | None,
        typer.Option(help="In another language, e.g. ur=TEXT. Repeatable."),
    ] = None,
    agency: Annotated[str, typer.Option(help="Agency it is about.")] = "",
    urgent: Annotated[
        bool, typer.Option("--urgent", help="A life may hang on it: plays before the others.")
    ] = False,
    drill: Annotated[
        bool, typer.Option("--drill", help="A rehearsal: only lines that rehearse play it, marked.")
    ] = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: Home = None,
) -> None:
    """Have lines play something, from now on.

    Example:

    - `mawja announce set --line 109 --ar 'المدارس مغلقة.' --en 'Schools are closed.' --lasts 12h`
    """
    with _desk(home, outreach, token, as_subject) as desk:
        lasts_ms = span_ms(lasts)
        if lasts_ms is None:
            raise ConfigError("--lasts must be a time such as 30m, 2h or 3d")
        texts = {"ar": ar, "en": en}
        for given in text or []:
            language, equals, said = given.partition("=")
            if not equals or language in texts:
                raise ConfigError("--text takes LANGUAGE=TEXT, e.g. ur=TEXT, each language once")
            texts[language] = said
        request = announcements_pb2.SetAnnouncementRequest(
            request_id=str(uuid.uuid4()),
            lines=line,
            agency=agency,
            texts=[AnnouncementText(language=one, text=said) for one, said in texts.items()],
            until_ms=now_ms() + lasts_ms,
            urgent=urgent,
            drill=drill,
        )
        set_one: Announcement = desk.ask("SetAnnouncement", request).announcement
        if as_json:
            show_answer(set_one)
            return
        print(
            f"{set_one.announcement_id[:_SHORT]} plays on {', '.join(set_one.lines)} until "
            f"{_local(set_one.until_ms)}" + (" (rehearsals only)" if drill else "")
        )
        print(f"end it sooner: mawja announce end {set_one.announcement_id[:_SHORT]}")


@app.command("list")
def list_command(
    line: Annotated[str, typer.Option(help="Only of this line.")] = "",
    over: Annotated[bool, typer.Option("--over", help="Also those that are over.")] = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: Home = None,
) -> None:
    """What lines play or will, who set it and until when."""
    with _desk(home, outreach, token, as_subject) as desk:
        found = desk.known(line, over)
        if as_json:
            show_answer(announcements_pb2.ListAnnouncementsResponse(announcements=found))
            return
        if not found:
            print("no line plays anything")
            return
        table = Table("", "lines", "until", "set by", "says", "", box=None, pad_edge=False)
        for one in found:
            marks = [name for name, set_ in (("urgent", one.urgent), ("drill", one.drill)) if set_]
            if one.ended_ms:
                marks.append(f"ended by {one.ended_by}")
            table.add_row(
                one.announcement_id[:_SHORT],
                ", ".join(one.lines),
                _local(ends_ms(one)),
                one.set_by,
                one.texts[0].text if one.texts else "",
                ", ".join(marks),
            )
        console().print(table)


@app.command("end")
def end_command(
    announcement: Annotated[str, typer.Argument(help="Its id, or how it begins (`list`).")],
    token: Token = "",
    as_subject: AsCoordinator = "",
    outreach: Outreach = "",
    home: Home = None,
) -> None:
    """End one before its time."""
    with _desk(home, outreach, token, as_subject) as desk:
        found = [
            one.announcement_id
            for one in desk.known()
            if one.announcement_id.startswith(announcement.lower())
        ]
        if len(found) != 1:
            raise NotFound(
                f"{len(found)} announcements begin so: give more of the id"
                if found
                else "no such announcement plays: see `mawja announce list`"
            )
        request = announcements_pb2.EndAnnouncementRequest(announcement_id=found[0])
        over: Announcement = desk.ask("EndAnnouncement", request).announcement
        print(f"{over.announcement_id[:_SHORT]} is over on {', '.join(over.lines)}")


def _local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%d/%m %H:%M")
