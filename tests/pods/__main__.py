"""A surge through the rendered Deployments: `python -m tests.pods --image localhost/mawja:0.1.0`.

Exit code 1 when anything was lost, came twice or does not add up, a pod was started again, or one
connected to what its network policy does not allow. `--record` keeps the connections seen.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from loadtests import shapes
from loadtests.surge import script
from services.local.progress import Progress
from services.local.system import ROOMS
from services.tools import scorecard
from services.tools.local import make_parts, write_carriers
from services.tools.report import Order, ended_well
from services.tools.screen import console
from services.tools.surge import known_switchboards, through
from tests.pods.connections import Recorder
from tests.pods.pods import Pods

RECORD = Path(__file__).resolve().parents[1] / "fixtures" / "connections.json"


def main() -> int:
    """Runs it; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.pods", description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--over", default="60s")
    parser.add_argument("--home", type=Path, default=Path(".mawja-pods"))
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()

    made = script("covid-78k", calls=asked.calls, seed=1)
    order = Order(
        script=made,
        profile=made.shape.name,
        virtual_s=made.shape.duration_s,
        over_s=shapes.seconds(asked.over),
        home=asked.home,
        report=asked.home / "report.json",
        agents=made.agents,
    )
    progress = Progress()
    with make_parts(asked.home, brokers=1, profile="default", progress=progress) as parts:
        write_carriers(parts)
        site = parts.home / "site"
        site.mkdir(exist_ok=True)
        (site / "shared-numbers.txt").write_text("\n".join(known_switchboards(made)) + "\n")
        settings = {"MAWJA_SHARED_NUMBERS": "/etc/mawja/site/shared-numbers.txt"}
        system = Pods(parts, rooms=(*ROOMS, "reports"), image=asked.image, settings=settings)
        began_s = time.monotonic()
        try:
            system.start()
            progress.say(f"{len(system.held)} pods serve after {time.monotonic() - began_s:.0f} s")
            ports = {address.grpc: room for room, address in system.held.items()}
            for name, where in (
                ("kafka", parts.kafka),
                ("redis", parts.redis_url),
                ("carrier", parts.smpp),
            ):
                ports[int(str(where).removesuffix("/0").rpartition(":")[2])] = name
            with Recorder(system.pids, ports) as recorder:
                report = asyncio.run(through(order, parts, system, progress))
            whole = system.pids().keys() == set(system.rooms)
            serve = all(system.serves(room) for room in system.rooms)
        finally:
            system.stop()
    order.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{json.dumps(recorder.seen)}\n{json.dumps(report['cpu_s'])}\n")
    console().print(scorecard.render(report))
    if asked.record:
        RECORD.write_text(json.dumps(recorder.seen, indent=2) + "\n", "utf-8")
    as_recorded = asked.record or recorder.seen == json.loads(RECORD.read_text("utf-8"))
    if not as_recorded:
        sys.stderr.write(f"other connections were made than {RECORD.name} holds\n")
    return 0 if ended_well(report) and whole and serve and as_recorded else 1


if __name__ == "__main__":
    sys.exit(main())
