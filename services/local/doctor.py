"""What `mawja doctor` looks at: does this machine have what a local run needs?

Nothing is fetched, started or changed. Every failed check says what to do about it.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.local import disk
from services.local.errors import LocalPartError
from services.local.java import find_java
from services.local.kafka_install import cache_home, installed
from services.local.kafka_jars import JARS, VERSION
from services.local.parts import Replaced, running
from services.local.ports import LOOPBACK, answers, free_ports
from services.local.valkey import valkey_binary

_GIB = 1024**3
_MEMORY_BYTES = 4 * _GIB
_OPEN_FILES = 4096


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `fix` is empty when it is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def checks(home: Path, env: Mapping[str, str] = os.environ) -> list[Check]:
    """Everything, in the order in which a start needs it."""
    replaced = Replaced.from_env(env)
    found = [
        _python(),
        _cores(),
        _memory(),
        _disk("disk for runs", home, "MAWJA_HOME"),
        _open_files(),
        _loopback(),
        _home(home),
    ]
    if replaced.kafka is None:
        cache = cache_home(env)
        found += [
            _java(env),
            _disk("disk for Kafka's jars", cache, "XDG_CACHE_HOME"),
            _jars(cache),
        ]
    else:
        found.append(_reachable("MAWJA_KAFKA", replaced.kafka))
    if replaced.redis_url is None:
        found.append(_asked("Valkey", lambda: str(valkey_binary())))
    else:
        found.append(Check("MAWJA_REDIS_URL", True, "set; it is tried at the start"))
    if replaced.smpp is not None:
        found.append(_reachable("MAWJA_SMPP", replaced.smpp))
    return found


def _asked(name: str, ask: Callable[[], str]) -> Check:
    """A check whose error message holds both what is wrong and what to do, after a colon."""
    try:
        return Check(name, True, ask())
    except LocalPartError as error:
        wrong, _, fix = str(error).partition(": ")
        return Check(name, False, wrong, fix)


def _python() -> Check:
    version = ".".join(str(number) for number in sys.version_info[:3])
    return Check("Python", True, f"{version} ({sys.executable})")


def _cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(
        "cores",
        (count or 1) >= 2,
        f"{count}",
        "" if (count or 1) >= 2 else "it will work, slowly: give it two cores or more",
    )


def _memory() -> Check:
    free = psutil.virtual_memory().available
    enough = free >= _MEMORY_BYTES
    return Check(
        "memory",
        enough,
        f"{free / _GIB:.1f} GiB free",
        "" if enough else f"close some programs: {_MEMORY_BYTES / _GIB:.0f} GiB free are needed",
    )


def _disk(name: str, folder: Path, variable: str) -> Check:
    free = disk.free_bytes(folder)
    enough = free >= disk.NEEDED_BYTES
    needed = disk.NEEDED_BYTES / _GIB
    return Check(
        name,
        enough,
        f"{free / _GIB:.1f} GiB free for {folder}",
        "" if enough else f"free {needed:.0f} GiB, or name another folder with {variable}",
    )


def _open_files() -> Check:
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = limit == resource.RLIM_INFINITY or limit >= _OPEN_FILES
    return Check(
        "open files",
        enough,
        "no limit" if limit == resource.RLIM_INFINITY else f"{limit} allowed",
        "" if enough else f"raise the limit to {_OPEN_FILES} or more (`ulimit -Hn`)",
    )


def _loopback() -> Check:
    return _asked("loopback ports", lambda: f"free on {LOOPBACK}, such as {free_ports(1)[0]}")


def _home(home: Path) -> Check:
    place = running(home)
    if place is None:
        return Check("home", True, f"{home.absolute()}: nothing runs there")
    return Check("home", True, f"{home.absolute()}: Mawja runs there (process {place.pid})")


def _java(env: Mapping[str, str]) -> Check:
    def ask() -> str:
        java = find_java(env)
        return f"{java.version} ({java.program})"

    return _asked("Java", ask)


def _jars(cache: Path) -> Check:
    name = f"Kafka {VERSION}"
    if installed(cache) is not None:
        return Check(name, True, f"in {cache}")
    size = sum(jar.size for jar in JARS) / 1024**2
    return Check(
        name,
        True,
        f"not in {cache} yet: the first start fetches {size:.0f} MiB from Maven Central",
    )


def _reachable(variable: str, addresses: str) -> Check:
    for address in addresses.split(","):
        host, _, port = address.rpartition(":")
        if port.isdigit() and answers(host.strip("[]"), int(port), 2.0):
            return Check(variable, True, f"{address} answers")
    return Check(
        variable,
        False,
        f"nothing answers at {addresses}",
        f"start it, correct it, or unset {variable}",
    )
