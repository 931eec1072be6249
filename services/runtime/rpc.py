"""gRPC: every call has a verified caller, a role, a deadline, a checked request and a metric.

Servers are made by `server`, channels by `channel`; errors of the closed list become status codes
with details (google.rpc.BadRequest, google.rpc.RetryInfo) here and nowhere else.
"""

from __future__ import annotations

import contextvars
import inspect
import json
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast

import grpc
import protovalidate
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.runtime import log, metrics
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
from services.runtime.identity import OPEN, Caller, Unauthenticated, Verifier, authorise

_log = log.get("rpc")
_AWAY_RETRY_MS = 1_000
DEFAULT_DEADLINE_S = 10.0

CALLER: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller")
"""The verified caller of the RPC under way."""
TRACEPARENT: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "traceparent", default=None
)
"""The trace context that came with the RPC under way."""
DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
"""When the caller gives up, by time.monotonic(); passed on to the next hop."""

_CODES: Mapping[type, int] = {
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


def retry_after_ms(error: MawjaError) -> int:
    """How long to wait before trying again; 0 when that does not help."""
    if isinstance(error, Overloaded):
        return error.retry_after_ms
    return _AWAY_RETRY_MS if code_of(error) == code_pb2.UNAVAILABLE else 0


def violations(request: Message, prefix: str = "") -> list[Violation]:
    """Every field of `request` that breaks a rule of its proto, with the rule in words."""
    found = []
    for violation in protovalidate.collect_violations(request):
        at = violation.proto.field
        path = ".".join(element.field_name for element in at.elements) if at else ""
        field = ".".join(part for part in (prefix, path) if part) or "(message)"
        found.append(Violation(field, violation.proto.message or violation.proto.rule_id))
    return found


def check(request: Message) -> None:
    """Raises Invalid listing every field and rule that `request` breaks."""
    found = violations(request)
    if found:
        raise Invalid(found)


def _status(error: MawjaError) -> status_pb2.Status:
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


_Handler = Callable[[Any, "grpc.aio.ServicerContext[Any, Any]"], Any]


_BY_ITSELF = "checks_by_itself"
_F = TypeVar("_F", bound=Callable[..., Any])


def checks_by_itself(handler: _F) -> _F:
    """Marks a unary handler that checks its request: what it refuses for another reason must not
    cost a check."""
    setattr(handler, _BY_ITSELF, True)
    return handler


class Guard(grpc.aio.ServerInterceptor):
    """Stands before every handler: caller, role, deadline, request rules, metrics, errors."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the method's handler."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method in OPEN:
            return handler
        metadata = {
            key: value
            for key, value in handler_call_details.invocation_metadata
            if isinstance(value, str)
        }
        options: dict[str, Any] = {
            "request_deserializer": _parsed(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(cast(_Handler, handler.unary_unary), method, metadata), **options
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(
                    cast(_Handler, handler.unary_stream), method, metadata, checked=True
                ),
                **options,
            )
        assert handler.stream_stream is not None, f"{method}: client streaming is not used"
        # Elements of a stream are checked one by one by the room: a bad one must not end it.
        return grpc.stream_stream_rpc_method_handler(
            self._streaming(cast(_Handler, handler.stream_stream), method, metadata, checked=False),
            **options,
        )

    def _admit(
        self, method: str, metadata: dict[str, str], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        caller = self._verifier.verify(metadata.get("authorization"))
        if not authorise(method, caller):
            raise Forbidden(f"the caller's roles may not call {method.rpartition('/')[2]}")
        CALLER.set(caller)
        TRACEPARENT.set(metadata.get("traceparent"))
        # The type says float; a call without a deadline has None.
        left = cast("float | None", context.time_remaining())
        DEADLINE.set(None if left is None else time.monotonic() + left)

    def _unary(self, inner: _Handler, method: str, metadata: dict[str, str]) -> _Handler:
        name = method.rpartition("/")[2]
        ok = metrics.RPC_SECONDS.labels(name, "OK")
        inflight = metrics.RPC_INFLIGHT.labels(name)
        checked = not getattr(inner, _BY_ITSELF, False)

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started = time.perf_counter()
            inflight.inc()
            try:
                self._admit(method, metadata, context)
                _whole(request)
                if checked:
                    check(request)
                response = await inner(request, context)
                ok.observe(time.perf_counter() - started)
                return response
            except MawjaError as error:
                await _abort(context, name, started, error)
            except grpc.aio.BaseError:
                raise
            except Exception as error:
                await _failed(context, name, started, error)
            finally:
                inflight.dec()

        return handle

    def _streaming(
        self, inner: _Handler, method: str, metadata: dict[str, str], checked: bool
    ) -> _Handler:
        name = method.rpartition("/")[2]

        async def handle(
            request: Any, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            started = time.perf_counter()
            with metrics.RPC_INFLIGHT.labels(name).track_inprogress():
                try:
                    self._admit(method, metadata, context)
                    if checked:
                        _whole(request)
                        check(request)
                        responses = inner(request, context)
                    else:
                        responses = inner(_whole_ones(request), context)
                    if inspect.iscoroutine(responses):
                        responses = await responses
                    async for response in responses:
                        yield response
                    metrics.RPC_SECONDS.labels(name, "OK").observe(time.perf_counter() - started)
                except MawjaError as error:
                    await _abort(context, name, started, error)
                except grpc.aio.BaseError:
                    raise
                except Exception as error:
                    await _failed(context, name, started, error)

        return handle


class _Garbled:
    """Stands for a message whose bytes do not parse: gRPC itself would log a traceback for each,
    and tell the caller that the server is at fault."""


def _parsed(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if parse is None:
        return None

    def attempt(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _Garbled()

    return attempt


def _whole(request: Any) -> None:
    if isinstance(request, _Garbled):
        raise Invalid([Violation("(message)", "its bytes are not a message of this method")])


async def _whole_ones(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        _whole(request)
        yield request


async def _abort(
    context: grpc.aio.ServicerContext[Any, Any], name: str, started: float, error: MawjaError
) -> NoReturn:
    code = code_pb2.Code.Name(code_of(error))
    metrics.RPC_SECONDS.labels(name, code).observe(time.perf_counter() - started)
    if code == "UNAVAILABLE":
        _log.warning("a call could not be served", method=name, why=str(error))
    await context.abort_with_status(rpc_status.to_status(_status(error)))
    raise AssertionError("abort raises")


async def _failed(
    context: grpc.aio.ServicerContext[Any, Any], name: str, started: float, error: Exception
) -> NoReturn:
    # Left to itself gRPC tells the caller the exception's words, which may be a person's.
    metrics.RPC_SECONDS.labels(name, "INTERNAL").observe(time.perf_counter() - started)
    last = traceback.extract_tb(error.__traceback__)[-1]
    _log.error(
        "a call failed in a way that nobody foresaw",
        method=name,
        error=type(error).__name__,
        where=f"{last.filename}:{last.lineno}",
    )
    await context.abort(grpc.StatusCode.INTERNAL, "the service failed on this call; see its log")
    raise AssertionError("abort raises")


def server(verifier: Verifier) -> grpc.aio.Server:
    """A server behind `Guard`, with bounded connection age so that clients spread over replicas."""
    return grpc.aio.server(
        interceptors=[Guard(verifier)],
        options=[
            ("grpc.max_connection_age_ms", 10 * 60_000),
            ("grpc.max_connection_age_grace_ms", 60_000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.max_receive_message_length", 4 * 1024 * 1024),
            # Two services of one machine must never share a port by accident.
            ("grpc.so_reuseport", 0),
        ],
    )


_SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
)
CHANNEL_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    # A server that was killed is up again in seconds; by itself a channel waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


def channel(target: str) -> grpc.aio.Channel:
    """A channel that balances over replicas (`dns:///` of a headless service) and tries again at
    most 3 times on UNAVAILABLE, within a budget of a tenth of the calls."""
    return grpc.aio.insecure_channel(target, options=list(CHANNEL_OPTIONS))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call made with `token`."""
    return (("authorization", f"Bearer {token}"),)


def time_left_s(longest: float = DEFAULT_DEADLINE_S) -> float:
    """Seconds until the caller of the RPC under way gives up, at most `longest`."""
    deadline = DEADLINE.get()
    return longest if deadline is None else max(0.0, min(longest, deadline - time.monotonic()))
