"""One task for all who watch the same thing: it follows the source, renders each change once for
each language, and every viewer's server-sent events are the same bytes.

A state is rendered as *parts* (name → HTML); a part that did not change is not sent again. Who is
slow is never waited for and never queued for: when they read again they get the newest of every
part that changed since. Each 2 s comes `at` with the server's time, but only while what is shown is
true: so a page that no longer hears it knows that it is old, whatever the reason.

    event: at            data: 1790000000000 (Unix ms)
    event: <part>        data: <HTML>
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc

from services.runtime import log
from services.runtime.clock import Millis, monotonic_s, now_ms
from services.runtime.errors import MawjaError

T = TypeVar("T")
Parts = Mapping[str, str]
"""HTML by the name of its part, which is the name of the event."""

BEAT_S = 2.0
_AGAIN_S = 1.0
_LINGER_S = 20.0
_LONGEST_S = 120.0
"""After which a viewer has to ask again, and so shows their session again."""
_log = log.get("console.live")


def event(name: str, data: str) -> bytes:
    """One server-sent event (HTML Living Standard, 9.2): no line of `data` can end it."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join([f"event: {name}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()


def _events(parts: Parts) -> dict[str, bytes]:
    return {name: event(name, html) for name, html in parts.items()}


@dataclass(slots=True)
class _Board:
    """What viewers of one language see: each part's bytes, and since which turn."""

    viewers: int = 0
    parts: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    joined: dict[int, bytes] = field(default_factory=dict)

    def put(self, turn: int, parts: Mapping[str, bytes]) -> bool:
        """Takes up what changed; whether anything did."""
        changed = {
            name: (turn, data)
            for name, data in parts.items()
            if name not in self.parts or self.parts[name][1] != data
        }
        self.parts |= changed
        self.joined.clear()
        return bool(changed)

    def since(self, seen: int) -> bytes:
        """Everything that changed after the turn `seen`. Most viewers ask for the same."""
        found = self.joined.get(seen)
        if found is None:
            found = b"".join(data for turn, data in self.parts.values() if turn > seen)
            self.joined[seen] = found
        return found


class Feed(Generic[T]):
    """Follows `source` while anybody watches, and a while longer.

    `source` is begun anew, a second later, when it ends or fails; `render` makes the parts of a
    state in a language and must not wait. `slowest_s`: a source that says nothing for so long
    counts as away.
    """

    def __init__(
        self,
        source: Callable[[], AsyncIterator[T]],
        render: Callable[[T, str], Parts],
        *,
        clock: Millis = now_ms,
        every_s: float = 1.0,
        slowest_s: float = 10.0,
    ) -> None:
        self._source = source
        self._render = render
        self._clock = clock
        self._every_s = every_s
        self._slowest_s = slowest_s
        self._boards: dict[str, _Board] = {}
        self._turn = 0
        self._name = secrets.token_hex(4)
        self._changed = asyncio.Event()
        self._fresh = False
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._idle_since_s = monotonic_s()
        self.latest: T | None = None
        """The newest state; None before there is one."""
        self.away = False
        """Whether the source can't be followed now."""

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return sum(board.viewers for board in self._boards.values())

    async def first(self, within_s: float) -> T | None:
        """The newest state; waits `within_s` at most for the first one."""
        self._start()
        deadline = monotonic_s() + within_s
        while self.latest is None and not self.away and (left := deadline - monotonic_s()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return self.latest

    def parts(self, language: str) -> Parts:
        """What a page shows before any event has come; empty before there is a state."""
        return {} if self.latest is None else self._render(self.latest, language)

    def shown(self, language: str) -> tuple[Parts, str]:
        """`parts` of now, and what `stream` is told for not sending them again."""
        parts = self.parts(language)
        self._publish(self._boards.setdefault(language, _Board()), parts)
        return parts, f"{self._name}-{self._turn}"

    def _publish(self, board: _Board, parts: Parts) -> None:
        """What somebody new is shown everybody sees: in a turn of its own, or who has seen this
        turn would never hear of what changed since."""
        if board.put(self._turn + 1, _events(parts)):
            self._wake()

    def _seen(self, mark: str) -> int:
        """The turn of a mark; before all where it is another process's, or of nobody's."""
        name, _, turn = mark.partition("-")
        known = name == self._name and turn.isascii() and turn.isdigit() and len(turn) < 16
        return int(turn) if known else -1

    async def stream(self, language: str, seen: str = "") -> AsyncIterator[bytes]:
        """The events of one viewer, until they leave, at most 2 minutes. `seen`: of `shown`, where
        their page came from there."""
        self._start()
        board = self._boards.setdefault(language, _Board())
        board.viewers += 1
        until_s = monotonic_s() + _LONGEST_S
        try:
            if self.latest is not None:
                self._publish(board, self.parts(language))
            turn = self._turn
            yield b"retry: 1000\n\n" + self._at() + board.since(self._seen(seen))
            while not self._ended and monotonic_s() < until_s:
                if self._turn == turn:
                    await self._changed.wait()
                told, turn = board.since(turn), self._turn
                yield told or self._at()
        finally:
            board.viewers -= 1
            self._idle_since_s = monotonic_s()

    def idle(self, for_s: float) -> bool:
        """Whether nobody has watched for so long."""
        return not self.viewers and monotonic_s() - self._idle_since_s >= for_s

    async def close(self) -> None:
        """Ends the task and every viewer's stream."""
        self._ended = True
        self._wake()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _start(self) -> None:
        self._idle_since_s = monotonic_s()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def _wake(self) -> None:
        self._turn += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    def _at(self) -> bytes:
        """Nothing that a page would take for a sign of life while the source is away."""
        if self.away or self.latest is None:
            return b": away\n\n"
        return event("at", str(self._clock()))

    async def _run(self) -> None:
        following = asyncio.create_task(self._follow())
        beat_s = 0.0
        try:
            while True:
                if self._fresh or monotonic_s() - beat_s >= BEAT_S:
                    fresh, self._fresh = self._fresh, False
                    beat_s = monotonic_s()
                    at = self._at()
                    for language, board in self._boards.items():
                        if board.viewers:
                            parts = _events(self.parts(language)) if fresh else {}
                            board.put(self._turn + 1, {"at": at, **parts})
                    self._wake()
                await asyncio.sleep(self._every_s)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self) -> None:
        while True:
            states = self._source()
            try:
                while True:
                    async with asyncio.timeout(self._slowest_s):
                        state = await anext(states, None)
                    if state is None:
                        break
                    self.latest, self.away = state, False
                    first = not self._fresh and self._turn == 0
                    self._fresh = True
                    if first:
                        self._wake()
            except Exception as error:
                # Whatever it is: a page that says that it is old is better than one that hangs.
                if not self.away:
                    _log.warning("what is shown can't be followed", why=_why(error))
                    self.away = True
                    self._wake()
            finally:
                close = getattr(states, "aclose", None)
                if close is not None:
                    with suppress(Exception):
                        await close()
            await asyncio.sleep(_AGAIN_S)


def _why(error: Exception) -> str:
    """Without the words of an error that nobody foresaw: they may be a person's."""
    if isinstance(error, grpc.aio.AioRpcError):
        return str(error.code().name)
    return str(error) if isinstance(error, MawjaError) else type(error).__name__


class Feeds(Generic[T]):
    """The feeds of one kind by what they are of, e.g. by agency; one that nobody has watched for a
    while is let go. `make` begins one."""

    def __init__(self, make: Callable[[Hashable], Feed[T]], linger_s: float = _LINGER_S) -> None:
        self._make = make
        self._linger_s = linger_s
        self._held: dict[Hashable, Feed[T]] = {}

    async def of(self, key: Hashable) -> Feed[T]:
        """The feed of `key`."""
        for other, held in list(self._held.items()):
            if other != key and held.idle(self._linger_s):
                del self._held[other]
                await held.close()
        feed = self._held.get(key)
        if feed is None:
            feed = self._held[key] = self._make(key)
        return feed

    async def close(self) -> None:
        """Ends all of them."""
        held, self._held = self._held, {}
        for feed in held.values():
            await feed.close()
