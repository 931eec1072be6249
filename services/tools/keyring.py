"""`mawja keys` and `mawja token`: a key ring made whole, and tokens to try a service with."""

import os
from pathlib import Path
from typing import Annotated

import typer

from services.local.system import make_keys, token
from services.runtime import token_keys
from services.runtime.identity import Role, create_token_key
from services.tools.local import home_folder
from services.tools.told import told
from services.tools.where import Home


def _keys(home: Path | None, keys: Path | None) -> Path:
    return keys or Path(os.environ.get("MAWJA_KEYS") or home_folder(home) / "keys")


Keys = Annotated[
    Path | None, typer.Option("--keys", help="Folder of the key ring. Default: $MAWJA_KEYS.")
]


def keys_command(
    new_token_key: Annotated[
        str, typer.Option(metavar="NAME", help="Make one more token key, which signs from now on.")
    ] = "",
    take_away: Annotated[
        str,
        typer.Option(metavar="NAME", help="Have the token key NAME sign and verify nothing more."),
    ] = "",
    home: Home = None,
    keys: Keys = None,
) -> None:
    """Make what is missing of a key ring: the person key, this and next month's keys, a token key.

    Existing keys are never touched. Destroying a file in `months/` erases every number and text of
    that month. How one token key takes another's place without a refused call:
    runbooks/rotate-keys.md.

    Examples:

    - `mawja keys --new-token-key 2027-01`
    - `mawja keys --take-away local`
    """
    with told():
        folder = _keys(home, keys)
        make_keys(folder)
        if new_token_key:
            token_keys.check_new(folder, new_token_key)
            create_token_key(folder, new_token_key)
        if take_away:
            token_keys.take_away(folder, take_away)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                print(path)


def token_command(
    role: Annotated[list[Role] | None, typer.Option(help="Role of the caller. Repeatable.")] = None,
    subject: Annotated[str, typer.Option(help="Who it is for.")] = "local",
    home: Home = None,
    keys: Keys = None,
) -> None:
    """Print a token of 12 hours for trying a service by hand.

    Send it as `authorization: Bearer TOKEN`.
    """
    with told():
        folder = _keys(home, keys)
        make_keys(folder)
        print(token(folder, subject, *(role or [Role.COORDINATOR])))
