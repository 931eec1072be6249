"""Intake beside a bare server, in turns: every load on both sides, round by round."""

import sys
from itertools import cycle, islice
from pathlib import Path

import uvloop
from mawja.intake.v1 import service_pb2_grpc

from services.local.listener import Listener
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.identity import Role
from services.tools.bench.contacts import SOURCE
from services.tools.bench.figures import Run
from services.tools.bench.loads import Bundled, Load, Stream, Unary, measure
from services.tools.bench.probe import Sample, processor_s

# On a busy machine fewer rounds are better than a run that nobody waits for.
_UNTIL_S = 80.0


def intake(done: Run) -> None:
    """Every load on intake and on a bare server, as many rounds as there is time for."""
    floor = Listener(
        "the bare server",
        lambda port: [
            sys.executable,
            "-m",
            "services.tools.bench.floor",
            "echo",
            f"--port={port}",
        ],
        done.parts.home / "bench",
        cwd=Path.cwd(),
    )
    system = System(done.parts, rooms=("intake",))
    try:
        done.progress.update("starting intake and the bare server …")
        system.start()
        floor.start()
        floor.ready()
        uvloop.run(_rounds(done, system, floor.address))
    finally:
        floor.stop()
        system.stop()


async def _rounds(done: Run, system: System, floor: str) -> None:
    bearer = rpc.bearer(token(done.keys, SOURCE, Role.LOAD_TESTER))
    loads: dict[str, type[Load]] = {"unary": Unary, "stream": Stream, "bundled": Bundled}
    async with rpc.channel(floor) as bare, rpc.channel(system.target("intake")) as durable:
        # A JVM that has just started is several times slower than the same one later.
        done.progress.update("warming up …")
        warming = list(islice(done.contacts, Stream.enough))
        for channel in (durable, bare):
            stub = service_pb2_grpc.IntakeServiceStub(channel)
            await measure(Stream(stub, bearer, warming), dict)
        for number in range(1, done.rounds + 1):
            if done.late(_UNTIL_S):
                return
            for name, load in loads.items():
                done.progress.update(f"round {number} of {done.rounds}: {name}")
                rates = {}
                messages = list(islice(done.contacts, load.enough))
                done.request_bytes += [message.ByteSize() for message in messages[:1000]]
                # Who goes first changes, so that neither always meets the warmer machine.
                sides = [("bare_per_s", bare), ("per_s", durable)]
                for side, channel in sides if number % 2 else reversed(sides):
                    # What keeps nothing may be given the same again.
                    requests = messages if side == "per_s" else cycle(messages)
                    stub = service_pb2_grpc.IntakeServiceStub(channel)
                    before, between, after = await measure(
                        load(stub, bearer, requests), lambda: processor_s(system)
                    )
                    rates[side] = (after.count - between.count) / (after.at_s - between.at_s)
                    done.note(f"{name}.{side}", rates[side])
                    if side == "per_s":
                        _note_cpu(done, name, between, after)
                        done.taken += after.count - before.count
                done.note(f"{name}.ratio", rates["per_s"] / rates["bare_per_s"])
                ratio = done.measured[f"{name}.ratio"][-1]
                done.progress.say(
                    f"{name}: {rates['per_s']:,.0f}/s durable, {rates['bare_per_s']:,.0f}/s bare, "
                    f"{ratio:.2f}"
                )


def _note_cpu(done: Run, name: str, before: Sample, after: Sample) -> None:
    count = after.count - before.count
    for process in after.cpu_s:
        label = f"intake_{name}" if process == "intake" else f"intake_{name}_{process}"
        used_us = (after.cpu_s[process] - before.cpu_s[process]) * 1e6
        done.note(f"cpu_us.{label}", used_us / max(1, count))
