"""The telephone system of an agency: says every second that its queue is empty.

`python -m tests.runbooks.agency TARGET AGENCY`, with the key ring in MAWJA_KEYS.
"""

import os
import sys
import time
from pathlib import Path

import grpc
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc

from services.runtime import clock, rpc
from services.runtime.identity import Role, issue


def main() -> None:
    """Reports until it is ended; says so once Wave has taken the first."""
    target, agency = sys.argv[1:]
    keys = Path(os.environ["MAWJA_KEYS"])
    bearer = rpc.bearer(
        issue(keys, "its-telephones", frozenset({Role.LIAISON}), now=clock.now_ms(), agency=agency)
    )
    with grpc.insecure_channel(target, options=rpc.CHANNEL_OPTIONS) as channel:
        stub = contracts_pb2_grpc.ContractServiceStub(channel)
        while True:
            stub.ReportQueue(
                contracts_pb2.ReportQueueRequest(
                    agency=agency,
                    state=contracts_pb2.QueueCondition.QUEUE_CONDITION_ACTIVE,
                    queue_length=0,
                    event_ms=clock.now_ms(),
                ),
                metadata=bearer,
                timeout=10,
            )
            print("reported", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
