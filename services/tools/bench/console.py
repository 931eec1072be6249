"""What people who look at the wave page cost: `python -m services.tools.bench.console`.

One system of one machine, with its console. Two questions, answered in one run:

- `core_share`: of one core, by the console's own processor time ÷ time, while so many look at a
  wave that moves (contacts come all the while). What it takes with nobody looking is told beside
  it.
- `intake_ratio`: contacts that intake takes in a second, streamed as fast as it can, with all of
  them looking ÷ with none, in turns. The viewers themselves run on the same machine, in a process
  of their own, so the ratio holds their cost too, which no console bears: `viewers_core_share`.

Prints one object of JSON.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import uvloop
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.local.progress import Progress
from services.local.system import CONSOLE, System, token
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.identity import Role
from services.tools.bench.contacts import SOURCE, contacts
from services.tools.bench.loads import Stream, measure
from services.tools.local import console_url, make_parts, make_system, make_users
from services.tools.report import machine

_A_SECOND = 40
"""Contacts a second while the console is measured: a wave that moves each second."""
_ROUNDS = 4


@dataclass(slots=True)
class Looking:
    """The viewers' process."""

    process: "subprocess.Popen[str]"

    def told(self) -> dict[str, Any]:
        """What they heard; ends them."""
        out, _ = self.process.communicate("\n", timeout=30)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def sign_in(url: str, name: str, password: str) -> str:
    """The cookie of a session."""
    form = urllib.parse.urlencode({"user": name, "password": password, "next": "/wave"}).encode()
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        answer = opener.open(f"{url}sign-in", form, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    cookies = answer.headers.get_all("set-cookie") or []
    return "; ".join(cookie.partition(";")[0] for cookie in cookies)


@contextmanager
def looking(url: str, cookie: str, count: int) -> Iterator[Looking]:
    """`count` people look from here on."""
    place = urllib.parse.urlsplit(url).netloc
    with subprocess.Popen(
        [sys.executable, "-m", "services.tools.bench.viewers", place, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(cookie + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the viewers could not look; see what they say above")
        try:
            yield Looking(process)
        finally:
            process.kill()


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def moving(system: System, seconds: float, of: Iterator[service_pb2.Contact]) -> None:
    """A wave of drill contacts, so many a second."""
    bearer = rpc.bearer(token(system.keys, SOURCE, Role.LOAD_TESTER))
    async with rpc.channel(system.target("intake")) as channel:
        stub: Any = service_pb2_grpc.IntakeServiceStub(channel)
        until = monotonic_s() + seconds
        while monotonic_s() < until:
            some = list(islice(of, _A_SECOND))
            for one in some:
                one.event_ms = now_ms()
            await asyncio.gather(
                asyncio.sleep(1.0),
                *(
                    stub.SubmitContact(
                        service_pb2.SubmitContactRequest(contact=one), metadata=bearer, timeout=20
                    )
                    for one in some
                ),
            )


async def surge(system: System, of: Iterator[service_pb2.Contact]) -> float:
    """Contacts a second that intake takes in."""
    bearer = rpc.bearer(token(system.keys, SOURCE, Role.LOAD_TESTER))
    async with rpc.channel(system.target("intake")) as channel:
        stub: Any = service_pb2_grpc.IntakeServiceStub(channel)
        load = Stream(stub, bearer, list(islice(of, Stream.enough)))
        _, between, after = await measure(load, dict)
        return (after.count - between.count) / (after.at_s - between.at_s)


def run(home: Path, viewers: int, seconds: float) -> dict[str, Any]:
    """Measures, on a system of its own in `home`."""
    progress = Progress()
    of = contacts()
    with make_parts(home, brokers=1, profile="default", progress=progress) as parts:
        system = make_system(parts, console=0)
        passwords = make_users(home / "users.yaml")
        with system:
            url = console_url(system)
            cookie = sign_in(url, "coordinator", passwords["coordinator"])
            (console,) = [one.process.pid for one in system.running if one.room == CONSOLE]
            told: dict[str, Any] = {"machine": machine(), "viewers": viewers}
            uvloop.run(moving(system, 3, of))
            progress.update("nobody looks …")
            told["nobody_core_share"] = _share(console, system, seconds / 2, of)
            progress.update(f"{viewers} look …")
            with looking(url, cookie, viewers) as all_:
                before = cpu_s(all_.process.pid)
                told["core_share"] = _share(console, system, seconds, of)
                told["viewers_core_share"] = round((cpu_s(all_.process.pid) - before) / seconds, 3)
                told["heard"] = all_.told()
            rates: dict[bool, list[float]] = {True: [], False: []}
            for number in range(2 * _ROUNDS):
                looked = number % 4 in (1, 2)
                progress.update(f"a surge, {'looked at' if looked else 'unseen'} …")
                if looked:
                    with looking(url, cookie, viewers):
                        rates[True].append(uvloop.run(surge(system, of)))
                else:
                    rates[False].append(uvloop.run(surge(system, of)))
            told["intake_per_s"] = {
                "looked_at": [round(rate) for rate in rates[True]],
                "unseen": [round(rate) for rate in rates[False]],
            }
            told["intake_ratio"] = round(median(rates[True]) / median(rates[False]), 3)
    progress.clear()
    return told


def _share(
    console: int, system: System, seconds: float, of: Iterator[service_pb2.Contact]
) -> float:
    began, before = monotonic_s(), cpu_s(console)
    uvloop.run(moving(system, seconds, of))
    return round((cpu_s(console) - before) / (monotonic_s() - began), 3)


def main() -> None:
    """Reads the arguments, measures, prints."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--viewers", type=int, default=500)
    asked.add_argument("--seconds", type=float, default=20.0)
    asked.add_argument("--home", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        print(json.dumps(run(home, given.viewers, given.seconds), indent=2))


if __name__ == "__main__":
    main()
