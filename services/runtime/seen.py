"""One thing of a room's view, for a caller who may see it."""

from collections.abc import Callable
from typing import TypeVar

from services.runtime import rpc
from services.runtime.errors import NotFound
from services.runtime.views import Views

_Thing = TypeVar("_Thing")


async def one(
    views: Views,
    key: str,
    read: Callable[[bytes], _Thing],
    agency_of: Callable[[_Thing], str],
    missing: str,
) -> _Thing:
    """What stands under `key`. Raises NotFound saying `missing`, and Away while the view is not
    whole. That a thing of another agency exists is theirs to know: the answer is the same."""
    [payload] = await views.get(key)
    if payload is not None:
        thing = read(payload)
        if rpc.CALLER.get().sees(agency_of(thing)):
            return thing
    raise NotFound(missing)
