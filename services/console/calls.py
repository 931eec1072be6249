"""The rooms as the console sees them: every call is made as the person who is signed in.

The console decides nothing: it signs a token that lives for five minutes and says who asks, and the
room allows or refuses. What it refuses comes back as `Refused`, in the room's own words.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from mawja.audit.v1 import service_pb2_grpc as audit_grpc
from mawja.broadcast.v1 import (
    alerts_pb2_grpc,
    audiences_pb2_grpc,
    campaigns_pb2_grpc,
)
from mawja.broadcast.v1 import (
    service_pb2_grpc as broadcast_grpc,
)
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import (
    announcements_pb2_grpc,
    playbooks_pb2_grpc,
)
from mawja.outreach.v1 import (
    service_pb2_grpc as outreach_grpc,
)
from mawja.reports.v1 import service_pb2_grpc as reports_grpc
from mawja.wave.v1 import contracts_pb2_grpc
from mawja.wave.v1 import service_pb2_grpc as wave_grpc

from services.console.who import Person
from services.runtime import channels, identity, rpc
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Violation
from services.runtime.identity import Role
from services.runtime.topics import AUDITS

TOKEN_S = 300
TIMEOUT_S = 5.0
HEALTH_S = 2.0
Metadata = tuple[tuple[str, str], ...]
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
_Answer = TypeVar("_Answer")


class Refused(Exception):
    """A room did not do it. `code` is gRPC's name of why, e.g. "NOT_FOUND"; `message` is the room's
    sentence; `violations` name the fields that broke a rule; `away` when the room could not be
    reached, so that nothing is known of what became of the call."""

    def __init__(
        self, code: str, message: str, violations: tuple[Violation, ...] = (), away: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations
        self.away = away


class Calls:
    """Stubs of every service. `rooms`: a gRPC target for each room (there are no papers without
    "reports", and everything else); `issue`: makes the token of
    (subject, roles, agency); `tls`: the folder of certificates, None for no TLS."""

    def __init__(
        self,
        rooms: Mapping[str, str],
        issue: Callable[[str, frozenset[Role], str], str],
        clock: Millis = now_ms,
        tls: Path | None = None,
    ) -> None:
        self._issue = issue
        self._clock = clock
        self._tokens: dict[tuple[str, frozenset[Role], str], tuple[int, Metadata]] = {}
        self._channels = {room: channels.channel(target, tls) for room, target in rooms.items()}
        of = self._channels
        self.intake: intake_grpc.IntakeServiceAsyncStub = intake_grpc.IntakeServiceStub(
            of["intake"]
        )
        self.dedup: dedup_grpc.DedupServiceAsyncStub = dedup_grpc.DedupServiceStub(of["dedup"])
        self.outreach: outreach_grpc.OutreachServiceAsyncStub = outreach_grpc.OutreachServiceStub(
            of["outreach"]
        )
        self.playbooks: playbooks_pb2_grpc.PlaybookServiceAsyncStub = (
            playbooks_pb2_grpc.PlaybookServiceStub(of["outreach"])
        )
        self.announcements: announcements_pb2_grpc.AnnouncementServiceAsyncStub = (
            announcements_pb2_grpc.AnnouncementServiceStub(of["outreach"])
        )
        self.broadcast: broadcast_grpc.BroadcastServiceAsyncStub = (
            broadcast_grpc.BroadcastServiceStub(of["broadcast"])
        )
        self.campaigns: campaigns_pb2_grpc.CampaignServiceAsyncStub = (
            campaigns_pb2_grpc.CampaignServiceStub(of["broadcast"])
        )
        self.audiences: audiences_pb2_grpc.AudienceServiceAsyncStub = (
            audiences_pb2_grpc.AudienceServiceStub(of["broadcast"])
        )
        self.alerts: alerts_pb2_grpc.AlertServiceAsyncStub = alerts_pb2_grpc.AlertServiceStub(
            of["broadcast"]
        )
        self.wave: wave_grpc.WaveServiceAsyncStub = wave_grpc.WaveServiceStub(of["wave"])
        self.contracts: contracts_pb2_grpc.ContractServiceAsyncStub = (
            contracts_pb2_grpc.ContractServiceStub(of["wave"])
        )
        self.audits: dict[str, audit_grpc.AuditServiceAsyncStub] = {
            room: audit_grpc.AuditServiceStub(of[room]) for room in AUDITS if room in of
        }
        """Of each room in which people decide."""

        if "reports" in of:
            self.reports: reports_grpc.ReportServiceAsyncStub = reports_grpc.ReportServiceStub(
                of["reports"]
            )

    async def serving(self, room: str) -> bool | None:
        """Whether a room says that it serves; None when it does not answer."""
        stub: Any = health_pb2_grpc.HealthStub(self._channels[room])
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=HEALTH_S, wait_for_ready=False
            )
        except grpc.aio.AioRpcError:
            return None
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def as_(self, person: Person) -> Metadata:
        """The metadata of a call made as `person`, good for at least a minute."""
        return self._metadata(person.sub, person.roles, person.agency)

    def itself(self, agency: str = "") -> Metadata:
        """The metadata of what the console follows for all who look: it may read, and no more;
        with `agency`, as a liaison of it sees."""
        role = Role.LIAISON if agency else Role.AUDITOR
        return self._metadata("console", frozenset({role}), agency)

    def noting(self) -> Metadata:
        """The metadata of telling who signed in: it may do that, and no more."""
        return self._metadata("console", frozenset({Role.CONSOLE}), "")

    def _metadata(self, sub: str, roles: frozenset[Role], agency: str) -> Metadata:
        now = self._clock()
        key = (sub, roles, agency)
        until, metadata = self._tokens.get(key, (0, ()))
        if until <= now:
            if len(self._tokens) > 10_000:
                self._tokens.clear()
            metadata = rpc.bearer(self._issue(sub, roles, agency))
            self._tokens[key] = (now + 1000 * (TOKEN_S - 60), metadata)
        return metadata

    async def ask(
        self,
        who: Person | Metadata,
        method: Callable[..., Any],
        request: Any,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """One answer of a stub's `method`. Raises Refused."""
        metadata = self.as_(who) if isinstance(who, Person) else who
        try:
            return await method(request, metadata=metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    async def follow(
        self,
        who: Person | Metadata,
        method: Callable[..., Any],
        request: Any,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Any]:
        """What a stub's streaming `method` tells, until it ends. Raises Refused."""
        metadata = self.as_(who) if isinstance(who, Person) else who
        call = method(request, metadata=metadata, timeout=timeout_s)
        try:
            async for told in call:
                yield told
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error
        finally:
            call.cancel()

    async def send(
        self,
        who: Person | Metadata,
        method: Callable[..., Any],
        pieces: AsyncIterator[Any],
        timeout_s: float = 60.0,
    ) -> Any:
        """The one answer to a stream of requests. Raises Refused."""
        metadata = self.as_(who) if isinstance(who, Person) else who
        try:
            return await method(pieces, metadata=metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    async def close(self) -> None:
        """Lets the channels go."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))


def refused(error: grpc.aio.AioRpcError) -> Refused:
    """What a gRPC error says."""
    code = error.code()
    violations: list[Violation] = []
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Is(bad.DESCRIPTOR) and detail.Unpack(bad):
            violations += [Violation(v.field, v.description) for v in bad.field_violations]
    return Refused(code.name, error.details() or "", tuple(violations), away=code in _AWAY)


def issuer(settings_keys: Any, kid: str, clock: Millis = now_ms) -> Callable[..., str]:
    """Makes tokens with the key `kid` of the key ring's folder. Raises ConfigError, when called,
    where the key is missing."""

    def issue(sub: str, roles: frozenset[Role], agency: str) -> str:
        return identity.issue(
            settings_keys, sub, roles, now=clock(), valid_s=TOKEN_S, agency=agency, kid=kid
        )

    return issue
