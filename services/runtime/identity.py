"""Who is calling, and what they may call.

A caller shows a signed token (JWT, EdDSA; RFC 7519, RFC 8037): `sub` who, `roles` what they are,
`agency` whose liaison, `exp` until when. Keys are files in the key ring (`token_keys`).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.runtime import token_keys
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Forbidden, MawjaError

_AUDIENCE = "mawja"
_CACHE_LIMIT = 10_000


class Role(StrEnum):
    """What a caller is."""

    GATEWAY = "gateway"  # a telephone system or channel connector
    AGENT = "agent"
    LIAISON = "liaison"  # of one agency: sees that agency only, whatever else they are
    COORDINATOR = "coordinator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    LOAD_TESTER = "load-tester"  # everything it submits must be marked as drill
    CONSOLE = "console"  # the console itself, where it tells who signed in


STAFF = frozenset(
    {
        Role.AGENT,
        Role.LIAISON,
        Role.COORDINATOR,
        Role.APPROVER,
        Role.AUDITOR,
        Role.ADMINISTRATOR,
    }
)
"""Whoever works here, in whatever role: all but machines."""

_AUTHORS = {Role.COORDINATOR}
# Person by person, what agents have no part in.
_ACCOUNTABLE = STAFF - {Role.AGENT}
# Holding back what goes wrong needs no author.
_STOPPERS = {Role.COORDINATOR, Role.APPROVER}

# The one table of roles per RPC. A method that is not here can be called by nobody.
ROLES: dict[str, frozenset[Role]] = {
    method: frozenset(roles)
    for method, roles in {
        "/mawja.intake.v1.IntakeService/SubmitContact": {
            Role.GATEWAY,
            Role.AGENT,
            Role.LOAD_TESTER,
        },
        "/mawja.intake.v1.IntakeService/SubmitContacts": {Role.GATEWAY, Role.LOAD_TESTER},
        "/mawja.intake.v1.IntakeService/ReportCalls": {Role.GATEWAY, Role.LOAD_TESTER},
        "/mawja.intake.v1.IntakeService/GetContact": STAFF,
        # Whose case it came to intake can't tell: not for those who see one agency's only.
        "/mawja.intake.v1.IntakeService/RevealContact": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/GetCase": STAFF,
        "/mawja.dedup.v1.DedupService/ListCases": STAFF,
        "/mawja.dedup.v1.DedupService/FindCases": STAFF,
        "/mawja.dedup.v1.DedupService/WatchCases": STAFF,
        "/mawja.dedup.v1.DedupService/GetCatalogue": STAFF,
        "/mawja.dedup.v1.DedupService/ListIncidents": STAFF,
        "/mawja.dedup.v1.DedupService/GetIncident": STAFF,
        "/mawja.dedup.v1.DedupService/WatchIncidents": STAFF,
        "/mawja.dedup.v1.DedupService/Unlink": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/AssignCase": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/TriageCase": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/ResolveCase": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/ReopenCase": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/AddCaseNote": {Role.AGENT, Role.LIAISON, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/ErasePerson": {Role.ADMINISTRATOR},
        "/mawja.dedup.v1.DedupService/RevealPerson": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/MergeCases": {Role.AGENT, Role.COORDINATOR},
        "/mawja.dedup.v1.DedupService/SplitCase": {Role.AGENT, Role.COORDINATOR},
        "/mawja.outreach.v1.OutreachService/GetCallback": STAFF,
        "/mawja.outreach.v1.OutreachService/ListCallbacks": STAFF,
        "/mawja.outreach.v1.OutreachService/WatchCallbacks": STAFF,
        "/mawja.outreach.v1.OutreachService/ClaimCallback": {Role.AGENT},
        "/mawja.outreach.v1.OutreachService/ListPractice": {
            Role.AGENT,
            Role.COORDINATOR,
            Role.AUDITOR,
        },
        "/mawja.outreach.v1.OutreachService/ExtendClaim": {Role.AGENT},
        "/mawja.outreach.v1.OutreachService/CompleteCallback": {Role.AGENT},
        "/mawja.outreach.v1.OutreachService/ReportNoAnswer": {Role.AGENT},
        "/mawja.outreach.v1.OutreachService/ReleaseCallback": {Role.AGENT, Role.COORDINATOR},
        "/mawja.outreach.v1.OutreachService/GiveUpCallback": {Role.AGENT},
        "/mawja.outreach.v1.AnnouncementService/SetAnnouncement": _AUTHORS,
        "/mawja.outreach.v1.AnnouncementService/EndAnnouncement": _STOPPERS,
        "/mawja.outreach.v1.AnnouncementService/ListAnnouncements": STAFF,
        "/mawja.outreach.v1.AnnouncementService/GetAnnouncements": STAFF
        | {Role.GATEWAY, Role.LOAD_TESTER},
        "/mawja.outreach.v1.OutreachService/GetProposal": _ACCOUNTABLE,
        "/mawja.outreach.v1.OutreachService/ListProposals": _ACCOUNTABLE,
        "/mawja.outreach.v1.OutreachService/WatchProposals": _ACCOUNTABLE,
        "/mawja.outreach.v1.OutreachService/AcceptProposal": _AUTHORS,
        "/mawja.outreach.v1.OutreachService/EditProposal": _AUTHORS,
        "/mawja.outreach.v1.OutreachService/DeclineProposal": _AUTHORS,
        "/mawja.outreach.v1.PlaybookService/ListHandOvers": STAFF,
        "/mawja.outreach.v1.PlaybookService/ListPlaybooks": STAFF,
        "/mawja.outreach.v1.PlaybookService/SwitchPlaybook": _AUTHORS,
        "/mawja.outreach.v1.PlaybookService/ConfirmHandOver": {Role.AGENT, Role.COORDINATOR},
        # Whose case it is outreach can't tell: not for those who see one agency's only.
        "/mawja.outreach.v1.PlaybookService/ExplainCase": STAFF - {Role.LIAISON},
        "/mawja.broadcast.v1.BroadcastService/QueueMessage": {
            Role.AGENT,
            Role.COORDINATOR,
            Role.LOAD_TESTER,
        },
        "/mawja.broadcast.v1.BroadcastService/GetMessage": STAFF,
        "/mawja.broadcast.v1.BroadcastService/WatchMessages": STAFF,
        "/mawja.broadcast.v1.BroadcastService/OptOut": {Role.AGENT, Role.COORDINATOR},
        "/mawja.broadcast.v1.CampaignService/UploadAudience": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/GetAudience": STAFF,
        "/mawja.broadcast.v1.CampaignService/ListAudiences": STAFF,
        "/mawja.broadcast.v1.CampaignService/CreateCampaign": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/EstimateCost": _ACCOUNTABLE,
        "/mawja.broadcast.v1.CampaignService/UpdateCampaign": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/GetCampaign": STAFF,
        "/mawja.broadcast.v1.CampaignService/ListCampaigns": STAFF,
        "/mawja.broadcast.v1.CampaignService/RehearseCampaign": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/ApproveCampaign": {Role.APPROVER, Role.COORDINATOR},
        "/mawja.broadcast.v1.CampaignService/StartCampaign": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/PauseCampaign": _STOPPERS,
        "/mawja.broadcast.v1.CampaignService/ResumeCampaign": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/CancelCampaign": _STOPPERS,
        "/mawja.broadcast.v1.CampaignService/RecallCampaign": _STOPPERS,
        "/mawja.broadcast.v1.CampaignService/ResendUnknown": _AUTHORS,
        "/mawja.broadcast.v1.CampaignService/WatchCampaign": STAFF,
        "/mawja.broadcast.v1.AlertService/ReadAlert": _AUTHORS,
        "/mawja.broadcast.v1.AlertService/ExportAlert": _AUTHORS,
        "/mawja.broadcast.v1.AudienceService/MakeAudience": _AUTHORS,
        "/mawja.broadcast.v1.AudienceService/PreviewAudience": STAFF,
        "/mawja.broadcast.v1.CampaignService/ExportCampaign": _ACCOUNTABLE,
        "/mawja.broadcast.v1.AudienceService/Subscribe": {Role.AGENT, Role.COORDINATOR},
        "/mawja.broadcast.v1.AudienceService/Unsubscribe": {Role.AGENT, Role.COORDINATOR},
        "/mawja.broadcast.v1.AudienceService/ImportSubscribers": _AUTHORS,
        "/mawja.broadcast.v1.BroadcastService/ImportOptOuts": {Role.COORDINATOR},
        "/mawja.audit.v1.AuditService/ListAudit": {Role.AUDITOR, Role.ADMINISTRATOR},
        "/mawja.audit.v1.AuditService/NoteSession": {Role.CONSOLE},
        "/mawja.wave.v1.WaveService/GetLevels": STAFF,
        "/mawja.wave.v1.WaveService/WatchLevels": STAFF,
        "/mawja.wave.v1.WaveService/ListBursts": STAFF,
        "/mawja.wave.v1.ContractService/ReportQueue": {
            Role.GATEWAY,
            Role.LIAISON,
            Role.LOAD_TESTER,
        },
        "/mawja.wave.v1.ContractService/RouteCall": {Role.GATEWAY, Role.LOAD_TESTER},
        "/mawja.reports.v1.ReportService/GetScorecard": _ACCOUNTABLE,
        # Of the whole centre: no paper for those who see one agency's only.
        "/mawja.reports.v1.ReportService/MakeReport": _ACCOUNTABLE - {Role.LIAISON},
        "/mawja.wave.v1.ContractService/ListQueues": STAFF | {Role.GATEWAY},
        "/mawja.wave.v1.ContractService/WatchQueues": STAFF | {Role.GATEWAY},
    }.items()
}
# The same for what the `mawja` command does that is no RPC, or that only some callers of one may.
DEEDS: dict[str, frozenset[Role]] = {
    "audit list": frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    "campaign export --numbers": frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    "dlq show --unmask": frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    "dlq replay": frozenset({Role.ADMINISTRATOR}),
    "restored declare": frozenset({Role.ADMINISTRATOR}),
    "restored resume": frozenset({Role.ADMINISTRATOR, Role.COORDINATOR}),
}
# Asked by probes, which have no token; they show nothing but readiness.
OPEN = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})


def together(roles: frozenset[Role]) -> frozenset[Role]:
    """What `roles` of one caller come to: a liaison is nothing else. They see one agency only, and
    no other role is held to that by every room."""
    return frozenset({Role.LIAISON}) if Role.LIAISON in roles else roles


class Unauthenticated(MawjaError):
    """UNAUTHENTICATED: no token, or one that does not verify."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller."""

    subject: str
    roles: frozenset[Role]
    agency: str
    expires_ms: int

    def sees(self, agency: str) -> bool:
        """Whether this caller may see things of `agency`: a liaison sees their own only, and one
        whose token names no agency sees none."""
        if not self.agency:
            return Role.LIAISON not in self.roles
        return self.agency == agency

    @property
    def must_drill(self) -> bool:
        """Whether everything that this caller submits has to be marked as drill."""
        return Role.LOAD_TESTER in self.roles


class Verifier:
    """Verifies tokens with the public keys in `folder`/tokens; remembers what it verified, for as
    long as the keys are the same."""

    def __init__(self, folder: Path, clock: Millis = now_ms) -> None:
        self._clock = clock
        self._seen: dict[str, Caller] = {}
        self._keys = token_keys.PublicKeys(folder)
        self._seen_with = self._keys.current()

    def verify(self, authorization: str | None) -> Caller:
        """The caller of an `authorization: Bearer …` header. Raises Unauthenticated."""
        if not authorization or not authorization.startswith("Bearer "):
            raise Unauthenticated("send a token: authorization: Bearer …; see `mawja token`")
        token = authorization[7:]
        keys = self._keys.current()
        if keys is not self._seen_with:
            # What was verified with a key that is gone must not be believed any longer.
            self._seen_with = keys
            self._seen.clear()
        caller = self._seen.get(token)
        if caller is None:
            caller = self._decode(token)
            if len(self._seen) >= _CACHE_LIMIT:
                self._seen.clear()
            self._seen[token] = caller
        if caller.expires_ms <= self._clock():
            raise Unauthenticated("the token has expired; ask for a new one")
        return caller

    def _decode(self, token: str) -> Caller:
        try:
            key = self._keys.called(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise ValueError("of no key that is known here")
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=_AUDIENCE,
                # Times are checked at every call, against the room's time, not the wall clock.
                options={
                    "require": ["exp", "sub", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            if int(claims.get("nbf", 0)) * 1000 > self._clock():
                raise ValueError("not yet")
            roles = together(frozenset(Role(role) for role in claims.get("roles", [])))
            return Caller(
                subject=str(claims["sub"]),
                roles=roles,
                agency=str(claims.get("agency", "")),
                expires_ms=int(claims["exp"]) * 1000,
            )
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError):
            raise Unauthenticated("the token does not verify; see `mawja token`") from None


def authorise(method: str, caller: Caller) -> bool:
    """Whether one of the caller's roles may call `method`."""
    return bool(ROLES.get(method, frozenset()) & caller.roles)


def may(deed: str, caller: Caller) -> None:
    """Raises Forbidden unless one of the caller's roles may do `deed`, one of DEEDS."""
    roles = DEEDS[deed]
    if not roles & caller.roles:
        raise Forbidden(f"`{deed}` needs a token with the role {' or '.join(sorted(roles))}")


def create_token_key(folder: Path, kid: str = "local") -> None:
    """Makes a key pair for tokens if `kid` has none."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_path = tokens / f"{kid}.private.pem"
    if private_path.exists():
        return
    private = Ed25519PrivateKey.generate()
    (tokens / f"{kid}.public.pem").write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    # Whoever signs with the newest key must not find half of it.
    part = tokens / f"{kid}.part"
    part.touch(mode=0o600)
    part.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    part.rename(private_path)


def issue(
    folder: Path,
    subject: str,
    roles: frozenset[Role],
    *,
    now: int,
    valid_s: int = 12 * 3600,
    agency: str = "",
    kid: str = "",
) -> str:
    """A token for `subject`, signed with the key `kid`, else with the newest. `now` is Unix time in
    milliseconds. Raises ConfigError where there is no such key."""
    kid, path = token_keys.signing(folder, kid)
    claims = {
        "sub": subject,
        "aud": _AUDIENCE,
        "roles": sorted(roles),
        "exp": now // 1000 + valid_s,
    }
    if agency:
        claims["agency"] = agency
    return jwt.encode(claims, path.read_text(), algorithm="EdDSA", headers={"kid": kid})
