"""Several things at once, of which a failure must still say what it is."""

import asyncio
from collections.abc import Coroutine, Iterable

from services.runtime.errors import MawjaError


async def together(tasks: Iterable[Coroutine[object, object, object]]) -> None:
    """Runs them together; when one fails the others are cancelled and awaited."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
    except BaseExceptionGroup as failures:
        # The closed list is told apart by type: a group would hide it.
        first = next((e for e in failures.exceptions if isinstance(e, MawjaError)), None)
        raise first or failures.exceptions[0] from failures
