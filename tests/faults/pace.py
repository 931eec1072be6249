"""How fast a processor is from moment to moment: `python -m tests.faults.pace CORE`, until killed.

A fixed piece of work, much like what intake does, twenty times a second; each line on stdout is the
moment (monotonic seconds) and the processor seconds that the piece took. On a machine that is
shared, or whose processors share what is inside, the same work takes now this and now twice as
long, and a ratio of two rates says nothing without it.
"""

import hmac
import os
import sys
import time

from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2

_EVERY_S = 0.05
_CONTACTS = 120


def piece(bundle: bytes) -> int:
    """The work: contacts are parsed, looked at, hashed and written."""
    written = 0
    for one in service_pb2.SubmitContactsRequest.FromString(bundle).bundle:
        contact = one.contact
        mac = hmac.digest(b"k" * 32, contact.SerializeToString(deterministic=True), "sha256")
        made = {"key": contact.idempotency_key, "number": contact.number, "mac": mac}
        written += len(str(made)) + one.sequence
    return written


def main() -> None:
    """Measures for ever."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    bundle = service_pb2.SubmitContactsRequest(
        bundle=[
            service_pb2.SubmitContactsRequest(
                sequence=i,
                contact=service_pb2.Contact(
                    source="pace",
                    idempotency_key=f"pace-{i}",
                    channel=common_pb2.CHANNEL_WEB,
                    number=f"+9995{i:08d}",
                    text="انقطاع المياه في الحي منذ الصباح",
                ),
            )
            for i in range(_CONTACTS)
        ]
    ).SerializeToString()
    while True:
        # Once for the caches: how cold they are depends on who ran before, not on how fast it is.
        piece(bundle)
        began = time.thread_time()
        piece(bundle)
        print(f"{time.monotonic():.4f} {time.thread_time() - began:.7f}", flush=True)
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
