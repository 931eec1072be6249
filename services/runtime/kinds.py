"""Kinds of contacts, states of callers: by the names that people and data files give them. Pure."""

from collections.abc import Mapping

from mawja.broadcast.v1 import audiences_pb2
from mawja.common.v1 import common_pb2

KINDS: Mapping[str, common_pb2.ContactKind.ValueType] = {
    "enquiry": common_pb2.CONTACT_KIND_ENQUIRY,
    "complaint": common_pb2.CONTACT_KIND_COMPLAINT,
    "request": common_pb2.CONTACT_KIND_REQUEST,
    "feedback": common_pb2.CONTACT_KIND_FEEDBACK,
}
STATES: Mapping[str, audiences_pb2.CallerState.ValueType] = {
    "open": audiences_pb2.CALLER_STATE_OPEN,
    "resolved": audiences_pb2.CALLER_STATE_RESOLVED,
}
