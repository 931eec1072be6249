"""The commands of `mawja campaign` that ask the service: the options that say where it is and who
asks, which all of them have, and the opening of it.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from services.tools import where
from services.tools.campaigns.app import app
from services.tools.campaigns.office import Office, office
from services.tools.options import AsCoordinator, Broadcast, Token

_P = ParamSpec("_P")


def _options(
    token: Token = "",
    as_subject: AsCoordinator = "",
    broadcast: Broadcast = "",
    home: where.Home = None,
) -> None:
    """What each of these commands has beside its own."""


def asks(
    name: str, help: str | None = None
) -> Callable[[Callable[Concatenate[Office, _P], None]], Callable[Concatenate[Office, _P], None]]:
    """Adds a command of this name to the group. The function is called with the service, opened for
    who asks, and with its own options; its first parameter is the service."""

    def add(
        command: Callable[Concatenate[Office, _P], None],
    ) -> Callable[Concatenate[Office, _P], None]:
        def run(
            token: str, as_subject: str, broadcast: str, home: Path | None, **given: Any
        ) -> None:
            with office(home, broadcast, token, as_subject) as desk:
                command(desk, **given)  # type: ignore[call-arg]

        own = list(inspect.signature(command).parameters.values())[1:]
        of_all = inspect.signature(_options).parameters.values()
        run.__doc__ = command.__doc__
        # typer reads from it which options there are.
        run.__signature__ = inspect.Signature([*own, *of_all])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (*own, *of_all)}
        app.command(name, help=help)(run)
        return command

    return add
