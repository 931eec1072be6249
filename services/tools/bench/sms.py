"""SMS through broadcast beside a bare loop, both timed by the SMS centre's own record."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import sleep

from services.local.smsc.record import Submit, read_record
from services.local.system import System
from services.runtime.clock import monotonic_s
from services.runtime.errors import MawjaError
from services.runtime.topics import MESSAGE_REQUESTED
from services.tools.bench.figures import Run
from services.tools.bench.probe import count_of, processor_s
from services.tools.local import smsc_record

_ROUNDS = 3
# As with intake: fewer rounds rather than a run that nobody waits for.
_UNTIL_S = 150.0
_ROUND_S = 15.0
_ENOUGH = 500


def sms(done: Run, env: Mapping[str, str]) -> None:
    """What waits to be sent, a share each round: through broadcast, then the same parts bare."""
    record = smsc_record(done.parts.home)
    if done.parts.local_smsc is None:
        done.progress.say("sms: not measured, since MAWJA_SMPP names an SMS centre of your own")
        return
    rounds = min(_ROUNDS, done.rounds)
    quota = count_of(done.parts, MESSAGE_REQUESTED) // rounds
    if quota < _ENOUGH:
        done.progress.say(f"sms: only {quota} messages a round wait to be sent; not measured")
        return
    for number in range(1, rounds + 1):
        if number > 1 and done.late(_UNTIL_S):
            return
        system = System(done.parts, env=env, rooms=("broadcast",))
        begin = len(submits_in(record))
        try:
            done.progress.update(f"sms, round {number} of {rounds}: broadcast …")
            system.start()
            before_s = processor_s(system)["broadcast"]
            while_it_sends(record, quota)
            used_s = processor_s(system)["broadcast"] - before_s
        finally:
            system.stop()
        through = submits_in(record)[begin:]
        if len(through) < quota // 2:
            raise MawjaError(
                f"broadcast sent {len(through)} parts of {quota} messages within {_ROUND_S:.0f} s: "
                f"{system.logs}/broadcast-0.log tells why"
            )
        done.note("cpu_us.broadcast", used_s / len(through) * 1e6)
        done.progress.update(f"sms, round {number} of {rounds}: the bare loop …")
        bare_ones = bare(done, through)
        rate, bare_rate = rate_of(through), rate_of(bare_ones)
        done.note("sms.submits_per_s", rate)
        done.note("sms.bare_submits_per_s", bare_rate)
        done.note("sms.ratio", rate / bare_rate)
        done.progress.say(
            f"sms: {rate:,.0f} parts/s through broadcast, {bare_rate:,.0f} bare, "
            f"{rate / bare_rate:.2f}"
        )


def while_it_sends(record: Path, quota: int) -> None:
    """Waits until the SMS centre has been given `quota` parts more, or a round's time is over."""
    began = monotonic_s()
    with record.open("rb") as lines:
        lines.seek(0, os.SEEK_END)
        while quota > 0 and monotonic_s() - began < _ROUND_S:
            sleep(0.05)
            quota -= lines.read().count(b"\n")


def submits_in(record: Path) -> list[Submit]:
    """What the SMS centre has accepted so far."""
    return [submit for submit in read_record(record) if submit.accepted]


def bare(done: Run, through: Sequence[Submit]) -> list[Submit]:
    """The same parts through the bare loop, as the SMS centre records them."""
    assert done.parts.local_smsc is not None
    record = smsc_record(done.parts.home)
    parts = done.parts.home / "bench" / "parts.jsonl"
    parts.write_text(
        "".join(
            json.dumps(
                {"to": s.destination, "dc": s.data_coding, "udhi": s.udhi, "hex": s.payload.hex()}
            )
            + "\n"
            for s in through
        )
    )
    begin = len(submits_in(record))
    port = done.parts.local_smsc.port
    command = [sys.executable, "-m", "services.tools.bench.floor", "smpp", f"--port={port}"]
    try:
        subprocess.run([*command, f"--parts={parts}"], check=True, timeout=60)
    except subprocess.SubprocessError as error:
        raise MawjaError(f"the bare SMPP loop failed ({error}); run it again") from None
    finally:
        parts.unlink()
    return submits_in(record)[begin:]


def rate_of(submits: Sequence[Submit]) -> float:
    """Submits per second of the middle four fifths, by the SMS centre's clock."""
    times = sorted(submit.t for submit in submits)
    first, last = len(times) // 10, len(times) * 9 // 10
    return (last - first) / max(1e-9, times[last] - times[first])
