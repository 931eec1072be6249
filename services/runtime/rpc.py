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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from grpc_status import rpc_status

from services.runtime import log, metrics
from services.runtime.audit.clerk import Clerk
from services.runtime.errors import (
    Forbidden,
    Invalid,
    MawjaError,
    Violation,
)
from services.runtime.identity import OPEN, Caller, Verifier, authorise
from services.runtime.status import code_of, raise_refusal, retry_after_ms, status_of

__all__ = ["code_of", "raise_refusal", "retry_after_ms"]

_log = log.get("rpc")
DEFAULT_DEADLINE_S = 10.0

CALLER: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller")
"""The verified caller of the RPC under way."""
TRACEPARENT: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "traceparent", default=None
)
"""The trace context that came with the RPC under way."""
DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
"""When the caller gives up, by time.monotonic(); passed on to the next hop."""


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


_Handler = Callable[[Any, "grpc.aio.ServicerContext[Any, Any]"], Any]


_BY_ITSELF = "checks_by_itself"
_F = TypeVar("_F", bound=Callable[..., Any])


def checks_by_itself(handler: _F) -> _F:
    """Marks a unary handler that checks its request: what it refuses for another reason must not
    cost a check."""
    setattr(handler, _BY_ITSELF, True)
    return handler


async def _each_checked(pieces: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for piece in pieces:
        _whole(piece)
        check(piece)
        yield piece


class Guard(grpc.aio.ServerInterceptor):
    """Stands before every handler: caller, role, deadline, request rules, metrics, errors."""

    def __init__(self, verifier: Verifier, clerk: Clerk | None) -> None:
        self._verifier = verifier
        self._clerk = clerk

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
        if handler.stream_unary:
            inner = cast(_Handler, handler.stream_unary)
            return grpc.stream_unary_rpc_method_handler(
                self._unary(inner, method, metadata, in_pieces=True), **options
            )
        # Elements of a stream are checked one by one by the room: a bad one must not end it.
        return grpc.stream_stream_rpc_method_handler(
            self._streaming(cast(_Handler, handler.stream_stream), method, metadata, checked=False),
            **options,
        )

    async def _admit(
        self,
        method: str,
        metadata: dict[str, str],
        request: object,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        caller = self._verifier.verify(metadata.get("authorization"))
        if not authorise(method, caller):
            if self._clerk is not None:
                await self._clerk.refused(method, request, caller)
            raise Forbidden(f"the caller's roles may not call {method.rpartition('/')[2]}")
        CALLER.set(caller)
        TRACEPARENT.set(metadata.get("traceparent"))
        # The type says float; a call without a deadline has None.
        left = cast("float | None", context.time_remaining())
        DEADLINE.set(None if left is None else time.monotonic() + left)

    def _clerk_of(self, method: str) -> Clerk | None:
        return self._clerk if self._clerk is not None and self._clerk.audits(method) else None

    def _unary(
        self, inner: _Handler, method: str, metadata: dict[str, str], in_pieces: bool = False
    ) -> _Handler:
        name = method.rpartition("/")[2]
        ok = metrics.RPC_SECONDS.labels(name, "OK")
        inflight = metrics.RPC_INFLIGHT.labels(name)
        checked = not getattr(inner, _BY_ITSELF, False)
        audited = self._clerk_of(method)

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started = time.perf_counter()
            inflight.inc()
            try:
                await self._admit(method, metadata, request, context)
                if in_pieces:
                    # A piece that breaks a rule ends the call: the pieces are one thing.
                    request = _each_checked(request)
                else:
                    _whole(request)
                    if checked:
                        check(request)
                if audited is None:
                    response = await inner(request, context)
                else:
                    response = await audited.unary(method, CALLER.get(), inner, request, context)
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
        audited = self._clerk_of(method)

        async def handle(
            request: Any, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            started = time.perf_counter()
            with metrics.RPC_INFLIGHT.labels(name).track_inprogress():
                try:
                    await self._admit(method, metadata, request, context)
                    if checked:
                        _whole(request)
                        check(request)
                        responses = inner(request, context)
                    else:
                        responses = inner(_whole_ones(request), context)
                    if inspect.iscoroutine(responses):
                        responses = await responses
                    if audited is not None:
                        responses = audited.stream(method, CALLER.get(), request, responses)
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
    await context.abort_with_status(rpc_status.to_status(status_of(error)))
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


def server(verifier: Verifier, clerk: Clerk | None = None) -> grpc.aio.Server:
    """A server behind `Guard`, whose calls `clerk` notes; with bounded connection age so that
    clients spread over replicas."""
    return grpc.aio.server(
        interceptors=[Guard(verifier, clerk)],
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


# CANCELLED, unless by the caller: a server that ends says it of a call that came in at that very
# moment and that no handler has seen.
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
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
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
