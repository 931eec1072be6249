"""A child that is started again when it ends unasked, with growing delays, as a cluster would."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from services.local.child import POLL_S, Child
from services.local.errors import LocalPartError


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon a crashed child is started again: first_s · factor^n seconds, at most max_s.

    n counts the crashes in a row; a run of `healthy_s` seconds starts the count again. After
    `limit` crashes in a row it is given up (None: never).
    """

    first_s: float = 0.2
    factor: float = 2.0
    max_s: float = 5.0
    healthy_s: float = 10.0
    limit: int | None = None

    def delay_s(self, crashes_in_a_row: int) -> float | None:
        """Seconds to wait after this many crashes in a row (1 or more); None: give up."""
        if self.limit is not None and crashes_in_a_row > self.limit:
            return None
        return min(self.max_s, self.first_s * self.factor ** min(crashes_in_a_row - 1, 64))


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of a supervised child that nobody asked for."""

    name: str
    pid: int
    code: int
    uptime_s: float


class Supervised:
    """A child that is started again when it ends without `stop`. Any exit counts, also code 0."""

    def __init__(
        self,
        child: Child,
        policy: RestartPolicy | None = None,
        on_exit: Callable[[Exit], None] | None = None,
    ) -> None:
        self.child = child
        self.policy = policy or RestartPolicy()
        self._on_exit = on_exit
        self._exits: list[Exit] = []
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def name(self) -> str:
        """The child's name."""
        return self.child.name

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        return self.child.pid

    @property
    def exits(self) -> tuple[Exit, ...]:
        """Every unasked end so far, oldest first."""
        return tuple(self._exits)

    @property
    def given_up(self) -> bool:
        """True if it is not going to be started again, though nobody stopped it."""
        watcher = self._watcher
        return watcher is not None and not watcher.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Starts the child and watches it."""
        self._stopping.clear()
        self.child.start()
        self._watcher = threading.Thread(
            target=self._watch, name=f"supervise-{self.name}", daemon=True
        )
        self._watcher.start()

    def _watch(self) -> None:
        in_a_row = 0
        while True:
            while self.child.alive():
                if self._stopping.wait(POLL_S):
                    return
            uptime_s = self.child.uptime_s
            if self._stopping.is_set():
                return
            ended = Exit(self.name, self.child.pid, self.child.exit_code or 0, uptime_s)
            self._exits.append(ended)
            if self._on_exit is not None:
                self._on_exit(ended)
            in_a_row = 1 if uptime_s >= self.policy.healthy_s else in_a_row + 1
            delay_s = self.policy.delay_s(in_a_row)
            if delay_s is None or self._stopping.wait(delay_s):
                return
            with self._starting:
                if self._stopping.is_set():
                    return
                try:
                    self.child.start()
                except LocalPartError:
                    # Its program is gone; `given_up` says so, and `exits` why it was needed.
                    return

    def alive(self) -> bool:
        """True while the child runs (False between a crash and its restart)."""
        return self.child.alive()

    def rss_bytes(self) -> int:
        """Resident memory of the child in bytes; 0 if it does not run."""
        return self.child.rss_bytes()

    def kill9(self) -> None:
        """SIGKILL to the child: a crash, after which it is started again."""
        self.child.kill9()

    def stop(self) -> None:
        """Ends supervision and then the child, politely."""
        self._let_go()
        self.child.stop()

    def destroy(self) -> None:
        """Ends supervision and then the child, with SIGKILL."""
        self._let_go()
        self.child.kill9()

    def _let_go(self) -> None:
        with self._starting:
            self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
