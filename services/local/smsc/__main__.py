"""``python -m services.local.smsc``: run the SMS centre until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from services.local.smsc import control
from services.local.smsc.profile import Profile, ProfileError, load
from services.local.smsc.record import RecordFile
from services.local.smsc.server import SmsCentre


def main() -> int:
    """Parse the command line and serve; 0 after a clean stop, 2 if it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.local.smsc",
        description="An SMPP 3.4 SMS centre that behaves as its profile says and records every "
        "submit before answering it. Once ready it prints one JSON line with its ports.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="SMPP port; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0: a free one")
    parser.add_argument("--record", type=Path, required=True, help="append-only JSON lines")
    parser.add_argument("--profile", default="default", help="default, slow, hostile, or a file")
    parser.add_argument("--port-file", type=Path, help="where to write the JSON line too")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s smsc: %(message)s")
    try:
        profile = load(options.profile)
        uvloop.run(_serve(options, profile))
    except ProfileError as error:
        print(f"smsc: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"smsc: can't start: {error.strerror or error} (port {options.port}, record "
            f"{options.record}); free the port or make the path writable",
            file=sys.stderr,
        )
        return 2
    return 0


async def _serve(options: argparse.Namespace, profile: Profile) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    centre = SmsCentre(profile, RecordFile(options.record), seed=options.seed)
    await centre.start(options.host, options.port)
    controls = await control.serve(centre, options.host, options.control_port)
    ready = json.dumps(
        {
            "smpp_port": centre.port,
            "control_port": controls.sockets[0].getsockname()[1],
            "pid": os.getpid(),
        }
    )
    if options.port_file is not None:
        options.port_file.parent.mkdir(parents=True, exist_ok=True)
        temporary = options.port_file.with_name(options.port_file.name + ".new")
        temporary.write_text(ready + "\n", "utf-8")
        temporary.replace(options.port_file)
    print(ready, flush=True)
    # Everything so far stays for ever; scheduled work is young and has no cycles.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    await stop.wait()
    controls.close()
    await centre.stop()


if __name__ == "__main__":
    sys.exit(main())
