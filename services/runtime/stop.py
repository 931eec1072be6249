"""Stopping cleanly: SIGTERM and Ctrl-C set one event; what serves watches it."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Any


def on_signals() -> asyncio.Event:
    """An event set by SIGTERM or SIGINT. Called once, inside the running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event


async def cancelled(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancels `tasks` until they have ended.

    Once may not be enough: asyncio.wait_for of Python 3.11, which libraries call, loses a
    cancelling that comes at the moment in which what it waits for is done.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1.0)
