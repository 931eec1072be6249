"""Reads the records that incidents are decided from, and refuses what no version could process.
Pure.
"""

from mawja.dedup.v1 import incidents_pb2, needs_pb2

from services.dedup.inputs import LATEST_MS, decoded, uuid
from services.runtime.errors import Poison

_LONGEST_REASON = 300


def need(value: bytes) -> needs_pb2.NeedStated:
    """What is stated of a case. Raises Poison."""
    read = decoded(needs_pb2.NeedStated(), value)
    uuid("case_id", read.case_id)
    if not 0 < read.event_ms <= LATEST_MS:
        raise Poison("event_ms is not a time")
    if not read.case_version:
        raise Poison("case_version is not set")
    return read


def command(value: bytes) -> incidents_pb2.IncidentCommand:
    """A command. Raises Poison."""
    read = decoded(incidents_pb2.IncidentCommand(), value)
    uuid("envelope.command_id", read.envelope.command_id)
    uuid("case_id", read.case_id)
    if read.HasField("join"):
        uuid("other_id", read.join.other_id)
        if not 0 <= read.join.score <= 1:
            raise Poison("score is not from 0 to 1")
        if len(read.join.reason) > _LONGEST_REASON:
            raise Poison("reason is too long")
    elif read.HasField("unlink"):
        uuid("other_id", read.unlink.other_id)
    else:
        raise Poison("the command has no action that this version knows")
    return read
