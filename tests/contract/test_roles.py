"""Who may call what, row by row, held against the table in code and against every service's proto.

The matrix is written out again on purpose: a role gained or lost by a slip of the hand in the code
must be said twice to pass.
"""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import MethodDescriptor
from mawja.audit.v1 import service_pb2 as audit
from mawja.broadcast.v1 import alerts_pb2 as alerts
from mawja.broadcast.v1 import audiences_pb2 as audiences
from mawja.broadcast.v1 import campaigns_pb2 as campaigns
from mawja.broadcast.v1 import service_pb2 as broadcast
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.intake.v1 import service_pb2 as intake
from mawja.outreach.v1 import announcements_pb2 as announcements
from mawja.outreach.v1 import playbooks_pb2 as playbooks
from mawja.outreach.v1 import service_pb2 as outreach
from mawja.reports.v1 import service_pb2 as reports
from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1 import service_pb2 as wave

from services.runtime.errors import Forbidden
from services.runtime.identity import DEEDS, OPEN, ROLES, Caller, Role, authorise, may

SERVICES = (
    alerts,
    announcements,
    audiences,
    audit,
    broadcast,
    campaigns,
    contracts,
    dedup,
    intake,
    outreach,
    playbooks,
    reports,
    wave,
)

COLUMNS = (
    Role.GATEWAY,
    Role.AGENT,
    Role.LIAISON,
    Role.COORDINATOR,
    Role.APPROVER,
    Role.AUDITOR,
    Role.ADMINISTRATOR,
    Role.LOAD_TESTER,
    Role.CONSOLE,
)
# One mark for each column: x may call, . may not.
MATRIX = {
    "IntakeService/SubmitContact": "xx.....x.",
    "IntakeService/SubmitContacts": "x......x.",
    "IntakeService/ReportCalls": "x......x.",
    "IntakeService/GetContact": ".xxxxxx..",
    "IntakeService/RevealContact": ".x.x.....",
    "DedupService/GetCase": ".xxxxxx..",
    "DedupService/ListCases": ".xxxxxx..",
    "DedupService/FindCases": ".xxxxxx..",
    "DedupService/WatchCases": ".xxxxxx..",
    "DedupService/GetCatalogue": ".xxxxxx..",
    "DedupService/ListIncidents": ".xxxxxx..",
    "DedupService/GetIncident": ".xxxxxx..",
    "DedupService/WatchIncidents": ".xxxxxx..",
    "DedupService/Unlink": ".x.x.....",
    "DedupService/AssignCase": ".x.x.....",
    "DedupService/TriageCase": ".x.x.....",
    "DedupService/ResolveCase": ".x.x.....",
    "DedupService/ReopenCase": ".x.x.....",
    "DedupService/AddCaseNote": ".xxx.....",
    "DedupService/ErasePerson": "......x..",
    "DedupService/RevealPerson": ".x.x.....",
    "DedupService/MergeCases": ".x.x.....",
    "DedupService/SplitCase": ".x.x.....",
    "OutreachService/GetCallback": ".xxxxxx..",
    "OutreachService/ListCallbacks": ".xxxxxx..",
    "OutreachService/WatchCallbacks": ".xxxxxx..",
    "OutreachService/ClaimCallback": ".x.......",
    "OutreachService/ListPractice": ".x.x.x...",
    "OutreachService/ExtendClaim": ".x.......",
    "OutreachService/CompleteCallback": ".x.......",
    "OutreachService/ReportNoAnswer": ".x.......",
    "OutreachService/ReleaseCallback": ".x.x.....",
    "OutreachService/GiveUpCallback": ".x.......",
    "PlaybookService/ListHandOvers": ".xxxxxx..",
    "PlaybookService/ListPlaybooks": ".xxxxxx..",
    "PlaybookService/SwitchPlaybook": "...x.....",
    "PlaybookService/ConfirmHandOver": ".x.x.....",
    "PlaybookService/ExplainCase": ".x.xxxx..",
    "AnnouncementService/SetAnnouncement": "...x.....",
    "AnnouncementService/EndAnnouncement": "...xx....",
    "AnnouncementService/ListAnnouncements": ".xxxxxx..",
    "AnnouncementService/GetAnnouncements": "xxxxxxxx.",
    "OutreachService/GetProposal": "..xxxxx..",
    "OutreachService/ListProposals": "..xxxxx..",
    "OutreachService/WatchProposals": "..xxxxx..",
    "OutreachService/AcceptProposal": "...x.....",
    "OutreachService/EditProposal": "...x.....",
    "OutreachService/DeclineProposal": "...x.....",
    "BroadcastService/QueueMessage": ".x.x...x.",
    "BroadcastService/GetMessage": ".xxxxxx..",
    "BroadcastService/WatchMessages": ".xxxxxx..",
    "BroadcastService/OptOut": ".x.x.....",
    "BroadcastService/ImportOptOuts": "...x.....",
    "AudienceService/MakeAudience": "...x.....",
    "AudienceService/PreviewAudience": ".xxxxxx..",
    "AudienceService/Subscribe": ".x.x.....",
    "AudienceService/Unsubscribe": ".x.x.....",
    "AudienceService/ImportSubscribers": "...x.....",
    "CampaignService/UploadAudience": "...x.....",
    "CampaignService/GetAudience": ".xxxxxx..",
    "CampaignService/ListAudiences": ".xxxxxx..",
    "CampaignService/CreateCampaign": "...x.....",
    "CampaignService/EstimateCost": "..xxxxx..",
    "CampaignService/UpdateCampaign": "...x.....",
    "CampaignService/GetCampaign": ".xxxxxx..",
    "CampaignService/ListCampaigns": ".xxxxxx..",
    "CampaignService/RehearseCampaign": "...x.....",
    "CampaignService/ApproveCampaign": "...xx....",
    "CampaignService/StartCampaign": "...x.....",
    "CampaignService/PauseCampaign": "...xx....",
    "CampaignService/ResumeCampaign": "...x.....",
    "CampaignService/CancelCampaign": "...xx....",
    "CampaignService/RecallCampaign": "...xx....",
    "CampaignService/ResendUnknown": "...x.....",
    "CampaignService/WatchCampaign": ".xxxxxx..",
    "AlertService/ReadAlert": "...x.....",
    "AlertService/ExportAlert": "...x.....",
    "CampaignService/ExportCampaign": "..xxxxx..",
    "AuditService/ListAudit": ".....xx..",
    "AuditService/NoteSession": "........x",
    "WaveService/GetLevels": ".xxxxxx..",
    "WaveService/WatchLevels": ".xxxxxx..",
    "WaveService/ListBursts": ".xxxxxx..",
    "ReportService/GetScorecard": "..xxxxx..",
    "ReportService/MakeReport": "...xxxx..",
    "ContractService/ReportQueue": "x.x....x.",
    "ContractService/RouteCall": "x......x.",
    "ContractService/ListQueues": "xxxxxxx..",
    "ContractService/WatchQueues": "xxxxxxx..",
}


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for module in SERVICES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


def short(method: str) -> str:
    return method[method.rindex(".") + 1 :]


def test_the_columns_are_all_roles() -> None:
    assert sorted(COLUMNS) == sorted(Role)
    assert all(len(row) == len(COLUMNS) and set(row) <= {"x", "."} for row in MATRIX.values())


def test_every_rpc_has_a_row_and_every_row_an_rpc() -> None:
    declared = {name for name, _ in methods()}
    assert declared == set(ROLES)
    assert {short(name) for name in declared} == set(MATRIX)


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.parametrize("method", sorted(ROLES))
def test_a_role_may_call_exactly_what_the_matrix_says(method: str, role: Role) -> None:
    row = MATRIX[short(method)]
    allowed = row[COLUMNS.index(role)] == "x"
    assert authorise(method, Caller("s", frozenset({role}), "", 0)) is allowed


@pytest.mark.parametrize("method", sorted(ROLES))
def test_nobody_calls_without_a_role(method: str) -> None:
    assert not authorise(method, Caller("s", frozenset(), "", 0))
    assert ROLES[method], "a row that allows nobody would be an RPC that cannot be called"


def test_only_health_needs_no_caller() -> None:
    assert {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"} == OPEN


def test_a_load_tester_reads_nothing() -> None:
    """What it may call takes things in, marked as drill, or tells what a rehearsal's lines play; it
    never sees a person's."""
    may = {method for method, roles in ROLES.items() if Role.LOAD_TESTER in roles}
    assert {short(m).split("/")[1] for m in may} == {
        "SubmitContact",
        "SubmitContacts",
        "ReportCalls",
        "QueueMessage",
        "ReportQueue",
        "RouteCall",
        "GetAnnouncements",
    }


# The same columns, for what the `mawja` command does that is no RPC.
DEED_MATRIX = {
    "audit list": ".....xx..",
    "campaign export --numbers": ".....xx..",
    "dlq show --unmask": ".....xx..",
    "dlq replay": "......x..",
    "restored declare": "......x..",
    "restored resume": "...x..x..",
}


@pytest.mark.parametrize("deed", DEEDS)
def test_only_the_roles_of_its_row_may_do_a_deed(deed: str) -> None:
    for role, mark in zip(COLUMNS, DEED_MATRIX[deed], strict=True):
        caller = Caller("someone", frozenset({role}), "", 0)
        if mark == "x":
            may(deed, caller)
        else:
            with pytest.raises(Forbidden, match="needs a token with the role"):
                may(deed, caller)


def test_every_row_of_deeds_is_in_the_table() -> None:
    assert set(DEED_MATRIX) == set(DEEDS)
