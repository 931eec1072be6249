"""Which loopback ports the local parts listen on.

Ports are taken from below the kernel's range for outgoing connections. Inside that range a client
that keeps reconnecting to a dead part on loopback can be given the part's own port as its source
port, connect to itself, and keep the restarted part from binding.
"""

import itertools
import os
import socket
import time
from pathlib import Path

from services.local.errors import LocalPartError

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000
_OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_steps = itertools.count()


def _highest() -> int:
    """The last port below the kernel's outgoing range (32,767 where it can't be read)."""
    try:
        low = int(_OUTGOING_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32_768
    # A machine that gives nearly everything to outgoing connections leaves us no choice.
    return low - 1 if low - 1 > _LOWEST + 1_000 else 60_000


def is_free(port: int) -> bool:
    """True if `port` can be listened on at 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do it: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` different ports that were free a moment ago; the caller retries if one is lost."""
    span = _highest() - _LOWEST
    # Spread by process and time, so that two runs on one machine seldom try the same port.
    start = (os.getpid() * 97 + time.monotonic_ns() // 1000 + next(_steps) * 31) % span
    found: list[int] = []
    for step in range(span):
        port = _LOWEST + (start + step) % span
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise LocalPartError(
        f"no {count} free ports on {LOOPBACK} between {_LOWEST} and {_LOWEST + span}: "
        "stop some programs that listen there (see `ss -ltn`)"
    )


def require_free(port: int, part: str) -> None:
    """Raises LocalPartError if the port a person chose for `part` is taken or not a port."""
    if not 1 <= port <= 65_535:
        raise LocalPartError(f"{port} is not a port for {part}: choose one from 1 to 65535")
    if not is_free(port):
        raise LocalPartError(
            f"port {port} for {part} is taken on {LOOPBACK}: stop what listens there "
            f"(`ss -ltnp 'sport = :{port}'`), choose another, or leave it out to get a free one"
        )


def answers(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """True if something accepts a TCP connection at `host:port`."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
