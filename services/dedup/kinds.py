"""The kinds of contacts by the names that data files give them. Pure."""

from collections.abc import Mapping

from mawja.common.v1 import common_pb2

KINDS: Mapping[str, common_pb2.ContactKind.ValueType] = {
    "enquiry": common_pb2.CONTACT_KIND_ENQUIRY,
    "complaint": common_pb2.CONTACT_KIND_COMPLAINT,
    "request": common_pb2.CONTACT_KIND_REQUEST,
    "feedback": common_pb2.CONTACT_KIND_FEEDBACK,
}
