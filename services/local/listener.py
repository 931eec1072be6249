"""A part that is one process listening on one loopback port: started, tried, and tried elsewhere.

A free port can be lost between its choice and its use; then another is taken. A port that a person
chose is never changed: they are told instead.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.local.child import Child
from services.local.errors import LocalPartError
from services.local.ports import LOOPBACK, answers, free_ports, is_free, require_free

_TRIES = 4


class Listener:
    """`command(port)` as a child that is ready when `ready(port)` says so.

    `ready` defaults to accepting a connection. Logs go to `folder/output.log`. Raises
    LocalPartError from `start` if a chosen `port` is taken, and from `ready` if it ended or takes
    longer than `ready_s` seconds.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        folder: Path,
        *,
        port: int | None = None,
        is_ready: Callable[[int], bool] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready_s: float = 30.0,
        grace_s: float = 5.0,
    ) -> None:
        self.name = name
        self.port = 0
        self._command = command
        self._folder = folder.absolute()
        self._fixed = port
        self._is_ready = is_ready or (lambda p: answers(LOOPBACK, p))
        self._env = env
        self._cwd = cwd
        self._ready_s = ready_s
        self._grace_s = grace_s
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def child(self) -> Child:
        """Its process. Raises LocalPartError before `start`."""
        if self._child is None:
            raise LocalPartError(f"{self.name} was not started")
        return self._child

    @property
    def pid(self) -> int:
        """Process id."""
        return self.child.pid

    def start(self) -> None:
        """Starts it, without waiting for it to be ready. See `ready`."""
        if self._fixed is not None:
            require_free(self._fixed, self.name)
        self._launch()

    def restart(self) -> None:
        """Starts it again on the same port after it has ended, and waits until it is ready."""
        self.child.start()
        self.ready()

    def _launch(self) -> None:
        self.port = self._fixed if self._fixed is not None else free_ports(1)[0]
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "output.log"
        log.unlink(missing_ok=True)
        self._child = Child(
            self.name,
            self._command(self.port),
            log=log,
            env=self._env,
            cwd=self._cwd or self._folder,
            grace_s=self._grace_s,
        )
        self._child.start()

    def ready(self, go_on: Callable[[], None] = lambda: None) -> None:
        """Waits until it serves. `go_on` is called often and may raise to give up."""
        tries = _TRIES
        deadline = time.monotonic() + self._ready_s
        while True:
            go_on()
            alive = self.child.alive()
            # Asked after `alive`: another program that took our port would answer as well.
            if alive and self._is_ready(self.port) and self.child.alive():
                return
            if not alive:
                tries -= 1
                if self._fixed is None and tries and not is_free(self.port):
                    self._launch()
                    continue
                self.check()
            if time.monotonic() >= deadline:
                raise LocalPartError(
                    f"{self.name} is not ready after {self._ready_s:g} s (log: {self.child.log}): "
                    "start again with fewer programs running"
                )
            time.sleep(0.02)

    def check(self) -> None:
        """Raises LocalPartError saying why, if it has ended."""
        if not self.child.alive():
            raise LocalPartError(
                f"{self.name} ended with code {self.child.exit_code}: "
                f"{self.child.log_tail(1) or 'it said nothing'} (log: {self.child.log})"
            )

    def alive(self) -> bool:
        """True while it runs."""
        return self._child is not None and self._child.alive()

    def rss_bytes(self) -> int:
        """Resident memory in bytes; 0 if it does not run."""
        return 0 if self._child is None else self._child.rss_bytes()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace."""
        if self._child is not None:
            self._child.stop()

    def kill9(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill9()

    def destroy(self) -> None:
        """SIGKILL."""
        self.kill9()


def redis_answers(port: int) -> bool:
    """True if a Redis or Valkey at 127.0.0.1:port answers PING (a bare accept is too early)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.5) as connection:
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
