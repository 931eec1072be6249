"""ContractService over gRPC: what agencies tell of their queues, and whose a call is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc
from mawja.wave.v1.contracts_pb2 import QueueHolder, QueueState, Route, RouteReason

from services.runtime import ids, log, metrics, rpc
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away, Forbidden, Invalid, Violation
from services.runtime.identity import Caller
from services.runtime.produce import Producer, acknowledged
from services.runtime.tail import Tail
from services.runtime.topics import CALL_DECISION, partition_of
from services.wave.contracts.switchboard import Switchboard
from services.wave.contracts.taking import Decision, decide, told_ms_ago

AHEAD_MS = 5 * 60_000
STATED_S = 0.5
"""How long a caller waits in the line for our log."""
_OURS = Route.ROUTE_OURS
_UNSURE = Decision(_OURS, RouteReason.ROUTE_REASON_CANNOT_TELL)
# Nothing but these needs the log to hold: the others follow from the contract alone.
_LEANS_ON_STATE = (
    RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM,
    RouteReason.ROUTE_REASON_WE_ARE_FULL,
)
_log = log.get("wave.contracts")
_Context = grpc.aio.ServicerContext


class ContractServicer(contracts_pb2_grpc.ContractServiceServicer):
    """See protos/mawja/wave/v1/contracts.proto. `tail` follows the queues for those who watch;
    `ending` is set when the process stops."""

    def __init__(
        self,
        board: Switchboard,
        producer: Producer,
        partitions: int,
        tail: "Tail[QueueState]",
        ending: asyncio.Event,
        clock: Millis = now_ms,
    ) -> None:
        self._board = board
        self._producer = producer
        self._partitions = partitions
        self._tail = tail
        self._ending = ending
        self._clock = clock

    async def ReportQueue(
        self, request: contracts_pb2.ReportQueueRequest, context: "_Context[Any, Any]"
    ) -> contracts_pb2.ReportQueueResponse:
        """An agency tells how full its queue is."""
        caller, now = rpc.CALLER.get(), self._clock()
        # Not even our own telephone system says how full somebody else's queue is.
        if caller.agency != request.agency and not (caller.must_drill and request.drill):
            raise Forbidden("only a token of the agency tells of its queue")
        _must_drill(caller, request.drill)
        if request.event_ms > now + AHEAD_MS:
            raise Invalid([Violation("event_ms", "must not be more than 5 minutes ahead")])
        queue = await self._board.report(
            QueueState(
                agency=request.agency,
                holder=QueueHolder.QUEUE_HOLDER_AGENCY,
                state=request.state,
                queue_length=request.queue_length,
                queue_max_length=request.queue_max_length,
                event_ms=min(request.event_ms, now),
                accepted_ms=now,
                source=caller.subject,
                drill=request.drill,
            )
        )
        return contracts_pb2.ReportQueueResponse(queue=queue)

    async def RouteCall(
        self, request: contracts_pb2.RouteCallRequest, context: "_Context[Any, Any]"
    ) -> contracts_pb2.RouteCallResponse:
        """Where a call goes that comes in now."""
        caller, now = rpc.CALLER.get(), self._clock()
        if not caller.sees(request.agency):
            raise Forbidden("a telephone system of an agency asks about its own calls only")
        if request.source != caller.subject and not request.source.startswith(f"{caller.subject}/"):
            raise Forbidden("source must be the caller's own name, or below it (name/…)")
        _must_drill(caller, request.drill)
        decision = self._decide(request.agency, request.life_safety, request.drill, now)
        stated = await self._stated(request, decision, now)
        if not stated and decision.reason in _LEANS_ON_STATE:
            # Nobody is handed back without a trace; should the log have it after all, what was
            # really answered stands behind it and counts.
            decision = _UNSURE
            await self._stated(request, decision, now)
        metrics.CALL_DECISIONS.labels(*decision.words).inc()
        return contracts_pb2.RouteCallResponse(
            route=decision.route, reason=decision.reason, stated=stated
        )

    def _decide(self, agency: str, life_safety: bool, drill: bool, now: int) -> Decision:
        contract = self._board.terms.of(agency, now, drill)
        return decide(contract, self._board.known(agency, drill), life_safety, now)

    async def _stated(
        self, request: contracts_pb2.RouteCallRequest, decision: Decision, now: int
    ) -> bool:
        contact_id = ids.contact_id(request.source, request.contact_key)
        key = UUID(contact_id).bytes
        contract = self._board.terms.of(request.agency, now, request.drill)
        known = self._board.known(request.agency, request.drill)
        stated = contracts_pb2.CallDecision(
            contact_id=contact_id,
            agency=request.agency,
            line=request.line,
            route=decision.route,
            reason=decision.reason,
            agency_told_ms_ago=told_ms_ago(known.agency, now),
            drill=request.drill,
            decided_ms=now,
        )
        if contract is not None:
            stated.model, stated.contract_version = contract.model, contract.version
        if known.agency is not None:
            stated.agency_queue_length = known.agency.queue_length
            stated.agency_state = known.agency.state
        if known.ours is not None:
            stated.our_queue_length = known.ours.queue_length
        try:
            async with asyncio.timeout(STATED_S):
                sent = await self._producer.send(
                    CALL_DECISION,
                    partition_of(key, self._partitions),
                    stated.SerializeToString(),
                    key=key,
                )
            await acknowledged([sent], STATED_S)
        except (Away, TimeoutError) as error:
            _log.warning("where a call goes is not stated", why=type(error).__name__)
            return False
        return True

    async def ListQueues(
        self, request: contracts_pb2.ListQueuesRequest, context: "_Context[Any, Any]"
    ) -> contracts_pb2.ListQueuesResponse:
        """Every queue as it stands, and what each contract makes of it."""
        caller, now = rpc.CALLER.get(), self._clock()
        _check_sees(caller, request.agency)
        if not self._board.read:
            raise Away("what was told of queues is being read; try again in a moment")
        answer = contracts_pb2.ListQueuesResponse(
            queues=[
                queue
                for queue in self._board.queues(request.drill)
                if _wanted(caller, request.agency, queue)
            ],
            now_ms=now,
        )
        for agency, contract in sorted(self._board.terms.contracts.items()):
            if not caller.sees(agency) or request.agency not in ("", agency):
                continue
            decision = self._decide(agency, False, request.drill, now)
            answer.standings.add(
                agency=agency,
                model=contract.model,
                contract_version=contract.version,
                route=decision.route,
                reason=decision.reason,
                agency_told_ms_ago=told_ms_ago(
                    self._board.known(agency, request.drill).agency, now
                ),
            )
        return answer

    async def WatchQueues(
        self, request: contracts_pb2.WatchQueuesRequest, context: "_Context[Any, Any]"
    ) -> AsyncIterator[contracts_pb2.WatchQueuesResponse]:
        """Queues as they change."""
        caller = rpc.CALLER.get()
        _check_sees(caller, request.agency)
        with self._tail.watch() as changes:
            for queue in self._board.queues(request.drill):
                if _wanted(caller, request.agency, queue):
                    yield contracts_pb2.WatchQueuesResponse(queue=queue)
            async for queue in _until(self._ending, changes):
                if queue.drill == request.drill and _wanted(caller, request.agency, queue):
                    yield contracts_pb2.WatchQueuesResponse(queue=queue)


async def _until(
    ending: asyncio.Event, changes: AsyncIterator[QueueState]
) -> AsyncIterator[QueueState]:
    ended = asyncio.ensure_future(ending.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(changes))
            await asyncio.wait((following, ended), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                raise Away("this replica stops; watch again")
            yield following.result()
    finally:
        ended.cancel()


def _must_drill(caller: Caller, drill: bool) -> None:
    if caller.must_drill and not drill:
        raise Forbidden("drill must be set: the caller is a load tester")


def _check_sees(caller: Caller, agency: str) -> None:
    if agency and not caller.sees(agency):
        raise Forbidden("a caller of an agency sees its own queues only")


def _wanted(caller: Caller, agency: str, queue: QueueState) -> bool:
    # How full we are is for every centre to know that hands us calls.
    if not queue.agency:
        return not agency
    return caller.sees(queue.agency) and agency in ("", queue.agency)
