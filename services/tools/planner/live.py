"""The minutes of a wave that runs, as WaveService tells them."""

import json
from pathlib import Path
from typing import Any

import grpc
from mawja.wave.v1 import service_pb2, service_pb2_grpc
from mawja.wave.v1.events_pb2 import Dimension

from services.local.parts import running
from services.local.system import token as made_token
from services.runtime import channels
from services.runtime.errors import Away, ConfigError, Forbidden, MawjaError
from services.runtime.identity import Role, Unauthenticated
from services.runtime.rpc import bearer
from services.tools.local import home_folder
from services.tools.planner.minutes import WIDTH_MS, Seen, of_levels

_ASK_S = 20.0
_KINDS: dict[grpc.StatusCode, type[MawjaError]] = {
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
}


def seen(home: Path | None, wave: str, token: str, most: int, *, drill: bool = False) -> Seen:
    """At most the last `most` minutes, from the wave's first call on: of the local run in `home`,
    else of the service at `wave` to whoever shows `token`; `drill`: of drills, which real calls are
    never added to. Raises ConfigError, Away, Unauthenticated, Forbidden, PlanError."""
    target, shown = _place(home, wave, token)
    request = service_pb2.GetLevelsRequest(
        dimension=Dimension.DIMENSION_ALL, width_ms=WIDTH_MS, drill=drill
    )
    with channels.blocking(target, channels.folder_of()) as channel:
        stub: Any = service_pb2_grpc.WaveServiceStub(channel)
        try:
            answer = stub.GetLevels(request, metadata=bearer(shown), timeout=_ASK_S)
        except grpc.RpcError as error:
            failed: Any = error
            said = f"wave at {target}: {failed.details()}"
            raise _KINDS.get(failed.code(), Away)(said) from None
    return of_levels(answer.levels, most)


def _place(home: Path | None, wave: str, token: str) -> tuple[str, str]:
    """Where wave is, and a token for it."""
    folder = home_folder(home)
    if home is None and wave:
        if not token:
            raise Unauthenticated("wave wants to know who asks: set MAWJA_TOKEN or give --token")
        return wave, token
    if running(folder) is None:
        raise ConfigError(
            f"nothing runs in {folder}: start it (`mawja up`), give its --home, or set MAWJA_WAVE "
            "to wave's address"
        )
    try:
        said = json.loads((folder / "services.json").read_text())
        target = str(said["grpc"]["wave"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Away(f"the run in {folder} is still starting; try again in a moment") from None
    return target, token or made_token(folder / "keys", "planner", Role.COORDINATOR)
