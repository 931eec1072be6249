"""Stopping cleanly: SIGTERM and Ctrl-C set one event; what serves watches it."""

import asyncio
import signal


def on_signals() -> asyncio.Event:
    """An event set by SIGTERM or SIGINT. Called once, inside the running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event
