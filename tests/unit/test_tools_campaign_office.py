"""What a person is told when the service, or what it stands on, is away."""

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import jwt
import pytest

from services.runtime.errors import Away
from services.tools.campaigns.office import Office

SAID = "Redis does not answer: TimeoutError"
WHOLE = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"


class Service(grpc.GenericRpcHandler):
    """Lists nothing, since Redis is away; of one it says what gRPC says when its process ends."""

    def service(self, handler_call_details: Any) -> Any:
        """What answers a method."""
        method = handler_call_details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(
            self._away if method == "ListCampaigns" else self._ends
        )

    def _away(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, SAID)
        raise AssertionError("abort raises")

    def _ends(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "Stream removed (Socket closed)")
        raise AssertionError("abort raises")


@pytest.fixture
def desk() -> Iterator[Office]:
    server = grpc.server(futures.ThreadPoolExecutor(2), [Service()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    office = Office(f"ipv4:127.0.0.1:{port}", jwt.encode({"sub": "maryam"}, "k" * 32))
    yield office
    office.close()
    server.stop(None).wait()


def test_with_the_whole_id_no_list_is_needed(desk: Office) -> None:
    with pytest.raises(Away, match=f"{SAID}; with the whole id no list is asked for"):
        desk.id_of(WHOLE[:8])
    assert desk.id_of(WHOLE) == WHOLE


def test_where_nobody_answers_no_id_helps() -> None:
    office = Office("ipv4:127.0.0.1:9", jwt.encode({"sub": "maryam"}, "k" * 32))
    with pytest.raises(Away, match=r"try again when it is up$"):
        office.id_of(WHOLE[:8])
    office.close()


def test_what_grpc_says_of_an_ended_process_is_told_in_words(desk: Office) -> None:
    with pytest.raises(Away, match="does not answer; try again when it is up"):
        desk.get(WHOLE)
