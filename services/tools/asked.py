"""A service as one person sees it from a terminal: where it is, who asks, what it refuses.

It is found as the other commands find their system: the local run of --home, else the address that
is given (MAWJA_<ROOM>), else the local run in the usual folder. Who asks shows a token; in a local
run --as makes one.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
import jwt
import typer
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.local.parts import running
from services.local.system import token as made_token
from services.runtime import channels
from services.runtime.errors import (
    Away,
    ConfigError,
    Invalid,
    MawjaError,
    Violation,
)
from services.runtime.identity import Role, Unauthenticated
from services.runtime.rpc import bearer
from services.runtime.status import kind_of
from services.tools.local import home_folder
from services.tools.told import told, told_if_away

# What gRPC itself says when there is nobody, or nobody any more; services say whole sentences.
_BROKEN_OFF = re.compile("(?i)connect|socket closed|stream removed|goaway|recvmsg")
_ASK_S = 20.0
# Neither says that it was not done, or never can be.
_LATER = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)


def place(home: Path | None, address: str, room: str) -> tuple[str, Path]:
    """Where a room's service is, and the key ring. Raises ConfigError, Away."""
    folder = home_folder(home)
    keys = Path(os.environ.get("MAWJA_KEYS") or folder / "keys")
    if home is None and address:
        return address, keys
    if running(folder) is None:
        raise ConfigError(
            f"nothing runs in {folder}: start it (`mawja up`), give its --home, or set "
            f"MAWJA_{room.upper()} to {room}'s address"
        )
    try:
        said = json.loads((folder / "services.json").read_text())
        return str(said["grpc"][room]), folder / "keys"
    except (OSError, ValueError, KeyError, TypeError):
        raise Away(f"the run in {folder} is still starting; try again in a moment") from None


def shown(token: str, subject: str, keys: Path, role: Role) -> str:
    """The token to show: the one that is given, or one made for `subject` in that role. Raises
    Unauthenticated."""
    if subject:
        return made_token(keys, subject, role)
    if not token:
        raise Unauthenticated(
            "this needs to know who you are: set MAWJA_TOKEN, or give --token (see `mawja token`); "
            "in a local run --as NAME will do"
        )
    return token


def subject_of(token: str) -> str:
    """Who a token says that it is, "" when it says nothing. Only to tell; the service verifies."""
    try:
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])
    except (jwt.InvalidTokenError, KeyError):
        return ""


def error_of(error: Any, room: str, target: str) -> MawjaError:
    """What a call's failure means for who asked."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return Invalid(_violations(error) or [Violation("(request)", details)])
    if code is grpc.StatusCode.UNAVAILABLE and _BROKEN_OFF.search(details):
        return Away(f"{room} at {target} does not answer; try again when it is up")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        details = f"{room} took too long to answer; look whether it was done, and try again"
    return (Away if code in _LATER else kind_of(code.value[0], MawjaError))(details)


class Service:
    """A room's service for one person: `stub` is the class that gRPC made for it."""

    def __init__(self, target: str, room: str, stub: Any, token: str) -> None:
        self._target = target
        self._room = room
        self.token = token
        self._metadata = bearer(token)
        self._channel = channels.blocking(target, channels.folder_of())
        self._stub: Any = stub(self._channel)

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()

    def ask(self, method: str, request: Message) -> Any:
        """The answer to one call. Raises what the service refuses with, and Away, also when there
        is none within 20 s."""
        try:
            return getattr(self._stub, method)(request, metadata=self._metadata, timeout=_ASK_S)
        except grpc.RpcError as error:
            raise error_of(error, self._room, self._target) from None


class _HangsUp(Protocol):
    def close(self) -> None: ...


_Asked = TypeVar("_Asked", bound=_HangsUp)


@contextlib.contextmanager
def opened(
    made: Callable[[str, str], _Asked],
    room: str,
    role: Role,
    look: str,
    home: Path | None,
    address: str,
    token: str,
    subject: str,
) -> Iterator[_Asked]:
    """A room's service for who asks, as `made` makes it of target and token, until the command is
    done; what ends it early ends it like `ended(look)`."""
    with ended(look):
        target, keys = place(home, address, room)
        with contextlib.closing(made(target, shown(token, subject, keys, role))) as service:
            yield service


@contextlib.contextmanager
def ended(look: str) -> Iterator[None]:
    """How a command ends that can't go on: what a person can mend, and that the service is away,
    end it with a line, exit codes 1 and `AWAY` (of `told`); Ctrl-C with 130. `look`: the command
    that shows what was done."""
    with told():
        try:
            with told_if_away():
                yield
        except KeyboardInterrupt:
            print(
                f"mawja: interrupted; what was asked for may be done: see `{look}`",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None


def _violations(error: Any) -> list[Violation]:
    status = rpc_status.from_call(error)
    found: list[Violation] = []
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found += [Violation(one.field, one.description) for one in bad.field_violations]
    return found
