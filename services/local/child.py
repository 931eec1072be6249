"""A child process that never outlives its parent: not on Ctrl-C, not on kill -9 of it.

Each child is started through `tether`, in its own process group (so a terminal's Ctrl-C reaches
only the parent, which then stops its children in order), by one thread that lives as long as the
process: the kernel's parent-death signal follows the *thread* that started the child.
Output goes to a log file.
"""

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import psutil

from services.local.errors import LocalPartError

_TETHER = str(Path(__file__).with_name("tether.py"))
POLL_S = 0.05
"""How often an end is looked for."""


class _Spawner:
    """The one long-lived thread that starts every child of this process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[
            tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]
        ] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="spawner", daemon=True).start()

    def submit(self, job: Callable[[], subprocess.Popen[bytes]]) -> Future[subprocess.Popen[bytes]]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def _forget_spawner() -> None:
    """A forked copy of this process has no spawner thread: it makes its own when it needs one."""
    global _spawner, _spawner_lock
    _spawner, _spawner_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_spawner)


def _the_spawner() -> _Spawner:
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
        return _spawner


class Child:
    """One command as a child process. It can be started again after it has ended.

    Output is appended to `log`. `grace_s` is how long `stop` waits between SIGTERM and SIGKILL.
    `env` is the whole environment of the child (this process's own if None).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_s: float = 10.0,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self.env = env
        self.cwd = cwd
        self.grace_s = grace_s
        self._popen: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._started_at = 0.0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Process id of the latest start. Raises LocalPartError if it was never started."""
        if self._popen is None:
            raise LocalPartError(f"{self.name} was not started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or before its start); negative: the signal that ended it."""
        return None if self.alive() or self._popen is None else self._popen.returncode

    @property
    def uptime_s(self) -> float:
        """Seconds since the latest start."""
        return time.monotonic() - self._started_at

    def start(self) -> None:
        """Starts it. Raises LocalPartError if it runs already or the command can't be found."""
        if self.alive():
            raise LocalPartError(f"{self.name} already runs (pid {self.pid})")
        program = shutil.which(self.command[0])
        if program is None:
            raise LocalPartError(f"{self.name}: there is no program {self.command[0]} to run")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        future = _the_spawner().submit(lambda: self._spawn([program, *self.command[1:]]))
        try:
            self._popen = future.result()
        except BaseException:
            # Interrupted between the start and knowing of it: nobody would ever stop that child.
            future.add_done_callback(_kill_result)
            raise
        self._started_at = time.monotonic()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        pipe: int | None = None
        if sys.platform != "linux":
            pipe, self._lifeline = os.pipe()
        tether = [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), str(pipe or "-")]
        try:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    [*tether, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=None if self.env is None else dict(self.env),
                    cwd=self.cwd,
                    process_group=0,
                    pass_fds=() if pipe is None else (pipe,),
                )
        finally:
            if pipe is not None:
                os.close(pipe)

    def alive(self) -> bool:
        """True while the process runs (a stopped one, SIGSTOP, runs)."""
        with self._lock:
            popen = self._popen
            if popen is None or popen.returncode is not None:
                return False
            if popen.poll() is None:
                return True
            self._sweep(popen.pid)
            return False

    def _sweep(self, group: int) -> None:
        """Ends what the process left behind in its group, and lets go of its lifeline."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def signal(self, number: int) -> None:
        """Sends a signal to the process alone. Does nothing if it has ended."""
        if self.alive() and self._popen is not None:
            self._popen.send_signal(number)

    def suspend(self) -> None:
        """SIGSTOP: freezes it where it is."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: lets a frozen one go on."""
        self.signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> bool:
        """True if it has ended within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
        return True

    def terminate(self) -> None:
        """SIGTERM, without waiting; a frozen process is let go on so that it can obey."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, up to `grace_s` seconds, then SIGKILL; also what it left in its group."""
        self.terminate()
        if not self.wait(self.grace_s):
            self.kill9()

    def kill9(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait(10.0)

    def destroy(self) -> None:
        """The same as `kill9`."""
        self.kill9()

    def rss_bytes(self) -> int:
        """Resident memory of the process in bytes; 0 if it has ended."""
        if self._popen is None:
            return 0
        try:
            return int(psutil.Process(self._popen.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def log_tail(self, lines: int = 5) -> str:
        """The last `lines` lines of its output."""
        return tail(self.log, lines)


def _kill_result(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.exception() is None:
        future.result().kill()


def tail(file: Path, lines: int) -> str:
    """The last `lines` lines of a file (of its last 64 KiB); empty if it can't be read."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 65_536))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])
