"""What takes long goes on while a page asks how far it is.

A job is known by what it is of and who asked, so that the same address shows the same job, a reload
begins nothing anew, and any replica of the console can begin it again: it is a memory of minutes,
not a state.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mawja.reports.v1.service_pb2 import Progress

from services.console.calls import Refused
from services.runtime.clock import monotonic_s

_KEPT_S = 180.0
_MOST = 64


@dataclass(slots=True)
class Job:
    """`progress`: how far it is; `result`: what it came to, None until then; `error`: why it came
    to nothing."""

    progress: Progress = field(default_factory=Progress)
    result: Any = None
    error: Refused | None = None
    began_s: float = field(default_factory=monotonic_s)
    task: "asyncio.Task[None] | None" = None

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return self.task is not None and self.task.done()

    async def wait(self, seconds: float) -> bool:
        """Waits for its end, at most so long; whether it came."""
        assert self.task is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.task), seconds)
        return self.done


class Jobs:
    """The jobs of the last minutes."""

    def __init__(self) -> None:
        self._held: dict[Hashable, Job] = {}

    def of(self, key: Hashable, do: Callable[[Job], Awaitable[Any]]) -> Job:
        """The job of `key`, begun with `do` when there is none, or none of late."""
        self._let_go()
        held = self._held.get(key)
        if held is not None and not (held.error is not None and held.error.away):
            return held
        job = self._held[key] = Job()
        job.task = asyncio.create_task(_run(job, do))
        return job

    def _let_go(self) -> None:
        now = monotonic_s()
        old = [key for key, job in self._held.items() if job.done and now - job.began_s > _KEPT_S]
        ended = [key for key, job in self._held.items() if job.done and key not in old]
        for key in old + ended[: max(0, len(self._held) - len(old) - _MOST)]:
            del self._held[key]


async def _run(job: Job, do: Callable[[Job], Awaitable[Any]]) -> None:
    try:
        job.result = await do(job)
    except Refused as refused:
        job.error = refused
