"""CampaignService as one person sees it from a terminal: where it is, who asks, what it refuses."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
from mawja.broadcast.v1 import (
    alerts_pb2_grpc,
    audiences_pb2_grpc,
    campaigns_pb2,
    campaigns_pb2_grpc,
    service_pb2_grpc,
)
from mawja.broadcast.v1.alerts_pb2 import (
    ExportAlertRequest,
    ExportAlertResponse,
    ReadAlertRequest,
    ReadAlertResponse,
)
from mawja.broadcast.v1.audiences_pb2 import (
    AudiencePreview,
    ImportSubscribersRequest,
    ImportSubscribersResponse,
    ImportSubscribersStart,
    MakeAudienceRequest,
    MakeAudienceResponse,
    PreviewAudienceRequest,
)
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    Campaign,
    CampaignPlan,
    ExportCampaignResponse,
    GetCampaignResponse,
    UploadAudienceResponse,
    UploadAudienceStart,
    WatchCampaignResponse,
)
from mawja.broadcast.v1.service_pb2 import (
    ImportOptOutsRequest,
    ImportOptOutsResponse,
    ImportOptOutsStart,
)

from services.runtime import channels
from services.runtime.errors import Away, ConfigError, NotFound
from services.runtime.identity import Role
from services.runtime.rpc import bearer
from services.tools.asked import error_of, opened, subject_of
from services.tools.campaigns.pieces import Pieces
from services.tools.campaigns.plan import SHORT, UUID

LOOK = "mawja campaign show"
"""Where to see what became of what was asked for."""
_ASK_S = 20.0
_UPLOAD_S = 1800.0
_UPLOADS = 3
_PAGE = 200
_CHUNK = 64 * 1024
"""Most bytes of a piece of a file of opt-outs."""


class Office:
    """`subject`: who asks, as far as the token says. Every method raises what the service refuses
    with: Invalid, NotFound, NotInState, Forbidden, Conflict, Unauthenticated, or Away."""

    def __init__(self, target: str, token: str) -> None:
        self.subject = subject_of(token)
        self._target = target
        self._metadata = bearer(token)
        self._channel = channels.blocking(target, channels.folder_of())
        self._stub: Any = campaigns_pb2_grpc.CampaignServiceStub(self._channel)
        self._alerts: Any = alerts_pb2_grpc.AlertServiceStub(self._channel)
        self._audiences: Any = audiences_pb2_grpc.AudienceServiceStub(self._channel)
        self._messages: Any = service_pb2_grpc.BroadcastServiceStub(self._channel)

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()

    def upload(self, start: UploadAudienceStart, pieces: Pieces) -> UploadAudienceResponse:
        """Brings a file of recipients; once more when the service goes away meanwhile."""
        start.request_id = _request_id()
        for attempt in range(1, _UPLOADS + 1):
            try:
                answer: UploadAudienceResponse = self._ask(
                    "UploadAudience", pieces.requests(start), _UPLOAD_S
                )
                return answer
            except Away:
                if attempt == _UPLOADS:
                    raise
                time.sleep(attempt)
        raise AssertionError("the last attempt answers or raises")

    def subscribe(self, start: ImportSubscribersStart, pieces: Pieces) -> ImportSubscribersResponse:
        """Brings a file of subscribers. To bring it again changes nothing."""
        start.request_id = _request_id()

        def requests() -> Iterator[ImportSubscribersRequest]:
            yield ImportSubscribersRequest(start=start)
            for data in pieces.data():
                yield ImportSubscribersRequest(data=data)

        taken: ImportSubscribersResponse = self._ask(
            "ImportSubscribers", requests(), _UPLOAD_S, stub=self._audiences
        )
        return taken

    def opt_out(self, start: ImportOptOutsStart, pieces: Pieces) -> Iterator[ImportOptOutsResponse]:
        """Brings a file of people who want no messages, and tells how far it is. To bring it again
        changes nothing."""
        start.request_id = _request_id()

        def requests() -> Iterator[ImportOptOutsRequest]:
            yield ImportOptOutsRequest(start=start)
            for data in pieces.data():
                for at in range(0, len(data), _CHUNK):
                    yield ImportOptOutsRequest(chunk=data[at : at + _CHUNK])

        yield from self._stream(self._messages.ImportOptOuts, requests())

    def audience(self, audience_id: str) -> AudienceFile:
        """What is known of an uploaded file."""
        request = campaigns_pb2.GetAudienceRequest(audience_id=audience_id)
        file: AudienceFile = self._ask("GetAudience", request).audience
        return file

    def find(
        self, request: MakeAudienceRequest, told: Callable[[MakeAudienceResponse], None]
    ) -> AudienceFile:
        """Makes a list of the people whom a query means; begins anew when the service goes away
        meanwhile. `told`: called with how far it is."""
        request.request_id = _request_id()
        for attempt in range(1, _UPLOADS + 1):
            try:
                for answer in self._stream(self._audiences.MakeAudience, request):
                    if answer.HasField("audience"):
                        made: AudienceFile = answer.audience
                        return made
                    told(answer)
            except Away:
                if attempt == _UPLOADS:
                    raise
                time.sleep(attempt)
        raise Away("broadcast ended before the list was made; ask again")

    def look(self, audience: Audience) -> AudiencePreview:
        """Who is in an audience."""
        request = PreviewAudienceRequest(audience=audience)
        for answer in self._stream(self._audiences.PreviewAudience, request):
            if answer.HasField("preview"):
                seen: AudiencePreview = answer.preview
                return seen
        raise Away("broadcast ended before all was looked at; ask again")

    def create(self, plan: CampaignPlan) -> Campaign:
        """Makes a draft."""
        request = campaigns_pb2.CreateCampaignRequest(request_id=_request_id(), plan=plan)
        made: Campaign = self._ask("CreateCampaign", request).campaign
        return made

    def update(self, campaign_id: str, version: int, plan: CampaignPlan) -> Campaign:
        """Replaces the plan of a campaign at this version."""
        request = campaigns_pb2.UpdateCampaignRequest(
            request_id=_request_id(), campaign_id=campaign_id, version=version, plan=plan
        )
        changed: Campaign = self._ask("UpdateCampaign", request).campaign
        return changed

    def do(self, deed: str, campaign_id: str, **given: object) -> Campaign:
        """`deed`: Rehearse, Approve, Start, Pause, Resume, Cancel or Recall."""
        request = getattr(campaigns_pb2, f"{deed}CampaignRequest")(
            request_id=_request_id(), campaign_id=campaign_id, **given
        )
        done: Campaign = self._ask(f"{deed}Campaign", request).campaign
        return done

    def resend(self, campaign_id: str, recipients: int, reason: str) -> Campaign:
        """Sends once more to the unknown, of whom there are at most `recipients`."""
        request = campaigns_pb2.ResendUnknownRequest(
            request_id=_request_id(),
            campaign_id=campaign_id,
            recipients=recipients,
            reason=reason,
        )
        done: Campaign = self._ask("ResendUnknown", request).campaign
        return done

    def get(self, campaign_id: str) -> GetCampaignResponse:
        """A campaign and its buckets."""
        request = campaigns_pb2.GetCampaignRequest(campaign_id=campaign_id)
        found: GetCampaignResponse = self._ask("GetCampaign", request)
        return found

    def read_alert(self, alert: bytes) -> ReadAlertResponse:
        """What an alert says; a broken one has problems."""
        request = ReadAlertRequest(alert=alert)
        said: ReadAlertResponse = self._ask("ReadAlert", request, stub=self._alerts)
        return said

    def export_alert(self, request: ExportAlertRequest) -> ExportAlertResponse:
        """A campaign as an alert."""
        made: ExportAlertResponse = self._ask("ExportAlert", request, stub=self._alerts)
        return made

    def watch(self, campaign_id: str) -> Iterator[WatchCampaignResponse]:
        """The campaign now and whenever it changes, for as long as somebody looks."""
        request = campaigns_pb2.WatchCampaignRequest(campaign_id=campaign_id)
        yield from self._stream(self._stub.WatchCampaign, request, None)

    def export(
        self, campaign_id: str, numbers: bool, reason: str
    ) -> Iterator[ExportCampaignResponse]:
        """Every recipient of a campaign, in pieces. `numbers`: whole ones, for `reason`."""
        request = campaigns_pb2.ExportCampaignRequest(
            campaign_id=campaign_id, numbers=numbers, reason=reason
        )
        yield from self._stream(self._stub.ExportCampaign, request, None)

    def all(self, agency: str = "") -> Iterator[Campaign]:
        """Campaigns, the latest change first."""
        page = ""
        while True:
            request = campaigns_pb2.ListCampaignsRequest(
                agency=agency, page_size=_PAGE, page_token=page
            )
            answer = self._ask("ListCampaigns", request)
            yield from answer.campaigns
            page = answer.next_page_token
            if not page:
                return

    def lists(self, agency: str = "") -> Iterator[AudienceFile]:
        """Lists of recipients, the latest first."""
        page = ""
        while True:
            request = campaigns_pb2.ListAudiencesRequest(
                agency=agency, page_size=_PAGE, page_token=page
            )
            answer = self._ask("ListAudiences", request)
            yield from answer.audiences
            page = answer.next_page_token
            if not page:
                return

    def id_of(self, given: str) -> str:
        """The id of the campaign that a person means by its id, or by as much of its beginning as
        no other has. Raises NotFound, Away, ConfigError when several begin so."""
        return self._meant(
            given, "campaign", "list", lambda: (one.campaign_id for one in self.all())
        )

    def list_id_of(self, given: str) -> str:
        """The same of a list of recipients."""
        return self._meant(
            given, "list", "audiences", lambda: (one.audience_id for one in self.lists())
        )

    def _meant(self, given: str, what: str, see: str, ids: Callable[[], Iterator[str]]) -> str:
        if UUID.fullmatch(given):
            return given.lower()
        if not SHORT.fullmatch(given):
            raise ConfigError(
                f"{what.upper()} is the id of a {what}, or at least its first 4 letters; see "
                f"`mawja campaign {see}`"
            )
        try:
            found = {one for one in ids() if one.startswith(given.lower())}
        except Away as error:
            if self._target in str(error):
                raise
            raise Away(f"{error}; with the whole id no list is asked for") from None
        if len(found) > 1:
            raise ConfigError(f"{len(found)} {what}s begin with {given}; give more of its id")
        if not found:
            raise NotFound(f"no {what} that you may see begins with {given}")
        return found.pop()

    def _ask(self, method: str, request: Any, timeout_s: float = _ASK_S, stub: Any = None) -> Any:
        try:
            call = getattr(stub or self._stub, method)
            return call(request, metadata=self._metadata, timeout=timeout_s)
        except grpc.RpcError as error:
            raise error_of(error, "broadcast", self._target) from None

    def _stream(
        self, method: Any, request: Any, timeout_s: float | None = _UPLOAD_S
    ) -> Iterator[Any]:
        stream = method(request, metadata=self._metadata, timeout=timeout_s)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise error_of(error, "broadcast", self._target) from None
        finally:
            stream.cancel()


def office(
    home: Path | None, broadcast: str, token: str, subject: str
) -> AbstractContextManager[Office]:
    """Opens the service for who asks. What a person can mend, and that the service is away, end the
    command with a line: exit codes 1 and `told.AWAY`; Ctrl-C with 130."""
    return opened(Office, "broadcast", Role.COORDINATOR, LOOK, home, broadcast, token, subject)


def _request_id() -> str:
    return str(uuid.uuid4())
