"""Reads the records that dedup decides on, and refuses what no version of it could process. Pure.

The rules are those that deciding relies on: ids that are ids, times and durations that are ones.
Whatever passes here is decided without failing.
"""

import re
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup.known import key_of
from services.runtime.errors import Poison

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_LONGEST_MS = 10 * 86_400_000
_PERSON_BYTES = (0, 16)
_CODE = re.compile(r"[a-z0-9-]{1,32}")
_M = TypeVar("_M", bound=Message)


def contact(value: bytes) -> intake_pb2.ContactAccepted:
    """An accepted contact. Raises Poison."""
    read = decoded(intake_pb2.ContactAccepted(), value)
    uuid("contact_id", read.contact_id)
    _person(read.person)
    _time("event_ms", read.event_ms)
    _time("accepted_ms", read.accepted_ms)
    if not read.channel:
        raise Poison("channel is not set")
    return read


def call(value: bytes) -> intake_pb2.CallEvent:
    """A call event. Raises Poison."""
    read = decoded(intake_pb2.CallEvent(), value)
    uuid("contact_id", read.contact_id)
    _person(read.person)
    _time("event_ms", read.event_ms)
    if read.state not in intake_pb2.CallState.values() or not read.state:
        raise Poison("state is not one of a call")
    for name, length in (("queue_wait_ms", read.queue_wait_ms), ("handling_ms", read.handling_ms)):
        if not 0 <= length <= _LONGEST_MS:
            raise Poison(f"{name} is not a duration of at most 10 days")
    return read


def command(value: bytes, partitions: int) -> events_pb2.CaseCommand:
    """A command, which may name one of `partitions`. Raises Poison."""
    read = decoded(events_pb2.CaseCommand(), value)
    uuid("envelope.command_id", read.envelope.command_id)
    uuid("case_id", read.case_id)
    _time("envelope.asked_ms", read.envelope.asked_ms)
    action = read.WhichOneof("action")
    if action is None:
        raise Poison("the command has no action that this version knows")
    if action == "merge":
        _case("merge.source", read.merge.source, partitions)
        _partition("merge.partition", read.merge.partition, partitions)
    elif action == "split":
        for contact_id in read.split.contact_ids:
            uuid("split.contact_ids", contact_id)
    elif action == "set_topic":
        for code in (read.set_topic.agency, read.set_topic.topic):
            if not _CODE.fullmatch(code):
                raise Poison("set_topic must give an agency and a topic by their codes")
    elif action == "ask_score":
        _time("ask_score.until_ms", read.ask_score.until_ms)
    elif action == "follow_merge":
        _case("follow_merge.into", read.follow_merge.into, partitions)
    elif action == "follow_split":
        uuid("follow_split.source_id", read.follow_split.source_id)
    elif action == "follow_state" and read.follow_state.resolved_ms:
        _time("follow_state.resolved_ms", read.follow_state.resolved_ms)
    elif action == "hear":
        uuid("hear.source_id", read.hear.source_id)
        _time("hear.event_ms", read.hear.event_ms)
    return read


def _case(field: str, value: events_pb2.CaseRef, partitions: int) -> None:
    uuid(f"{field}.case_id", value.case_id)
    _partition(f"{field}.partition", value.partition, partitions)


def _partition(field: str, value: int, partitions: int) -> None:
    # What follows from the command goes there: to none that is not there.
    if not 0 <= value < partitions:
        raise Poison(f"{field} is not one of {partitions}")


def decoded(empty: _M, value: bytes) -> _M:
    """The message in `value`, read into `empty`. Raises Poison."""
    try:
        empty.ParseFromString(value)
    except DecodeError:
        raise Poison(f"not a {empty.DESCRIPTOR.name}") from None
    return empty


def uuid(field: str, value: str) -> None:
    """Raises Poison when `value`, of `field`, is not a UUID."""
    try:
        key_of(value)
    except ValueError:
        raise Poison(f"{field} is not a UUID") from None


def _person(value: bytes) -> None:
    if len(value) not in _PERSON_BYTES:
        raise Poison("person is not a hash of 16 bytes")


def _time(field: str, value: int) -> None:
    if not 0 < value <= LATEST_MS:
        raise Poison(f"{field} is not a time")
