"""Every method of a room, called with any bytes."""

import contextlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass


def methods(room: str) -> Iterator[Any]:
    more = ("campaigns_pb2", "audiences_pb2", "alerts_pb2") if room == "broadcast" else ()
    for name in ("service_pb2", *more):
        module = import_module(f"mawja.{room}.v1.{name}")
        [service] = module.DESCRIPTOR.services_by_name.values()
        yield from service.methods


def call(channel: Any, method: Any, sent: Sequence[bytes], metadata: Any) -> Any:
    """The status code of one call with any bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        answers: Any = channel.stream_stream(path)(iter(sent), metadata=metadata, timeout=2)
    elif method.server_streaming:
        answers = channel.unary_stream(path)(sent[0], metadata=metadata, timeout=0.3)
    else:
        answers = channel.unary_unary(path).future(sent[0], metadata=metadata, timeout=5)
    with contextlib.suppress(grpc.RpcError):
        for _ in answers if method.client_streaming or method.server_streaming else ():
            pass
    return answers.code()


def asked(method: Any, keys: Sequence[bytes]) -> Iterator[bytes]:
    """Requests for what stands in Redis."""
    request = GetMessageClass(method.input_type)
    yield request().SerializeToString()
    [identifier, *_] = method.input_type.fields
    if identifier.type == FieldDescriptor.TYPE_STRING:
        for key in keys:
            with contextlib.suppress(UnicodeDecodeError):
                message = request()
                setattr(message, identifier.name, key.decode().rsplit(":", 1)[-1])
                yield message.SerializeToString()
