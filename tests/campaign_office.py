"""A campaign's office for tests: what people and partitions ask, decided and folded."""

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    BucketCount,
    Campaign,
    CampaignCommand,
    CampaignDecision,
    CampaignPlan,
    CampaignShare,
    CampaignText,
    RecipientSample,
    Rehearse,
    Start,
)
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns import life
from services.broadcast.campaigns.register import Register
from services.broadcast.campaigns.terms import Terms
from services.runtime import ids

NOW = 1_800_000_000_000
LATER = NOW + 3_600_000
PARTITIONS = 3
CAMPAIGN_ID = ids.derive("campaign", "test")
TOPIC = "broadcast.campaign-command.v1"
MAKER, OTHER, THIRD = "maryam", "khalid", "noura"
TERMS = Terms(b"routes and rules", {"one": 3.0}, {})


def plan(**given: object) -> CampaignPlan:
    fields = {
        "name": "Shelter",
        "kind": events_pb2.CAMPAIGN_KIND_INFORMATION,
        "audience": Audience(upload=ids.derive("audience", "test")),
        "texts": [CampaignText(language="ar", template="الملجأ مفتوح")],
        "corrections": [CampaignText(language="ar", template="تصحيح: الملجأ مغلق")],
        "language": "ar",
        "expires_ms": LATER,
        **given,
    }
    return CampaignPlan(**fields)  # type: ignore[arg-type]


class Office:
    """Commands of people and partitions, decided and folded."""

    def __init__(self) -> None:
        self.register = Register(PARTITIONS, TERMS)
        self.log: list[CampaignDecision] = []
        self.asked = 0

    def do(self, subject: str = MAKER, now_ms: int = NOW, **action: object) -> CampaignDecision:
        self.asked += 1
        command_id = str(action.pop("command_id", ids.derive("command", str(self.asked))))
        command = CampaignCommand(
            campaign_id=CAMPAIGN_ID,
            envelope=common_pb2.CommandEnvelope(
                command_id=command_id, subject=subject, asked_ms=now_ms
            ),
            **action,  # type: ignore[arg-type]
        )
        at = common_pb2.Input(topic=TOPIC, offset=len(self.log))
        decision = CampaignDecision()
        decision.CopyFrom(self.register.decide(command, at, now_ms))
        self.log.append(decision)
        return decision

    def share(
        self,
        partition: int,
        stage: life.Stage = life.REHEARSAL,
        revision: int = 0,
        terms: bytes = TERMS.digest,
        **more: object,
    ) -> CampaignDecision:
        return self.do(
            subject="broadcast",
            share=CampaignShare(
                partition=partition,
                revision=revision or self.campaign.revision,
                stage=stage,
                buckets=[
                    BucketCount(
                        bucket=campaigns_pb2.BUCKET_WAITING,
                        language="ar",
                        carrier="one",
                        recipients=partition + 1,
                        parts=2,
                    )
                ],
                digest=bytes([partition]),
                cost_milli={"AED": 10},
                samples=[RecipientSample(masked_number="+999••••••42", language="ar", parts=2)],
                terms=terms,
                **more,  # type: ignore[arg-type]
            ),
        )

    def shares(self, stage: life.Stage = life.REHEARSAL) -> None:
        for partition in range(PARTITIONS):
            self.share(partition, stage)

    @property
    def campaign(self) -> Campaign:
        found = self.register.get(CAMPAIGN_ID)
        assert found is not None
        return found

    @property
    def state(self) -> life.State:
        return self.campaign.state

    def rehearsed(self) -> "Office":
        self.do(create=plan())
        self.do(rehearse=Rehearse())
        self.shares()
        return self

    def running(self) -> "Office":
        self.rehearsed()
        self.do(OTHER, approve=self.campaign.rehearsal.hash)
        self.do(start=Start())
        assert self.state == life.RUNNING
        return self
