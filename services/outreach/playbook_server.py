"""PlaybookService over gRPC: what was handed over, and why somebody did or did not hear from us.

Hand-overs are shown from the view; who has one, and why something was or wasn't sent, only the
owner of the person's partition can say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import commands_pb2, playbooks_pb2, playbooks_pb2_grpc

from services.outreach import minding
from services.outreach.explaining import does
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Forbidden, Invalid, NotFound, Violation
from services.runtime.topics import OUTREACH_COMMAND, partition_of

if TYPE_CHECKING:
    import grpc

    from services.outreach.rules import Rule
    from services.outreach.switches.following import Switching
    from services.outreach.switches.state import Working
    from services.runtime.produce import Producer
    from services.runtime.replies import Replies
    from services.runtime.views import Views

_PAGE = 50


def key_of(request: playbooks_pb2.ExplainCaseRequest) -> bytes:
    """By what the case of a request has its partition: its person, without a number the contact.
    Raises Invalid."""
    case = request.case
    try:
        key = case.person or UUID(request.contact_id or case.case_id).bytes
    except ValueError:
        raise Invalid([Violation("case.case_id", "must be a UUID")]) from None
    if len(key) != 16:
        raise Invalid([Violation("case.person", "must have 16 bytes, or none")])
    return key


class PlaybookServicer(playbooks_pb2_grpc.PlaybookServiceServicer):
    """See protos/mawja/outreach/v1/playbooks.proto. `partitions`: of the whole service."""

    def __init__(
        self,
        shown: Views,
        producer: Producer,
        replies: Replies,
        partitions: int,
        rules: Working,
        switching: Switching,
    ) -> None:
        self._rules = rules
        self._switching = switching
        self._views = shown
        self._producer = producer
        self._replies = replies
        self._partitions = partitions

    async def ListHandOvers(
        self,
        request: playbooks_pb2.ListHandOversRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> playbooks_pb2.ListHandOversResponse:
        """Those that nobody has confirmed."""
        caller = rpc.CALLER.get()
        agency = request.agency or caller.agency
        if not caller.sees(agency):
            raise Forbidden("a liaison sees cases of their own agency only")
        entries = await self._views.after(minding.index(agency), None, request.page_size or _PAGE)
        response = playbooks_pb2.ListHandOversResponse()
        if entries:
            keys = [minding.key(member.decode()) for _, member in entries]
            for payload in await self._views.get(*keys):
                if payload is not None:
                    response.hand_overs.append(playbooks_pb2.WatchedHandOver.FromString(payload))
        return response

    async def ConfirmHandOver(
        self,
        request: playbooks_pb2.ConfirmHandOverRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> playbooks_pb2.ConfirmHandOverResponse:
        """The caller has it."""
        case_id = request.case_id.lower()
        [payload] = await self._views.get(minding.key(case_id))
        found = playbooks_pb2.WatchedHandOver.FromString(payload or b"")
        if payload is None or not rpc.CALLER.get().sees(found.agency):
            raise NotFound("nothing of such a case is handed over that you may see")
        command = commands_pb2.OutreachCommand(case_id=case_id, confirm=commands_pb2.Confirm())
        reply = await self._decided(
            "ConfirmHandOver", f"{case_id}/{request.request_id}", found.partition, command
        )
        return playbooks_pb2.ConfirmHandOverResponse(hand_over=reply.hand_over)

    async def ExplainCase(
        self,
        request: playbooks_pb2.ExplainCaseRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> playbooks_pb2.ExplainCaseResponse:
        """Why."""
        case = request.case
        if not rpc.CALLER.get().sees(case.agency):
            raise NotFound("there is no such case that you may see")
        key = key_of(request)
        case.ClearField("sealed_number")
        command = commands_pb2.OutreachCommand(
            case_id=case.case_id, explain=commands_pb2.Explain(case=case)
        )
        partition = partition_of(key, self._partitions)
        reply = await self._decided("ExplainCase", str(now_ms()), partition, command)
        return playbooks_pb2.ExplainCaseResponse(explanations=reply.explanations)

    async def ListPlaybooks(
        self,
        request: playbooks_pb2.ListPlaybooksRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> playbooks_pb2.ListPlaybooksResponse:
        """All that work."""
        rules = sorted(self._rules.every, key=lambda rule: rule.name)
        return playbooks_pb2.ListPlaybooksResponse(playbooks=map(self._shown, rules))

    async def SwitchPlaybook(
        self,
        request: playbooks_pb2.SwitchPlaybookRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> playbooks_pb2.SwitchPlaybookResponse:
        """Switches one."""
        rule = next((one for one in self._rules.every if one.name == request.playbook), None)
        if rule is None:
            raise NotFound("there is no such playbook")
        subject = rpc.CALLER.get().subject
        await self._switching.throw(
            playbooks_pb2.PlaybookSwitch(
                switch_id=ids.derive("playbook-switch", subject, request.request_id),
                playbook=request.playbook,
                on=request.on,
                subject=subject,
                switched_ms=now_ms(),
                reason=request.reason,
            )
        )
        return playbooks_pb2.SwitchPlaybookResponse(playbook=self._shown(rule))

    def _shown(self, rule: Rule) -> playbooks_pb2.ShownPlaybook:
        switches = self._switching.switches
        return playbooks_pb2.ShownPlaybook(
            name=rule.name,
            version=rule.version,
            event=rule.event,
            does=does(rule),
            on=switches.on(rule.name),
            switches=switches.of(rule.name),
        )

    async def _decided(
        self, method: str, request_id: str, partition: int, command: commands_pb2.OutreachCommand
    ) -> commands_pb2.CallbackReply:
        subject = rpc.CALLER.get().subject
        command_id = ids.command_id(subject, method, request_id)
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._replies.channel,
                subject=subject,
                asked_ms=now_ms(),
            )
        )
        told = await self._replies.ask(
            self._producer,
            OUTREACH_COMMAND,
            partition,
            command_id,
            command.SerializeToString(),
            b"",
        )
        reply = commands_pb2.CallbackReply.FromString(told)
        rpc.raise_refusal(reply.code, reply.message)
        return reply
