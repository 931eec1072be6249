"""A made-up log of a campaign, for the tests of its report: small, and the same every time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    AudienceSlice,
    BucketCount,
    Campaign,
    CampaignCommand,
    CampaignDecision,
    CampaignDeed,
    CampaignPlan,
    CampaignText,
    Recipient,
    Rehearsal,
    Rehearse,
    Start,
)
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.broadcast import messages
from services.runtime import ids
from services.runtime.topics import (
    AUDIENCE,
    CAMPAIGN,
    CAMPAIGN_COMMAND,
    CASE,
    MESSAGE_STATUS,
    Topic,
)
from services.tools.reports.facts import Facts, Made
from services.tools.reports.folding import Fold

CAMPAIGN_ID = ids.derive("campaign", "report")
FILE_ID = ids.derive("audience", "report")
T0 = 1_795_330_800_000
"""22 November 2026, 07:00 UTC."""
SECOND = 1_000
WAITING, DUPLICATE = campaigns_pb2.BUCKET_WAITING, campaigns_pb2.BUCKET_DUPLICATE


@dataclass(slots=True)
class Written:
    """A record of the log. `epoch`: of a decision log."""

    topic: Topic
    partition: int
    message: Message
    epoch: int = 0


@dataclass(slots=True)
class Log:
    """What was written, in order."""

    records: list[Written] = field(default_factory=list)
    asked: int = 0

    def decide(
        self,
        campaign: Campaign,
        at_ms: int,
        action: CampaignCommand | None = None,
        subject: str = "",
        refused: str = "",
    ) -> None:
        """A decision, and the command that asked for it where one did."""
        self.asked += 1
        name = f"command-{self.asked}"
        if action is not None:
            action.campaign_id = CAMPAIGN_ID
            action.envelope.CopyFrom(
                common_pb2.CommandEnvelope(command_id=name, subject=subject, asked_ms=at_ms)
            )
            self.records.append(Written(CAMPAIGN_COMMAND, 1, action))
        decision = CampaignDecision(command_id=name, decided_ms=at_ms)
        if refused:
            decision.code, decision.message = 9, refused
        else:
            decision.campaign.CopyFrom(campaign)
        self.records.append(Written(CAMPAIGN, 1, decision))

    def status(
        self, at_ms: int, changes: Sequence[MessageChange], partition: int = 0, epoch: int = 0
    ) -> None:
        """A record of the status log."""
        record = StatusRecord(changes=changes, decided_ms=at_ms)
        self.records.append(Written(MESSAGE_STATUS, partition, record, epoch))

    def fold(self, campaign_id: str = CAMPAIGN_ID) -> Fold:
        """All of it, folded."""
        fold = Fold(campaign_id)
        for one in self.records:
            give(fold, one)
        return fold

    def facts(self, at_ms: int = T0 + 3_600_000) -> Facts:
        """What it comes to."""
        through = {MESSAGE_STATUS.name: {0: 7, 1: 3}, CAMPAIGN.name: {1: 9}}
        return self.fold().facts(Made(at_ms, through, len(self.records)))


def give(fold: Fold, one: Written) -> None:
    """Has a fold take up a record."""
    match one.message:
        case StatusRecord():
            fold.status(one.message, one.partition, one.epoch)
        case CampaignDecision():
            fold.decision(one.message)
        case CampaignCommand():
            fold.command(one.message)
        case AudienceSlice():
            fold.audience(one.message, one.partition)


def change(
    who: int,
    state: messages.State,
    attempt: int = 1,
    reason: str = "",
    carrier: str = "north",
    correction: bool = False,
    campaign_id: str = CAMPAIGN_ID,
) -> MessageChange:
    """The next state of somebody's message. Even numbers read Arabic."""
    return MessageChange(
        message_id=ids.derive("message", str(who), str(correction), campaign_id),
        state=state,
        attempt=attempt,
        reason=reason,
        carrier=carrier,
        parts=2,
        language="en" if who % 2 else "ar",
        campaign_id=campaign_id,
        correction=correction,
        drill=True,
    )


def plan(**given: object) -> CampaignPlan:
    """What the campaign says, to whom, when."""
    fields = {
        "name": "ملاجئ الشمال (North)",
        "agency": "ncema",
        "kind": events_pb2.CAMPAIGN_KIND_INFORMATION,
        "drill": True,
        "audience": Audience(upload=FILE_ID),
        "texts": [
            CampaignText(language="ar", template="الملجأ {place} مفتوح"),
            CampaignText(language="en", template="Shelter {place} is open"),
        ],
        "corrections": [CampaignText(language="ar", template="تصحيح: الملجأ مغلق")],
        "language": "ar",
        "expires_ms": T0 + 7_200_000,
        **given,
    }
    return CampaignPlan(**fields)  # type: ignore[arg-type]


def rehearsal(people: int, duplicates: int = 1) -> Rehearsal:
    """What was found of so many people, half of whom read Arabic."""
    halves = (("ar", people - people // 2), ("en", people // 2))
    buckets = [
        BucketCount(
            bucket=WAITING, language=code, carrier="north", recipients=count, parts=2 * count
        )
        for code, count in halves
        if count
    ]
    if duplicates:
        buckets.append(BucketCount(bucket=DUPLICATE, recipients=duplicates))
    return Rehearsal(hash=b"h" * 32, rehearsed_ms=T0 + 20 * SECOND, buckets=buckets)


def prepared(people: int, **given: object) -> tuple[Log, Campaign]:
    """A campaign that was made, rehearsed, approved by another, and started at T0 + 60 s."""
    log = Log()
    recipients = [Recipient(person=bytes([n]) * 16, line=n + 2) for n in range(people + 1)]
    for number, some in enumerate((recipients[: people // 2], recipients[people // 2 :])):
        piece = AudienceSlice(audience_id=FILE_ID, number=number, recipients=some)
        log.records += [Written(AUDIENCE, 0, piece), Written(AUDIENCE, 0, piece)]
    file = AudienceFile(
        audience_id=FILE_ID,
        name="list.csv",
        recipients=people + 1,
        bad_rows={"too-short": 2},
        uploaded=CampaignDeed(subject="maryam", done_ms=T0),
    )
    log.records.append(
        Written(CAMPAIGN, 0, CampaignDecision(command_id="f", decided_ms=T0, audience=file))
    )
    campaign = Campaign(
        campaign_id=CAMPAIGN_ID,
        version=1,
        revision=1,
        state=campaigns_pb2.CAMPAIGN_STATE_DRAFT,
        plan=plan(**given),
        made=CampaignDeed(subject="maryam", done_ms=T0),
    )
    log.decide(campaign, T0, CampaignCommand(create=campaign.plan), "maryam")
    campaign.state, campaign.revision = campaigns_pb2.CAMPAIGN_STATE_REHEARSING, 2
    log.decide(campaign, T0 + 10 * SECOND, CampaignCommand(rehearse=Rehearse()), "maryam")
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_REHEARSED
    campaign.rehearsal.CopyFrom(rehearsal(people))
    log.decide(campaign, T0 + 20 * SECOND)
    log.decide(
        campaign,
        T0 + 30 * SECOND,
        CampaignCommand(approve=b"h" * 32),
        "maryam",
        refused="who made or last changed a campaign can't approve it: ask somebody else",
    )
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_APPROVED
    campaign.approved.CopyFrom(CampaignDeed(subject="khalid", done_ms=T0 + 40 * SECOND))
    log.decide(campaign, T0 + 40 * SECOND, CampaignCommand(approve=b"h" * 32), "khalid")
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_RUNNING
    campaign.started.CopyFrom(CampaignDeed(subject="maryam", done_ms=T0 + 60 * SECOND))
    log.decide(campaign, T0 + 60 * SECOND, CampaignCommand(start=Start()), "maryam")
    return log, campaign


def eventful() -> Log:
    """Twelve people and everything that may happen: a pause, a takeover, failures, a brake, a
    recall."""
    log, campaign = prepared(12)
    m = messages
    second = T0 + 61 * SECOND
    log.status(second, [change(who, m.CLAIMED) for who in range(6)])
    log.status(second + 400, [change(who, m.SUBMITTED) for who in range(4)])
    log.status(second + 400, [change(4, m.RELEASED, reason="throttled")])
    log.status(second + 900, [change(who, m.DELIVERED) for who in range(3)])
    log.status(second + 2_500, [change(3, m.FAILED, reason="undeliverable")])
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_PAUSED
    campaign.paused.CopyFrom(CampaignDeed(subject="maryam", done_ms=T0 + 70_000, reason="تأكد"))
    log.decide(campaign, T0 + 70_000, CampaignCommand(pause="تأكد"), "maryam")
    campaign.state, campaign.revision = campaigns_pb2.CAMPAIGN_STATE_RUNNING, 3
    campaign.ClearField("paused")
    log.decide(campaign, T0 + 90_000, CampaignCommand(resume="تم"), "maryam")
    # Another process; what the first had claimed may be with the carrier.
    log.status(T0 + 95_000, [change(5, m.UNKNOWN, reason="takeover")], epoch=40)
    log.status(T0 + 96_000, [change(4, m.CLAIMED, 2, carrier="south")], epoch=40)
    log.status(T0 + 96_300, [change(4, m.SUBMITTED, 2, carrier="south")], epoch=40)
    log.status(T0 + 99_000, [change(4, m.DELIVERED, 2, carrier="south")], epoch=40)
    log.status(
        T0 + 99_000,
        [
            change(6, m.SUPPRESSED, 0, "opt-out", ""),
            change(7, m.SUPPRESSED, 0, "frequency-cap", ""),
            change(8, m.EXPIRED, 0, "expired", ""),
        ],
        epoch=40,
    )
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_PAUSED
    campaign.paused.CopyFrom(CampaignDeed(subject="brake", done_ms=T0 + 100_000))
    log.decide(campaign, T0 + 100_000)
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_RECALLED
    campaign.ended.CopyFrom(CampaignDeed(subject="khalid", done_ms=T0 + 120_000, reason="مغلق"))
    log.decide(campaign, T0 + 120_000, CampaignCommand(recall="مغلق"), "khalid")
    log.status(T0 + 121_000, [change(0, m.CLAIMED, correction=True)], epoch=40)
    log.status(T0 + 121_200, [change(0, m.SUBMITTED, correction=True)], epoch=40)
    log.status(T0 + 122_000, [change(0, m.DELIVERED, correction=True)], epoch=40)
    return log


def comparing(began_ms: int) -> tuple[str, Log]:
    """The id and the log of a campaign that began then: sent to people 0 to 5, while 6 to 9 were
    held back."""
    name = ids.derive("campaign", "comparing")
    campaign = Campaign(campaign_id=name, version=1, state=campaigns_pb2.CAMPAIGN_STATE_RUNNING)
    campaign.plan.CopyFrom(plan(held_back=0.4))
    campaign.made.CopyFrom(CampaignDeed(subject="maryam", done_ms=began_ms))
    campaign.started.CopyFrom(CampaignDeed(subject="maryam", done_ms=began_ms))
    log = Log()
    log.decide(campaign, began_ms)
    m = messages
    kept = [change(who, m.SUPPRESSED, 0, "held-back", "", campaign_id=name) for who in range(6, 10)]
    sent = [change(who, m.CLAIMED, campaign_id=name) for who in range(6)]
    for who, one in enumerate((*sent, *kept)):
        one.person = bytes([who]) * 16
    log.status(began_ms, [*sent, *kept])
    return name, log


def rings(who: int, at_ms: int, epoch: int = 0) -> Written:
    """Somebody calls: the decision on their case."""
    decision = dedup.CaseDecision(change=dedup.CASE_CHANGE_OPENED)
    decision.case.person = bytes([who]) * 16
    decision.link.contact_id = ids.derive("contact", str(who), str(at_ms))
    decision.link.event_ms, decision.link.channel = at_ms, common_pb2.CHANNEL_VOICE
    return Written(CASE, 0, decision, epoch)


def histories(steps: Sequence[tuple[int, int]], people: int) -> Iterator[tuple[int, MessageChange]]:
    """(who, change) of messages that go where the table of states lets them: `steps` say who, and
    which of the possible states."""
    states = dict.fromkeys(range(people), messages.QUEUED)
    attempts = dict.fromkeys(range(people), 0)
    resends = dict.fromkeys(range(people), 0)
    reasons = {messages.SUPPRESSED: "opt-out", messages.FAILED: "blocked"}
    for who, choice in steps:
        possible = sorted(messages.NEXT[states[who]])
        if not possible:
            continue
        state = possible[choice % len(possible)]
        resends[who] += (states[who], state) == (messages.UNKNOWN, messages.CLAIMED)
        states[who] = state
        attempts[who] += state == messages.CLAIMED
        one = change(who, state, attempts[who], reasons.get(state, ""))
        one.resend = resends[who]
        yield who, one
