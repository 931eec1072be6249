"""Errors of the closed list as status codes of gRPC, with their details, and back."""

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.runtime.errors import (
    Away,
    Conflict,
    Forbidden,
    Invalid,
    MawjaError,
    NotFound,
    NotInState,
    Overloaded,
    Violation,
)
from services.runtime.identity import Unauthenticated

_AWAY_RETRY_MS = 1_000
_CODES: Mapping[type[MawjaError], int] = {
    Invalid: code_pb2.INVALID_ARGUMENT,
    Conflict: code_pb2.ALREADY_EXISTS,
    NotFound: code_pb2.NOT_FOUND,
    NotInState: code_pb2.FAILED_PRECONDITION,
    Forbidden: code_pb2.PERMISSION_DENIED,
    Unauthenticated: code_pb2.UNAUTHENTICATED,
    Overloaded: code_pb2.RESOURCE_EXHAUSTED,
    Away: code_pb2.UNAVAILABLE,
}


def code_of(error: MawjaError) -> int:
    """The gRPC status code of an error of the closed list."""
    # By its exact class first: turning a contact away asks for it, and must cost next to nothing.
    kinds = type(error).__mro__
    return next((_CODES[kind] for kind in kinds if kind in _CODES), code_pb2.UNAVAILABLE)


def raise_refusal(code: int, message: str) -> None:
    """Raises what the owner of a partition answered a command with; nothing when it was done."""
    if code == code_pb2.OK:
        return
    if code == code_pb2.INVALID_ARGUMENT:
        field, _, rule = message.partition(": ")
        raise Invalid([Violation(field, rule)])
    raise kind_of(code, NotInState)(message)


def kind_of(code: int, otherwise: type[MawjaError]) -> type[MawjaError]:
    """The error of the closed list that a gRPC status code stands for; `otherwise`: for a code that
    stands for none."""
    return next((kind for kind, of in _CODES.items() if of == code), otherwise)


def retry_after_ms(error: MawjaError) -> int:
    """How long to wait before trying again; 0 when that does not help."""
    if isinstance(error, Overloaded):
        return error.retry_after_ms
    return _AWAY_RETRY_MS if code_of(error) == code_pb2.UNAVAILABLE else 0


def status_of(error: MawjaError) -> status_pb2.Status:
    """The status of an error: google.rpc.BadRequest for fields, RetryInfo where waiting helps."""
    details = []
    if isinstance(error, Invalid):
        bad = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.rule)
                for v in error.violations
            ]
        )
        details.append(_packed(bad))
    after = retry_after_ms(error)
    if after:
        delay = Duration()
        delay.FromMilliseconds(after)
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=code_of(error), message=str(error), details=details)


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
