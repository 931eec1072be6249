"""`mawja restored`: Kafka came back from a backup, and sending waits until somebody resumes it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from mawja.broadcast.v1.events_pb2 import Restoration
from redis.exceptions import RedisError

from services.runtime import ids, kafka_tls, store
from services.runtime.audit.clerk import Clerk
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError, NotInState
from services.runtime.identity import Caller, Unauthenticated, Verifier, may
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.scan import Scan
from services.runtime.topics import RESTORATION
from services.tools import where
from services.tools.campaigns.times import time_ms
from services.tools.options import Token
from services.tools.told import told

app = typer.Typer(
    name="restored",
    help="""Kafka was restored from a backup: say so before the rooms start, and when sending may go
on.

What the log lost may have been sent, and who opted out meanwhile is not known. So nothing is sent,
in no lane, until somebody resumes; what waited at the time of the backup is *unknown* and sent by
nobody again but by a person's decision. The whole of it: runbooks/restore-kafka.md.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
GROUPS = ("intake", "dedup", "outreach", "broadcast", "broadcast-campaigns")
"""Consumer groups that must be empty: who works on a restored log before it is said to be one
sends what may have been sent, and asks for what will be taken for old."""
Reason = Annotated[str, typer.Option(help="Why; kept with your name.")]


@app.command("declare")
def declare_command(
    backup_at: Annotated[
        str,
        typer.Option(
            help="As of when the backup is: a time with its zone, 2026-11-22T14:30+03:00."
        ),
    ],
    reason: Reason = "",
    token: Token = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: where.Home = None,
) -> None:
    """Say that this Kafka is a backup's, while all rooms are stopped; then start them.

    Empties Redis too: what it has is newer than the log. Saying it again changes nothing but that
    what was asked for in between is unknown as well. Needs a token of an administrator.

    Example:

    - `mawja restored declare --backup-at 2026-11-22T14:30+03:00 --reason "disks of site A lost"`
    """
    with told():
        settings = where.system(home)
        caller = _caller("restored declare", token, reason, settings.keys)
        now = now_ms()
        try:
            backup_ms = time_ms(backup_at)
        except ValueError as error:
            raise ConfigError(f"--backup-at {error}") from None
        if backup_ms > now:
            raise ConfigError("--backup-at is in the future: a backup is of the past")
        if not yes:
            _ask(backup_ms)
        restoration = Restoration(
            restoration_id=ids.derive("restoration", str(backup_ms)),
            backup_ms=backup_ms,
            declared_ms=now,
            subject=caller.subject,
            reason=reason.strip(),
        )
        asyncio.run(_declare(settings, caller, restoration))
        print(
            "sending is paused, Redis is empty; start the rooms, bring the opt-outs since "
            f"{_told(backup_ms)} (`mawja campaign opt-outs`), then `mawja restored resume`"
        )


@app.command("resume")
def resume_command(reason: Reason = "", token: Token = "", home: where.Home = None) -> None:
    """Let sending go on after a restore. What is unknown stays so.

    Needs a token of an administrator or coordinator, and a reason: that the opt-outs were brought,
    or why they can't be.

    Example:

    - `mawja restored resume --reason "opt-outs of all three carriers imported"`
    """
    with told():
        settings = where.system(home)
        caller = _caller("restored resume", token, reason, settings.keys)
        asyncio.run(_resume(settings, caller, reason.strip()))
        print("sending goes on")


@app.command("show")
def show_command(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: where.Home = None,
) -> None:
    """Show every restore that was declared, who resumed sending after it, and why.

    Exit code 1 when one was declared in a part of the partitions only: declare it again.
    """
    with told():
        found = read(where.system(home))
        broken = [one for one, said in found.items() if None in said]
        shown = [
            {
                "backup": _told(one.backup_ms),
                "declared": _told(one.declared_ms),
                "by": one.subject,
                "reason": one.reason,
                "paused": paused(said),
                "resumed": _told(one.resumed_ms) if one.resumed_ms else "",
                "resumed_by": one.resumed_by,
                "resumed_reason": one.resumed_reason,
            }
            for said in found.values()
            for one in [next(each for each in said if each is not None)]
        ]
        if as_json:
            print(json.dumps(shown, indent=2, ensure_ascii=False))
        elif not shown:
            print("Kafka was never declared to be restored")
        for said_ in () if as_json else shown:
            state = (
                "nothing is sent"
                if said_["paused"]
                else f"resumed {said_['resumed']} by {said_['resumed_by']}: "
                f"{said_['resumed_reason']}"
            )
            print(
                f"backup of {said_['backup']}, declared {said_['declared']} by {said_['by']}: "
                f"{said_['reason']}; {state}"
            )
        if broken:
            raise NotInState(
                "a restore is declared in some partitions only: stop the rooms, declare it again"
            )


Said = Sequence[Restoration | None]
"""What each partition says of one restoration; None: nothing."""


def paused(said: Said) -> bool:
    """Whether a partition waits for somebody to resume."""
    return any(one is not None and not one.resumed_ms for one in said)


def read(settings: Settings) -> Mapping[str, Said]:
    """What every partition says, by restoration. Raises Away."""
    found: dict[str, list[Restoration | None]] = {}

    def take(record: Record) -> None:
        said = Restoration.FromString(record.value or b"")
        empty: list[Restoration | None] = [None] * settings.partitions
        found.setdefault(said.restoration_id, empty)[record.partition] = said

    scan = Scan(settings.kafka, [RESTORATION])
    try:
        scan.advance(take)
    finally:
        scan.close()
    return found


async def _declare(settings: Settings, caller: Caller, restoration: Restoration) -> None:
    about, reason = restoration.restoration_id, restoration.reason
    async with _noted(settings, "Restored/Declare", about, reason, caller) as producer:
        may("restored declare", caller)
        _nobody_works(settings.kafka)
        await _append(producer, settings.partitions, restoration)
        # After it: who finds an empty Redis and no declaration would write it, and send.
        await _empty(settings)


async def _resume(settings: Settings, caller: Caller, reason: str) -> None:
    waiting = [
        next(each for each in said if each is not None)
        for said in read(settings).values()
        if paused(said)
    ]
    # Each is a deed of its own in the audit; a try without any is one too.
    tries: list[Restoration | None] = [*waiting] or [None]
    for one in tries:
        about = one.restoration_id if one is not None else ""
        async with _noted(settings, "Restored/Resume", about, reason, caller) as producer:
            may("restored resume", caller)
            if one is None:
                raise NotInState("sending is not paused by a restore; see `mawja restored show`")
            resumed = Restoration()
            resumed.CopyFrom(one)
            resumed.resumed_ms = now_ms()
            resumed.resumed_by = caller.subject
            resumed.resumed_reason = reason
            await _append(producer, settings.partitions, resumed)


@asynccontextmanager
async def _noted(
    settings: Settings, deed: str, about: str, reason: str, caller: Caller
) -> AsyncIterator[Producer]:
    """A producer, for what stands in broadcast's audit from its beginning to its end, also when it
    is refused. Raises Away: then nothing was done, or it is said again."""
    producer = Producer(settings.kafka, "mawja-restored")
    await producer.start()
    try:
        keyring = Keyring(settings.keys)
        clerk = Clerk("broadcast", "mawja", producer, keyring, settings.partitions)
        async with clerk.command(deed, about, reason, caller):
            yield producer
    finally:
        await producer.stop()


async def _empty(settings: Settings) -> None:
    client = store.connect(settings.redis_url)
    try:
        await client.flushdb()
    except RedisError as error:
        raise Away(
            f"Redis does not answer: {type(error).__name__}; sending is paused; empty it, or "
            "declare it again"
        ) from error
    finally:
        await client.aclose()


async def _append(producer: Producer, partitions: int, restoration: Restoration) -> None:
    """Says it in every partition. Raises Away: then some may have it, and it is said again."""
    key, value = restoration.restoration_id.encode(), restoration.SerializeToString()
    await acknowledged(
        [
            await producer.send(RESTORATION, partition, value, key=key)
            for partition in range(partitions)
        ]
    )


def _nobody_works(kafka: str) -> None:
    try:
        admin = KafkaAdminClient(bootstrap_servers=kafka, **kafka_tls.options())
        try:
            groups = admin.describe_groups(list(GROUPS))
        finally:
            admin.close()
    except KafkaError as error:
        raise Away(f"Kafka at {kafka} does not answer: {type(error).__name__}") from error
    working = [group for group in GROUPS if groups[group]["members"]]
    if working:
        raise NotInState(
            f"{', '.join(working)} runs there: stop every room first; what is sent now may have "
            "been sent before"
        )


def _ask(backup_ms: int) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: give --yes")
    typer.confirm(
        f"Redis is emptied, and nothing is sent to anybody until somebody resumes. Is this Kafka a "
        f"backup of {_told(backup_ms)}?",
        abort=True,
    )


def _caller(deed: str, token: str, reason: str, keys: Path) -> Caller:
    if not token:
        raise Unauthenticated(
            "this needs to know who you are: set MAWJA_TOKEN, or give --token; see `mawja token`"
        )
    caller = Verifier(keys).verify(f"Bearer {token}")
    if not reason.strip():
        raise ConfigError(f"`{deed}` needs --reason: it is kept with your name")
    return caller


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
