"""`mawja users`: who may sign in at the console by password.

Works on the file alone: a console that runs reads it again within a second, and ends the sessions
of who was disabled, removed or given other roles.
"""

import dataclasses
import io
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pyotp
import segno
import typer

from services.console import users
from services.console.signing import HASHER
from services.console.users import User
from services.local.lock import locked
from services.runtime.errors import ConfigError
from services.runtime.identity import Role
from services.tools.local import home_folder
from services.tools.screen import console, listing
from services.tools.told import told

app = typer.Typer(
    name="users",
    help="Who may sign in at the console by password: the file of users.",
    no_args_is_help=True,
)
File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="The file. Default: $MAWJA_CONSOLE_USERS, else users.yaml of `mawja up`."
    ),
]
Name = Annotated[str, typer.Argument(help="What they sign in with: a-z, 0-9 and . _ -")]
Svg = Annotated[
    Path | None, typer.Option(help="Write the QR code there instead of on the terminal.")
]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password and print it, instead of asking.")
]


@app.command()
def add(
    name: Name,
    role: Annotated[list[Role], typer.Option(help="What they are. Repeatable.")],
    full_name: Annotated[str, typer.Option(help="How pages call them.")] = "",
    agency: Annotated[str, typer.Option(help="Whose liaison, e.g. MUNICIPALITY.")] = "",
    generate: Generate = False,
    totp: Annotated[bool, typer.Option(help="Give them an authenticator's secret.")] = True,
    svg: Svg = None,
    file: File = None,
) -> None:
    """Add somebody, with a password and the secret of an authenticator, shown as a QR code.

    - `mawja users add fatima --role coordinator --full-name 'فاطمة الكواري'`

    - `mawja users add omar --role liaison --agency MUNICIPALITY --generate`
    """
    with told():
        secret = pyotp.random_base32() if totp else ""
        password = _password(generate)
        user = users.check(
            User(
                sub=name,
                name=full_name or name,
                roles=frozenset(role),
                agency=agency,
                password=HASHER.hash(password),
                totp=secret,
            )
        )
        # Looked at by somebody before it counts: a code that can't be shown locks them out.
        qr = _qr(user) if totp else None

        def added(known: dict[str, User]) -> None:
            if name in known:
                raise ConfigError(f"there is a user {name} already; see `mawja users passwd`")
            known[name] = user

        _change(file, added, new=True)
        _told_password(password, generate)
        if qr is not None:
            _show(qr, secret, svg)


@app.command()
def passwd(name: Name, generate: Generate = False, file: File = None) -> None:
    """Give somebody another password. Sessions that they have go on: see the console's page."""
    with told():
        _known(file, name)
        password = _password(generate)
        _edit(file, name, password=HASHER.hash(password))
        _told_password(password, generate)


@app.command()
def totp(name: Name, svg: Svg = None, file: File = None) -> None:
    """Give somebody another authenticator's secret; the last one no longer counts."""
    with told():
        secret = pyotp.random_base32()
        user = _edit(file, name, totp=secret)
        _show(_qr(user), secret, svg)


@app.command()
def disable(name: Name, file: File = None) -> None:
    """Let somebody sign in no longer; their sessions end within a second or two."""
    with told():
        _edit(file, name, disabled=True)
        print(f"{name} can't sign in any more")


@app.command()
def enable(name: Name, file: File = None) -> None:
    """Let somebody sign in again."""
    with told():
        _edit(file, name, disabled=False)
        print(f"{name} can sign in")


@app.command("list")
def list_(file: File = None) -> None:
    """Who may sign in, as what. Shows no hash and no secret."""
    with told():
        table = listing("name", "called", "roles", "agency", "authenticator", "")
        for user in users.read(_file(file)).values():
            table.add_row(
                user.sub,
                user.name,
                ", ".join(sorted(user.roles)),
                user.agency,
                "yes" if user.totp else "no",
                "disabled" if user.disabled else "",
            )
        console().print(table)


def _file(given: Path | None) -> Path:
    named = os.environ.get("MAWJA_CONSOLE_USERS")
    return given or (Path(named) if named else home_folder(None) / "users.yaml")


def _change(given: Path | None, change: Callable[[dict[str, User]], None], new: bool) -> None:
    path = _file(given)
    if new and not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}")
    with locked(path.with_name(path.name + ".lock"), waiting=lambda _: None):
        known = users.read(path) if path.exists() or not new else {}
        change(known)
        users.write(path, known)


def _known(given: Path | None, name: str) -> User:
    found = users.read(_file(given)).get(name)
    if found is None:
        raise ConfigError(f"there is no user {name} in {_file(given)}; see `mawja users list`")
    return found


def _edit(given: Path | None, name: str, **changes: str | bool) -> User:
    _known(given, name)

    def edited(known: dict[str, User]) -> None:
        changed = dataclasses.replace(known[name], **changes)  # type: ignore[arg-type]
        known[name] = users.check(changed)

    _change(given, edited, new=False)
    return _known(given, name)


def _password(generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(12)
    if sys.stdin.isatty():
        said: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        said = sys.stdin.readline().rstrip("\n")
    if not users.SHORTEST <= len(said) <= 200:
        raise ConfigError(f"a password has {users.SHORTEST} to 200 letters")
    return said


def _told_password(password: str, generated: bool) -> None:
    if generated:
        print(f"password: {password}   (shown this once)")


def _qr(user: User) -> segno.QRCode:
    uri = pyotp.TOTP(user.totp).provisioning_uri(name=user.sub, issuer_name="Mawja")
    return segno.make(uri, error="m")


def _show(qr: segno.QRCode, secret: str, svg: Path | None) -> None:
    if svg is not None:
        svg.touch(mode=0o600)
        drawn = io.BytesIO()
        qr.save(drawn, kind="svg", scale=6)
        svg.write_bytes(drawn.getvalue())
        print(f"authenticator: {svg}")
    else:
        qr.terminal(compact=True)
    print(f"authenticator's secret: {secret}   (shown this once)")
