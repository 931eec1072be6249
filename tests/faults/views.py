"""How long the views are away when Redis is flushed."""

import redis

from services.runtime.store import sentinel_key
from tests.faults.stage import Stage
from tests.faults.table import Row

ROOMS = ("dedup", "outreach", "broadcast")
PARTITIONS = 8


def rebuild(on: Stage, row: Row, cases: object) -> None:
    """Flushes Redis and puts into the row after how long every view is whole again, and what that
    makes for 100,000 cases."""
    assert isinstance(cases, int)
    sentinels = [sentinel_key(room, p) for room in ROOMS for p in range(PARTITIONS)]
    with redis.Redis.from_url(on.parts.redis_url) as client:
        assert client.exists(*sentinels) == len(sentinels)
        client.flushall()
        seconds = on.wait(
            lambda: client.exists(*sentinels) == len(sentinels), 60, "every view is whole again"
        )
    row.figure("s to rebuild", seconds)
    row.figure("per 100,000 cases", seconds * 100_000 / cases)
