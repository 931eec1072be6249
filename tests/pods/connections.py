"""Who connects to whom while a surge goes through: what network policies are held against."""

import threading
from collections.abc import Callable, Mapping
from typing import Self

import psutil

_EVERY_S = 0.1


class Recorder:
    """Looks at the connections that the processes `pids()` have made, ten times a second, as a
    context manager. `parts`: the name of each port that something listens at."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], parts: Mapping[int, str]) -> None:
        self._pids = pids
        self._parts = parts
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._seen: dict[str, set[str]] = {}

    @property
    def seen(self) -> dict[str, list[str]]:
        """To which parts each process has connected; `port N` is one that nobody named."""
        return {name: sorted(to) for name, to in sorted(self._seen.items())}

    def _run(self) -> None:
        pids = self._pids()
        while not self._ending.wait(_EVERY_S):
            for name, pid in pids.items():
                self._seen.setdefault(name, set()).update(self._of(pid))

    def _of(self, pid: int) -> set[str]:
        try:
            held = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            return set()
        own = {one.laddr.port for one in held if one.status == psutil.CONN_LISTEN}
        return {
            self._parts.get(one.raddr.port, f"port {one.raddr.port}")
            for one in held
            if hasattr(one.raddr, "port") and one.laddr.port not in own
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
