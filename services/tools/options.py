"""Options that many commands have: who asks, where a service listens, how the answer is told."""

from typing import Annotated

import typer

_LOCAL = "Who you are, in a local run that makes tokens:"
Token = Annotated[
    str,
    typer.Option(envvar="MAWJA_TOKEN", help="Who you are; see `mawja token`.", show_envvar=True),
]
AsAgent = Annotated[str, typer.Option("--as", help=f"{_LOCAL} an agent so named.")]
AsCoordinator = Annotated[str, typer.Option("--as", help=f"{_LOCAL} a coordinator of this name.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="For programs: the answer as JSON, and nothing else.")
]
_LISTENS = "listens (host:port), when it is no local run."
Broadcast = Annotated[
    str,
    typer.Option(envvar="MAWJA_BROADCAST", help=f"Where broadcast {_LISTENS}", show_envvar=True),
]
Dedup = Annotated[
    str, typer.Option(envvar="MAWJA_DEDUP", help=f"Where dedup {_LISTENS}", show_envvar=True)
]
Outreach = Annotated[
    str, typer.Option(envvar="MAWJA_OUTREACH", help=f"Where outreach {_LISTENS}", show_envvar=True)
]
