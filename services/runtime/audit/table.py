"""The one table of which calls are audited, and where in them stands what they are about. Pure.

A method that is not here only shows, or takes in what machines report. Fields are named by their
path in the request or, where that does not have it, in the answer.
"""

from dataclasses import dataclass
from enum import Enum, auto

from google.protobuf.message import Message
from google.rpc import code_pb2
from mawja.audit.v1 import service_pb2


class Kind(Enum):
    """When a call is noted."""

    DECISION = auto()
    """Before it is done, and when it is answered."""
    SHOWN = auto()
    """Before its answer leaves, when there is something in it: asking again and again for what is
    not there decides nothing."""


@dataclass(frozen=True, slots=True)
class Deed:
    """How a method is audited. `about`: path of the id; `number`: it is an E.164 number, of which
    the keyed hash is kept; `reason`: path of why."""

    about: str = ""
    reason: str = ""
    kind: Kind = Kind.DECISION
    number: bool = False


_CASE, _CALLBACK, _PROPOSAL = Deed("case_id"), Deed("callback_id"), Deed("proposal_id")
_CAMPAIGN, _STEERING = Deed("campaign_id"), Deed("campaign_id", "reason")

AUDITED: dict[str, Deed] = {
    "/mawja.intake.v1.IntakeService/RevealContact": Deed("contact_id", "reason"),
    "/mawja.dedup.v1.DedupService/AssignCase": _CASE,
    "/mawja.dedup.v1.DedupService/TriageCase": _CASE,
    "/mawja.dedup.v1.DedupService/ResolveCase": _CASE,
    "/mawja.dedup.v1.DedupService/ReopenCase": Deed("case_id", "reason"),
    "/mawja.dedup.v1.DedupService/AddCaseNote": _CASE,
    "/mawja.dedup.v1.DedupService/MergeCases": Deed("case_id", "reason"),
    "/mawja.dedup.v1.DedupService/SplitCase": Deed("case_id", "reason"),
    "/mawja.dedup.v1.DedupService/Unlink": Deed("case_id", "reason"),
    "/mawja.dedup.v1.DedupService/RevealPerson": Deed("case_id", "reason"),
    "/mawja.dedup.v1.DedupService/ErasePerson": Deed("number", "reason", number=True),
    "/mawja.dedup.v1.DedupService/FindCases": Deed("number", number=True),
    # Its answer has the caller's number.
    "/mawja.outreach.v1.OutreachService/ClaimCallback": Deed(
        "callback.callback_id", kind=Kind.SHOWN
    ),
    "/mawja.outreach.v1.OutreachService/ExtendClaim": _CALLBACK,
    "/mawja.outreach.v1.OutreachService/CompleteCallback": _CALLBACK,
    "/mawja.outreach.v1.OutreachService/ReportNoAnswer": _CALLBACK,
    "/mawja.outreach.v1.OutreachService/ReleaseCallback": _CALLBACK,
    "/mawja.outreach.v1.OutreachService/GiveUpCallback": Deed("callback_id", "reason"),
    "/mawja.outreach.v1.OutreachService/AcceptProposal": Deed("proposal_id", "reason"),
    "/mawja.outreach.v1.OutreachService/EditProposal": _PROPOSAL,
    "/mawja.outreach.v1.OutreachService/DeclineProposal": Deed("proposal_id", "reason"),
    "/mawja.outreach.v1.AnnouncementService/SetAnnouncement": Deed("announcement.announcement_id"),
    "/mawja.outreach.v1.AnnouncementService/EndAnnouncement": Deed("announcement_id"),
    "/mawja.outreach.v1.PlaybookService/ConfirmHandOver": _CASE,
    "/mawja.outreach.v1.PlaybookService/SwitchPlaybook": Deed("playbook", "reason"),
    "/mawja.broadcast.v1.BroadcastService/QueueMessage": Deed("message_id"),
    "/mawja.broadcast.v1.BroadcastService/OptOut": Deed("number", number=True),
    "/mawja.broadcast.v1.BroadcastService/ImportOptOuts": Deed(),
    "/mawja.broadcast.v1.CampaignService/UploadAudience": Deed("audience_id"),
    "/mawja.broadcast.v1.CampaignService/CreateCampaign": Deed("campaign.campaign_id"),
    "/mawja.broadcast.v1.CampaignService/UpdateCampaign": _CAMPAIGN,
    "/mawja.broadcast.v1.CampaignService/RehearseCampaign": _CAMPAIGN,
    "/mawja.broadcast.v1.CampaignService/ApproveCampaign": _CAMPAIGN,
    "/mawja.broadcast.v1.CampaignService/StartCampaign": _CAMPAIGN,
    "/mawja.broadcast.v1.CampaignService/PauseCampaign": _STEERING,
    "/mawja.broadcast.v1.CampaignService/ResumeCampaign": _STEERING,
    "/mawja.broadcast.v1.CampaignService/CancelCampaign": _STEERING,
    "/mawja.broadcast.v1.CampaignService/RecallCampaign": _STEERING,
    "/mawja.broadcast.v1.CampaignService/ResendUnknown": _STEERING,
    "/mawja.broadcast.v1.CampaignService/ExportCampaign": _STEERING,
    "/mawja.broadcast.v1.AlertService/ExportAlert": _CAMPAIGN,
    "/mawja.broadcast.v1.AudienceService/MakeAudience": Deed("audience.audience_id"),
    "/mawja.broadcast.v1.AudienceService/Subscribe": Deed("number", number=True),
    "/mawja.broadcast.v1.AudienceService/Unsubscribe": Deed("number", number=True),
    "/mawja.broadcast.v1.AudienceService/ImportSubscribers": Deed(),
}

SESSIONS: dict[service_pb2.SessionEvent.ValueType, int] = {
    service_pb2.SESSION_EVENT_WRONG_PASSWORD: code_pb2.UNAUTHENTICATED,
    service_pb2.SESSION_EVENT_WRONG_CODE: code_pb2.UNAUTHENTICATED,
    service_pb2.SESSION_EVENT_LOCKED: code_pb2.RESOURCE_EXHAUSTED,
    service_pb2.SESSION_EVENT_NO_ROLE: code_pb2.PERMISSION_DENIED,
}
"""What the audit says became of who wanted a session of the console; all else was done."""


def room_of(method: str) -> str:
    """The room of "/mawja.<room>.v1.Service/Method"."""
    return method.split(".", 2)[1]


def short(method: str) -> str:
    """ "Service/Method" of a full method name."""
    return method[method.rindex(".") + 1 :]


def text_at(message: object, path: str) -> str:
    """The text at `path` of a message; empty when the message is none, or has nothing there."""
    for name in path.split("."):
        if not isinstance(message, Message) or name not in message.DESCRIPTOR.fields_by_name:
            return ""
        message = getattr(message, name)
    return message if isinstance(message, str) else ""
