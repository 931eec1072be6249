"""Campaigns as people make them, over gRPC, and an account of them that asks nobody: counted from
the audience topic, the status log and the campaigns' decisions."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import alerts_pb2_grpc, campaigns_pb2, campaigns_pb2_grpc, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    AudienceSlice,
    BucketCount,
    CampaignDecision,
    CampaignPlan,
    CampaignText,
    UploadAudienceRequest,
    UploadAudienceStart,
)

from services.local.parts import Parts
from services.local.system import System, token
from services.runtime import topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role, issue
from services.runtime.own import Record
from services.runtime.scan import Scan
from tests.broadcast_rig import Rig, running, wait_until

MAKER, OTHER = "maryam", "khalid"
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
Bucket = campaigns_pb2.Bucket
_T = TypeVar("_T")
_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)


@contextmanager
def two_speeds(parts: Parts, name: str) -> Iterator[Rig]:
    """Broadcast with a quick SMS centre, and for +99952 one that lets messages queue. Whatever it
    is asked: it does not die of it, and tells no number."""
    with running(
        parts,
        name,
        {"fast": ({}, {}), "slow": ({"parts_per_second": 40}, {})},
        [{"prefix": "+", "carrier": "fast"}, {"prefix": "+99952", "carrier": "slow"}],
    ) as made:
        yield made
        assert made.replica.process.exits == ()
        assert "Traceback" not in made.log()
        assert "+9995" not in made.log()


def again(call: Callable[[], _T], timeout_s: float = 60) -> _T:
    """The outcome of a call that is made again while nobody answers it."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            said: Any = error
            if said.code() not in _AGAIN or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """How a call ends."""
    try:
        call()
    except grpc.RpcError as error:
        said: Any = error
        code: grpc.StatusCode = said.code()
        return code
    return grpc.StatusCode.OK


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """What a call is refused with, and what is said of it."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    said: Any = refused.value
    return said.code(), said.details()


class Shown(
    grpc.UnaryUnaryClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
):
    """Shows a token with every call."""

    def __init__(self, shown: str) -> None:
        self._metadata = (("authorization", f"Bearer {shown}"),)

    def _with(self, details: Any) -> Any:
        return details._replace(metadata=self._metadata)

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with(details), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._with(details), requests)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with(details), request)


class Office:
    """A person with a token."""

    def __init__(
        self, system: System, subject: str, role: Role = Role.COORDINATOR, agency: str = ""
    ) -> None:
        plain = grpc.insecure_channel(
            system.target("broadcast"), options=[("grpc.max_reconnect_backoff_ms", 500)]
        )
        shown = token(system.keys, subject, role)
        if agency:
            shown = issue(system.keys, subject, frozenset({role}), now=now_ms(), agency=agency)
        channel = grpc.intercept_channel(plain, Shown(shown))
        self.stub: Any = campaigns_pb2_grpc.CampaignServiceStub(channel)
        self.alerts: Any = alerts_pb2_grpc.AlertServiceStub(channel)
        self.asked = 0
        self.subject = subject

    def request_id(self) -> str:
        self.asked += 1
        return f"{self.subject}-{self.asked}-{time.time_ns()}"

    def start_of(
        self, drill: bool = True, request_id: str = "", agency: str = ""
    ) -> UploadAudienceRequest:
        """The first piece of a file."""
        start = UploadAudienceStart(
            request_id=request_id or self.request_id(),
            name="list.csv",
            country="AE",
            drill=drill,
            agency=agency,
        )
        return UploadAudienceRequest(start=start)

    def upload(
        self, content: bytes, drill: bool = True, request_id: str = "", agency: str = ""
    ) -> campaigns_pb2.UploadAudienceResponse:
        pieces = [self.start_of(drill, request_id, agency)]
        pieces += [
            UploadAudienceRequest(data=content[at : at + 50_000])
            for at in range(0, len(content), 50_000)
        ]
        answer: campaigns_pb2.UploadAudienceResponse = self.stub.UploadAudience(
            iter(pieces), timeout=60
        )
        return answer

    def create(self, plan: CampaignPlan, request_id: str = "") -> campaigns_pb2.Campaign:
        request = campaigns_pb2.CreateCampaignRequest(
            request_id=request_id or self.request_id(), plan=plan
        )
        campaign: campaigns_pb2.Campaign = self.stub.CreateCampaign(request, timeout=20).campaign
        return campaign

    def update(self, campaign: campaigns_pb2.Campaign, plan: CampaignPlan) -> None:
        self.stub.UpdateCampaign(
            campaigns_pb2.UpdateCampaignRequest(
                request_id=self.request_id(),
                campaign_id=campaign.campaign_id,
                version=campaign.version,
                plan=plan,
            ),
            timeout=20,
        )

    def rehearsed(self, campaign_id: str, timeout_s: float = 60) -> campaigns_pb2.Campaign:
        self.do("Rehearse", campaign_id)
        return self.until(
            campaign_id, campaigns_pb2.CAMPAIGN_STATE_REHEARSED, timeout_s=timeout_s
        ).campaign

    def approve(
        self, campaign: campaigns_pb2.Campaign, request_id: str = ""
    ) -> campaigns_pb2.Campaign:
        request = campaigns_pb2.ApproveCampaignRequest(
            request_id=request_id or self.request_id(),
            campaign_id=campaign.campaign_id,
            rehearsal_hash=campaign.rehearsal.hash,
        )
        approved: campaigns_pb2.Campaign = self.stub.ApproveCampaign(request, timeout=20).campaign
        return approved

    def do(self, deed: str, campaign_id: str, **given: str) -> campaigns_pb2.Campaign:
        fields = {"request_id": self.request_id(), **given}
        request = getattr(campaigns_pb2, f"{deed}CampaignRequest")(
            campaign_id=campaign_id, **fields
        )
        done: campaigns_pb2.Campaign = getattr(self.stub, f"{deed}Campaign")(
            request, timeout=20
        ).campaign
        return done

    def get(self, campaign_id: str) -> campaigns_pb2.GetCampaignResponse:
        request = campaigns_pb2.GetCampaignRequest(campaign_id=campaign_id)
        answer: campaigns_pb2.GetCampaignResponse = self.stub.GetCampaign(request, timeout=20)
        return answer

    def until(
        self, campaign_id: str, *states: int, timeout_s: float = 60
    ) -> campaigns_pb2.GetCampaignResponse:
        wait_until(lambda: again(lambda: self.get(campaign_id)).campaign.state in states, timeout_s)
        return again(lambda: self.get(campaign_id))


def texts(rig: Rig, carrier: str) -> dict[str, str | None]:
    """What each telephone of a carrier shows, by its number without the plus."""
    return {one.destination: one.text for one in rig.smsc[carrier].messages()}


def listed(people: Sequence[str], language: str = "ar") -> bytes:
    """A file of recipients; each has a place of their own."""
    rows = "\n".join(f"{number},{language},{index}" for index, number in enumerate(people))
    return f"رقم الهاتف,language,place\n{rows}\n".encode()


def plan(audience: Audience | str, **given: object) -> CampaignPlan:
    """A drill in Arabic and English."""
    fields = {
        "name": "Shelters",
        "kind": events_pb2.CAMPAIGN_KIND_INFORMATION,
        "drill": True,
        "audience": Audience(upload=audience) if isinstance(audience, str) else audience,
        "texts": [
            CampaignText(language="ar", template="الملجأ رقم {place} مفتوح الآن"),
            CampaignText(language="en", template="Shelter {place} is open now"),
        ],
        "corrections": [CampaignText(language="ar", template="تصحيح: الملجأ مغلق")],
        "language": "ar",
        "expires_ms": now_ms() + 600_000,
        **given,
    }
    return CampaignPlan(**fields)  # type: ignore[arg-type]


def by_bucket(buckets: Sequence[BucketCount]) -> Counter[str]:
    """Recipients by the name of their bucket."""
    found = Counter[str]()
    for one in buckets:
        found[Bucket.Name(one.bucket).removeprefix("BUCKET_")] += one.recipients
    return found


def started(maker: Office, other: Office, wanted: CampaignPlan) -> str:
    """A campaign that runs; its id."""
    campaign_id = maker.create(wanted).campaign_id
    other.approve(maker.rehearsed(campaign_id))
    maker.do("Start", campaign_id)
    return campaign_id


_BUCKET = {
    events_pb2.MESSAGE_STATE_CLAIMED: "UNDER_WAY",
    events_pb2.MESSAGE_STATE_SUBMITTED: "UNDER_WAY",
    events_pb2.MESSAGE_STATE_UNKNOWN: "UNKNOWN",
    events_pb2.MESSAGE_STATE_DELIVERED: "DELIVERED",
    events_pb2.MESSAGE_STATE_FAILED: "FAILED",
    events_pb2.MESSAGE_STATE_EXPIRED: "EXPIRED",
    events_pb2.MESSAGE_STATE_SUPPRESSED: "SUPPRESSED",
}


@dataclass(slots=True)
class Account:
    """What the topics say of one campaign of one file."""

    rows: int = 0
    people: set[bytes] = field(default_factory=set)
    bad: int = 0
    last: dict[bytes, events_pb2.MessageChange] = field(default_factory=dict)
    ids: dict[bytes, set[str]] = field(default_factory=dict)
    ended: bool = False

    def buckets(self) -> Counter[str]:
        """Where everybody is, a row each."""
        found = Counter[str]()
        for person in self.people:
            change = self.last.get(person)
            name = _BUCKET.get(change.state) if change is not None else None
            if change is not None and name == "SUPPRESSED" and change.reason == "opt-out":
                name = "OPTED_OUT"
            found[name or ("CANCELLED" if self.ended else "WAITING")] += 1
        found["DUPLICATE"] = self.rows - len(self.people)
        found["INVALID"] = self.bad
        return +found


def account(rig: Rig, campaign_id: str) -> Account:
    """Read anew from the beginning."""
    files: dict[str, AudienceFile] = {}
    slices: dict[tuple[str, bytes, int, int], list[bytes]] = {}
    campaigns: dict[str, campaigns_pb2.Campaign] = {}
    found = Account()

    def take(record: Record) -> None:
        value = record.value or b""
        if record.topic == topics.AUDIENCE.name:
            try:
                piece = AudienceSlice.FromString(value)
            except DecodeError:
                return
            key = (piece.audience_id, piece.attempt, record.partition, piece.number)
            slices.setdefault(key, [one.person for one in piece.recipients])
        elif record.topic == topics.CAMPAIGN.name:
            decision = CampaignDecision.FromString(value)
            if decision.HasField("audience") and not decision.code:
                files.setdefault(decision.audience.audience_id, decision.audience)
            if decision.HasField("campaign") and not decision.code:
                campaigns[decision.campaign.campaign_id] = decision.campaign
        else:
            for change in events_pb2.StatusRecord.FromString(value).changes:
                if change.campaign_id == campaign_id and not change.correction:
                    found.last[change.person] = change
                    found.ids.setdefault(change.person, set()).add(change.message_id)

    with Scan(rig.parts.kafka, [topics.MESSAGE_STATUS, topics.CAMPAIGN, topics.AUDIENCE]) as scan:
        scan.advance(take)
    campaign = campaigns[campaign_id]
    file = files[campaign.plan.audience.upload]
    for (audience_id, attempt, _, _), people in slices.items():
        if (audience_id, attempt) == (file.audience_id, file.attempt):
            found.rows += len(people)
            found.people.update(people)
    found.bad = sum(file.bad_rows.values())
    found.ended = campaign.state in (
        campaigns_pb2.CAMPAIGN_STATE_CANCELLED,
        campaigns_pb2.CAMPAIGN_STATE_RECALLED,
    )
    return found


def agrees(rig: Rig, office: Office, campaign_id: str, rows: int) -> Counter[str]:
    """Holds what a campaign says of itself against the account, when both have come to rest: each
    of `rows` is in one bucket, and nobody has two messages. Gives the buckets."""
    told: campaigns_pb2.GetCampaignResponse = again(lambda: office.get(campaign_id))

    def same() -> bool:
        nonlocal told
        counted = account(rig, campaign_id)
        told = again(lambda: office.get(campaign_id))
        return by_bucket(told.buckets) == counted.buckets()

    try:
        wait_until(same, 20, 0.5)
    finally:
        counted = account(rig, campaign_id)
        assert by_bucket(told.buckets) == counted.buckets()
    assert told.recipients == sum(counted.buckets().values()) == rows
    assert all(len(ids) == 1 for ids in counted.ids.values()), "two messages for one person"
    assert set(counted.last) <= counted.people, "a message to somebody who is not meant"
    return counted.buckets()
