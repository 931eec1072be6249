"""Takes a view out of Redis so that its owners write it again (`services.runtime.rebuild`)."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import redis.asyncio as redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from services.runtime.errors import Away, NotInState
from services.runtime.rebuild import FENCE_S, View, building_key

_BATCH = 1000

# KEYS: the fence, then what is to be taken away. ARGV: whose fence it is, seconds.
_TAKE_AWAY = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
local count = 0
for i = 2, #KEYS do count = count + redis.call('UNLINK', KEYS[i]) end
return count
"""
# KEYS: the fence. ARGV: whose it is.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


async def take_away(client: redis.Redis, view: View, holder: str) -> AsyncGenerator[int, None]:
    """Takes the view away; gives the number of entries that are gone, as it goes.

    Raises NotInState when somebody else is at it, or took over because this took too long; Away.
    """
    remove = client.register_script(_TAKE_AWAY)
    release = client.register_script(_RELEASE)
    try:
        if not await client.set(view.fence, holder, nx=True, ex=FENCE_S):
            raise NotInState(
                f"the view of {view.room} is being written again already; wait until it is whole"
            )
        try:
            # First what says that it is whole, then the entries.
            building = [building_key(sentinel) for sentinel in view.sentinels]
            await _removed(remove, view, holder, [*view.sentinels, *building, *view.progress])
            count = 0
            # An entry is put into its indexes when it is new: so they go after the entries, or
            # what is left when this dies between would stay out of them.
            for kind in ("STRING", "ZSET"):
                async for keys in _found(client, view, kind):
                    gone = await _removed(remove, view, holder, keys)
                    count += gone if kind == "STRING" else 0
                    yield count
        finally:
            await release(keys=[view.fence], args=[holder])
    except RedisError as error:
        raise Away(f"Redis does not answer: {type(error).__name__}") from error


async def _found(
    client: redis.Redis, view: View, kind: str
) -> AsyncIterator[Sequence[str | bytes]]:
    cursor = 0
    while True:
        cursor, keys = await client.scan(cursor, match=f"{view.prefix}*", count=_BATCH, _type=kind)
        # Also when there is none: the fence has to be held up.
        yield [key for key in keys if key != view.fence.encode()]
        if cursor == 0:
            return


async def _removed(
    remove: AsyncScript, view: View, holder: str, keys: Sequence[str | bytes]
) -> int:
    count = int(await remove(keys=[view.fence, *keys], args=[holder, FENCE_S]))
    if count < 0:
        raise NotInState(
            f"taking the view of {view.room} away took too long, and its owners write it again; "
            "try once more when it is whole"
        )
    return count
