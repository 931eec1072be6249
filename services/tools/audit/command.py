"""`mawja audit`: who decided what, and whether the record of it is whole."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2
from mawja.audit.v1 import service_pb2

from services.runtime import clock
from services.runtime.audit.reading import Found, calls, meant, notes, shown
from services.runtime.config import Settings
from services.runtime.errors import ConfigError
from services.runtime.identity import Unauthenticated, Verifier, may
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from services.runtime.topics import AUDITS
from services.tools import where
from services.tools.audit import heads
from services.tools.audit.checking import check
from services.tools.campaigns.times import past_ms
from services.tools.options import Token
from services.tools.screen import console, listing
from services.tools.told import told

app = typer.Typer(
    name="audit",
    help="""Who decided what, and whether the record of it is whole.

Every decision of a person stands in `<room>.audit.v1`, each record with the hash of the one before.
`verify` reads the logs themselves and asks no service. What was cut off at the end, or written anew
from some record on, only an exported head can tell: have `head` run each day, and keep what it
prints where nobody who can write to Kafka can write.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Room = Annotated[
    list[str] | None, typer.Option("--room", help=f"One of {', '.join(AUDITS)}. Repeatable.")
]


@app.command("head")
def head_command(room: Room = None, home: where.Home = None) -> None:
    """Print where every chain stands: count, hash and time, signed with the token key of the ring.

    Refuses to say it of a chain that is not whole (exit code 1).

    Example:

    - `mawja audit head > /mnt/worm/audit-2026-11-22.json`
    """
    with told():
        settings = where.system(home)
        found = check(settings, _rooms(room))
        if found.findings:
            raise ConfigError("a chain is not whole: see `mawja audit verify`")
        print(heads.text_of(found.heads, found.last_ms, clock.now_ms(), settings.keys))


@app.command("verify")
def verify_command(
    head: Annotated[
        Path | None, typer.Option(help="What `mawja audit head` printed at some time before.")
    ] = None,
    room: Room = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: where.Home = None,
) -> None:
    """Check every chain from its first record on: nothing changed, missing, elsewhere or cut off.

    Exit code 1 when something is; each finding names topic, partition and sequence number.

    Examples:

    - `mawja audit verify`

    - `mawja audit verify --head /mnt/worm/audit-2026-11-22.json`
    """
    with told():
        settings = where.system(home)
        exported = heads.read(head, settings.keys) if head else None
        found = check(settings, _rooms(room), exported)
    said = [
        {"topic": topic, "partition": it.partition, "sequence": it.sequence, "finding": it.what}
        for topic, it in found.findings
    ]
    if as_json:
        signed = exported.signed_by if exported else ""
        print(json.dumps({"records": found.records, "signed_by": signed, "findings": said}))
    else:
        for it in said:
            print("{topic}, partition {partition}: {sequence} {finding}".format_map(it))
        print(f"{found.records:,} records in {len(found.heads)} chains, {len(said)} findings")
        if exported is None:
            print("without --head: a chain that was written anew can't be told from the true one")
        elif not exported.signed_by:
            print(f"{head} is not signed: it proves as much as the place where it was kept")
    if said:
        raise typer.Exit(1)


@app.command("list")
def list_command(
    who: Annotated[str, typer.Option(help="Only of this token subject.")] = "",
    what: Annotated[str, typer.Option(help="Only deeds with this in them: ApproveCampaign.")] = "",
    about: Annotated[str, typer.Option(help="Only on this id, or on this number (E.164).")] = "",
    since: Annotated[str, typer.Option(help="36h, 7d, or 2026-11-22T08:00+04:00.")] = "",
    room: Room = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: an object a line.")
    ] = False,
    token: Token = "",
    home: where.Home = None,
) -> None:
    """List who decided what, the latest last. For auditors and administrators.

    Examples:

    - `mawja audit list --what RevealPerson --since 7d`

    - `mawja audit list --who sara --json`

    - `mawja audit list --about +999500000001`
    """
    with told():
        settings = where.system(home)
        if not token:
            raise Unauthenticated(
                "this needs to know who you are: set MAWJA_TOKEN, or give --token; see "
                "`mawja token`"
            )
        may("audit list", Verifier(settings.keys).verify(f"Bearer {token}"))
        keyring = Keyring(settings.keys)
        if about.startswith("+"):
            about = f"person:{keyring.person(about).hex()}"
        asked = service_pb2.ListAuditRequest(
            subject=who, deed=what, about=about, since_ms=_since_ms(since, clock.now_ms())
        )
        listed = [shown(one, keyring) for one in _found(settings, _rooms(room), asked)]
    if as_json:
        for call in listed:
            print(json.dumps(_as_dict(call), ensure_ascii=False))
        return
    table = listing("when (UTC)", "who", "as", "what", "on", "outcome", "why")
    for call in listed:
        when = datetime.fromtimestamp(call.asked_ms / 1000, UTC)
        roles = ", ".join(call.roles)
        table.add_row(
            f"{when:%Y-%m-%dT%H:%M:%S}",
            call.subject,
            roles,
            call.deed,
            call.about or _session(call),
            _outcome(call),
            call.reason,
        )
    console().print(table)


def _found(
    settings: Settings, rooms: list[str], asked: service_pb2.ListAuditRequest
) -> list[Found]:
    found: list[Found] = []
    with Scan(settings.kafka, [AUDITS[room].chain for room in rooms], asked.since_ms) as scan:
        scan.advance(lambda record: found.append(notes(record)))
    wanted = [one for one in calls(found) if meant(one.note, asked)]
    return sorted(wanted, key=lambda one: (one.note.asked_ms, one.note.call_id))


def _outcome(call: service_pb2.AuditedCall) -> str:
    if not call.HasField("code"):
        return "not known"
    return "done" if call.code == code_pb2.OK else code_pb2.Code.Name(call.code).lower()


def _session(call: service_pb2.AuditedCall) -> str:
    return " by ".join(one for one in (call.session_id, call.way) if one)


def _as_dict(call: service_pb2.AuditedCall) -> dict[str, Any]:
    said = MessageToDict(call, preserving_proto_field_name=True)
    for name in ("asked_ms", "answered_ms", "sequence"):
        said[name] = getattr(call, name)
    return {**said, "outcome": _outcome(call)}


def _rooms(given: list[str] | None) -> list[str]:
    for room in given or []:
        if room not in AUDITS:
            raise ConfigError(f"{room} has no audit; rooms that have: {', '.join(AUDITS)}")
    return list(dict.fromkeys(given)) if given else list(AUDITS)


def _since_ms(text: str, now_ms: int) -> int:
    """Unix ms of a moment, or of so long ago; 0 for none. Raises ConfigError."""
    try:
        return past_ms(text, now_ms) if text else 0
    except ValueError as error:
        raise ConfigError(f"--since {error}") from None
