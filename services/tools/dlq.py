"""`mawja dlq`: records that no room could process: read, mended, given to their room once more."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from services.runtime import erasures
from services.runtime.errors import ConfigError
from services.runtime.identity import Caller, Unauthenticated, Verifier, may
from services.runtime.privacy import Keyring
from services.runtime.topics import DEAD_LETTERS
from services.tools import records, where
from services.tools.letters import Box, By, Letter
from services.tools.options import Token
from services.tools.screen import console, listing
from services.tools.told import told

app = typer.Typer(
    name="dlq",
    help="""Dead letters: records that a room could not process. Read them, mend them, and give them
to their room again, once.

A record that breaks a rule is set aside in `<room>.dead-letter.v1`, whole and still sealed, and the
room goes on; at MAWJA_DEAD_LETTER_LIMIT letters that wait in one partition it stops. A letter that
was replayed waits no longer.

Works on the local run (`mawja up`), or on the system that MAWJA_KAFKA, MAWJA_REDIS_URL and
MAWJA_KEYS name.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Room = Annotated[str, typer.Argument(help=f"One of {', '.join(DEAD_LETTERS)}.")]
Partition = Annotated[int | None, typer.Argument(min=0, help="As `list` shows it.")]
Offset = Annotated[int | None, typer.Argument(min=0, help="Of the letter, as `list` shows it.")]


@app.command("list")
def list_command(
    room: Annotated[str | None, typer.Option(help="Only the letters of this room.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    home: where.Home = None,
) -> None:
    """List every dead letter: where it stands, where it came from, when, why, and whether it waits.

    Shows nothing personal.

    Examples:

    - `mawja dlq list`

    - `mawja dlq list --room dedup --json`
    """
    with told():
        rooms = [_room(room)] if room else list(DEAD_LETTERS)
        settings = where.system(home)
        with Box(settings, rooms) as box:
            found = {name: list(box.letters(name)) for name in rooms}
            waiting = {name: box.waiting(name) for name in rooms}
        limit = settings.dead_letter_limit
        if as_json:
            letters = [_summary(letter) for name in rooms for letter in found[name]]
            counts = {
                name: {"letters": len(found[name]), "waiting": waiting[name]} for name in rooms
            }
            print(json.dumps({"limit": limit, "rooms": counts, "letters": letters}, indent=2))
            return
        _print_letters([letter for name in rooms for letter in found[name]])
        for name in rooms:
            fullest = max(waiting[name].values(), default=0)
            print(
                f"{name}: {len(found[name])} letters, {sum(waiting[name].values())} wait; the "
                f"fullest partition holds {fullest} of {limit}, where the room stops"
            )


@app.command("show")
def show_command(
    room: Room,
    partition: Partition,
    offset: Offset,
    unmask: Annotated[
        bool,
        typer.Option(
            "--unmask",
            help="Open what is sealed. Needs a token of an auditor or administrator, the key ring, "
            "and --reason; that you did it is recorded first.",
        ),
    ] = False,
    reason: Annotated[str, typer.Option(help="Why you have to read it.")] = "",
    token: Token = "",
    home: where.Home = None,
) -> None:
    """Show one dead letter as JSON: its record field by field, or its bytes when it has no fields.

    What is sealed stays sealed; it can be given back to `replay --json` as it is.

    Examples:

    - `mawja dlq show dedup 3 0`

    - `mawja dlq show dedup 3 0 --unmask --reason "ticket 4711: caller's complaint"`
    """
    with told():
        settings = where.system(home)
        # Before anything is read: who may not, learns nothing.
        by = _by("dlq show --unmask", token, reason, settings.keys) if unmask else None
        with Box(settings, [_room(room)]) as box:
            letter = box.letter(room, _given(partition), _given(offset))
            unseal = None
            if by is not None:
                keyring = Keyring(settings.keys)
                erasures.read(settings.kafka, keyring.erased)
                box.note_reading(letter, by, keyring)
                unseal = keyring.unseal
        said = _summary(letter)
        was = letter.record
        message = records.decode(was.topic, was.value)
        if message is None:
            said["hex"] = was.value.hex()
        else:
            said["record"] = records.shown(message, unseal)
        print(json.dumps(said, indent=2, ensure_ascii=False))


@app.command("replay")
def replay_command(
    room: Room,
    partition: Partition = None,
    offset: Offset = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every letter of the room that waits, as it is.")
    ] = False,
    value: Annotated[
        Path | None, typer.Option(help="The mended record, as bytes of its proto.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="The mended record, as `show` printed it (all or `record`)."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the replay.")] = "",
    token: Token = "",
    home: where.Home = None,
) -> None:
    """Give a dead letter to its room again: exactly once, whatever dies meanwhile.

    The first replay of a letter counts; a second one is refused. Needs a token of an administrator
    and a reason. What breaks a rule again becomes a new letter.

    Examples:

    - `export MAWJA_TOKEN=$(mawja token --role administrator)`

    - `mawja dlq show dedup 3 0 > letter.json`, mend it, then
      `mawja dlq replay dedup 3 0 --json letter.json --reason "wrong time zone"`

    - `mawja dlq replay broadcast --all --reason "the key ring was not mounted"`
    """
    with told():
        _room(room)
        if everything == (offset is not None) or (everything and (value or json_file)):
            raise ConfigError("give PARTITION and OFFSET of one letter, or --all without a file")
        if value is not None and json_file is not None:
            raise ConfigError("give --value or --json, not both")
        settings = where.system(home)
        by = _by("dlq replay", token, reason, settings.keys)
        keyring = Keyring(settings.keys)
        with Box(settings, [room]) as box:
            if everything:
                _replay_all(box, room, by, keyring)
                return
            letter = box.letter(room, _given(partition), _given(offset))
            mended = _mended(letter, value, json_file)
            at = box.replay(letter, mended, by, keyring)
        what = "as it was" if mended is None else "mended"
        print(f"replayed {what}: letter {letter.offset} of {room}, by offset {at}")


def _replay_all(box: Box, room: str, by: By, keyring: Keyring) -> None:
    done, left = box.replay_all(room, by, keyring)
    print(f"replayed {done} letters of {room}; {len(left)} were left")
    for why in left:
        print(f"  {why}")


def _mended(letter: Letter, value: Path | None, json_file: Path | None) -> bytes | None:
    try:
        if value is not None:
            return value.read_bytes()
        if json_file is not None:
            return records.read(letter.record.topic, json.loads(json_file.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{json_file} is no JSON") from None
    return None


def _by(deed: str, token: str, reason: str, keys: Path) -> By:
    caller = _caller(token, keys)
    may(deed, caller)
    if not reason.strip():
        raise ConfigError(f"`{deed}` needs --reason: it is kept with your name")
    return By(caller.subject, reason.strip())


def _caller(token: str, keys: Path) -> Caller:
    if not token:
        raise Unauthenticated(
            "this needs to know who you are: set MAWJA_TOKEN, or give --token; see `mawja token`"
        )
    return Verifier(keys).verify(f"Bearer {token}")


def _room(name: str) -> str:
    if name not in DEAD_LETTERS:
        raise ConfigError(f"{name} has no dead letters; rooms that have: {', '.join(DEAD_LETTERS)}")
    return name


def _given(number: int | None) -> int:
    assert number is not None, "typer asks for it"
    return number


def _when(letter: Letter) -> datetime:
    return datetime.fromtimestamp(letter.record.dead_ms / 1000, UTC)


def _summary(letter: Letter) -> dict[str, Any]:
    was = letter.record
    said: dict[str, Any] = {
        "room": letter.room,
        "partition": letter.partition,
        "offset": letter.offset,
        "source": {"topic": was.topic, "partition": was.partition, "offset": was.offset},
        "when": _when(letter).isoformat(timespec="milliseconds"),
        "reason": was.reason,
        "state": letter.state,
    }
    if letter.replay is not None:
        said["replay"] = {"offset": letter.replay_offset, "mended": letter.replay.mended}
    return said


def _print_letters(letters: list[Letter]) -> None:
    if not letters:
        print("no dead letters")
        return
    table = listing("room", "partition", "offset", "came from", "when (UTC)", "why", "state")
    for letter in letters:
        was = letter.record
        table.add_row(
            letter.room,
            str(letter.partition),
            str(letter.offset),
            f"{was.topic} {was.offset}",
            f"{_when(letter):%Y-%m-%dT%H:%M:%S}",
            was.reason,
            letter.state,
        )
    console().print(table)
