"""What a person at a desk asks the services beside the surge, call by call and without retries."""

from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from mawja.broadcast.v1 import service_pb2 as broadcast_pb2
from mawja.broadcast.v1 import service_pb2_grpc as broadcast_grpc
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.intake.v1 import service_pb2 as intake_pb2
from mawja.intake.v1 import service_pb2_grpc as intake_grpc

from services.local.system import System, token
from services.runtime import rpc
from services.runtime.identity import Role

SOURCE = "desk"


class Refused(Exception):
    """A call was answered with something else than OK."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code


@dataclass(slots=True)
class Desk:
    """Calls as a coordinator who may also submit contacts. Every method may raise Refused."""

    system: System
    timeout_s: float = 15.0
    _channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def _ask(self, room: str, stub: Any, method: str, request: Message) -> Any:
        if room not in self._channels:
            self._channels[room] = grpc.insecure_channel(
                self.system.target(room),
                options=[("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500)],
            )
        bearer = rpc.bearer(token(self.system.keys, "desk", Role.COORDINATOR, Role.LOAD_TESTER))
        call = getattr(stub(self._channels[room]), method)
        try:
            return call(request, metadata=bearer, timeout=self.timeout_s)
        except grpc.RpcError as error:
            said: Any = error
            raise Refused(said.code().name, said.details()) from None

    def submit(self, key: str, number: str, text: str, event_ms: int) -> str:
        """Submits a contact by SMS; gives its id."""
        contact = intake_pb2.Contact(
            source=SOURCE,
            idempotency_key=key,
            kind=common_pb2.CONTACT_KIND_ENQUIRY,
            channel=common_pb2.CHANNEL_SMS,
            number=number,
            party=common_pb2.PARTY_PERSON,
            text=text,
            event_ms=event_ms,
            drill=True,
        )
        answer = self._ask(
            "intake",
            intake_grpc.IntakeServiceStub,
            "SubmitContact",
            intake_pb2.SubmitContactRequest(contact=contact),
        )
        contact_id: str = answer.contact_id
        return contact_id

    def case(self, case_id: str) -> dedup_pb2.GetCaseResponse:
        """A case as its view has it."""
        answer: dedup_pb2.GetCaseResponse = self._ask(
            "dedup",
            dedup_grpc.DedupServiceStub,
            "GetCase",
            dedup_pb2.GetCaseRequest(case=case_id),
        )
        return answer

    def opt_out(self, number: str) -> None:
        """The person wants no messages."""
        self._ask(
            "broadcast",
            broadcast_grpc.BroadcastServiceStub,
            "OptOut",
            broadcast_pb2.OptOutRequest(number=number),
        )

    def queue(self, request_id: str, number: str, text: str) -> str:
        """Queues one message; gives its id."""
        answer = self._ask(
            "broadcast",
            broadcast_grpc.BroadcastServiceStub,
            "QueueMessage",
            broadcast_pb2.QueueMessageRequest(
                request_id=request_id,
                number=number,
                text=text,
                lane=common_pb2.LANE_NORMAL,
                drill=True,
            ),
        )
        message_id: str = answer.message_id
        return message_id

    def message(self, message_id: str) -> Any:
        """A message as its view has it."""
        return self._ask(
            "broadcast",
            broadcast_grpc.BroadcastServiceStub,
            "GetMessage",
            broadcast_pb2.GetMessageRequest(message_id=message_id),
        )

    def refusal(self, call: Any, *args: Any) -> str:
        """The code that a call is answered with; "OK" when it is not refused."""
        try:
            call(*args)
        except Refused as refused:
            return refused.code
        return "OK"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()
