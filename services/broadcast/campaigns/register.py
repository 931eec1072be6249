"""The campaigns of one partition: one decision for each command, and what the log makes of them.
Pure, deterministic.

A decision states the campaign as it is afterwards, so that folding is taking over what it says;
what today's rules would say of it does not matter. The same command again gets its first outcome.
"""

from collections import OrderedDict
from uuid import UUID

from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    Campaign,
    CampaignCommand,
    CampaignDecision,
)
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.life import Refused, Shares, done
from services.broadcast.campaigns.terms import Terms
from services.runtime.errors import Poison
from services.runtime.topics import partition_of

NONE = -1
MOST_OUTCOMES = 20_000
"""Outcomes that are remembered, about 200 bytes each. A command that comes again later finds a
campaign that has moved on, and is refused."""


def partition_of_campaign(campaign_id: str, partitions: int) -> int:
    """Where a campaign, or a file of recipients, is decided on."""
    return partition_of(bytes.fromhex(campaign_id.replace("-", "")), partitions)


def command_of(value: bytes, partition: int, partitions: int) -> CampaignCommand:
    """A command that stands in `partition` of the topic. Raises Poison for what nobody who may
    write there wrote, whose decision could say nothing true."""
    try:
        command = CampaignCommand.FromString(value)
    except DecodeError as error:
        raise Poison("not a command of a campaign") from error
    if command.WhichOneof("action") is None or not command.envelope.command_id:
        raise Poison("a command without id, or without an action that this version knows")
    name = command.campaign_id
    try:
        here = str(UUID(name)) == name and partition_of_campaign(name, partitions) == partition
    except ValueError:
        here = False
    if not here:
        raise Poison("a command for no campaign of this partition")
    if command.HasField("audience") and command.audience.audience_id != name:
        raise Poison("a file of recipients under another's id")
    if command.HasField("share") and not 0 <= command.share.partition < partitions:
        raise Poison("a share of no partition")
    return command


class Register:
    """All campaigns of a partition. `partitions`: of the whole service, each of which states its
    share. `terms`: what is in force now."""

    def __init__(self, partitions: int, terms: Terms) -> None:
        self.partitions = partitions
        self._terms = terms
        self._campaigns: dict[str, Campaign] = {}
        self._audiences: dict[str, AudienceFile] = {}
        self._shares: dict[str, Shares] = {}
        self._outcomes: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self.decided: dict[str, int] = {}
        """By topic, the offset of the last command that is decided."""

    def get(self, campaign_id: str) -> Campaign | None:
        """A campaign as it stands."""
        return self._campaigns.get(campaign_id)

    def decide(
        self, command: CampaignCommand, at: common_pb2.Input, now_ms: int
    ) -> CampaignDecision:
        """Decides on a command, and takes the decision up."""
        command_id = command.envelope.command_id
        decision = CampaignDecision(input=at, command_id=command_id, decided_ms=now_ms)
        before = self.get(command.campaign_id)
        if (told := self._outcomes.get(command_id)) is not None:
            decision.code, decision.message = told
            if before is not None:
                decision.campaign.CopyFrom(before)
            known = self._audiences.get(command.campaign_id)
            if known is not None and not decision.code:
                decision.audience.CopyFrom(known)
        else:
            try:
                if command.HasField("audience"):
                    decision.audience.CopyFrom(self._audience(command.audience))
                else:
                    decision.campaign.CopyFrom(self._done(before, command, decision, now_ms))
            except Refused as refused:
                decision.code, decision.message = refused.code, str(refused)
        self._take(decision)
        return decision

    def _done(
        self,
        before: Campaign | None,
        command: CampaignCommand,
        decision: CampaignDecision,
        now_ms: int,
    ) -> Campaign:
        shares = self._shares.setdefault(command.campaign_id, Shares())
        if before is not None and command.HasField("share"):
            decision.share.CopyFrom(command.share)
            shares.take(command.share, before.revision)
        return done(before, command, shares, self.partitions, self._terms, now_ms)

    def _audience(self, audience: AudienceFile) -> AudienceFile:
        known = self._audiences.get(audience.audience_id)
        if known is not None and _read_as(known) != _read_as(audience):
            raise Refused(
                code_pb2.ALREADY_EXISTS,
                "this request_id brought another file: use a new one",
            )
        return known or audience

    def fold(self, decision: CampaignDecision) -> None:
        """Takes up a decision of the log, in order of offset."""
        if decision.HasField("share"):
            shares = self._shares.setdefault(decision.campaign.campaign_id, Shares())
            shares.take(decision.share, decision.campaign.revision)
        self._take(decision)

    def _take(self, decision: CampaignDecision) -> None:
        if not decision.code:
            if decision.HasField("campaign"):
                self._campaigns[decision.campaign.campaign_id] = decision.campaign
            if decision.HasField("audience"):
                self._audiences.setdefault(decision.audience.audience_id, decision.audience)
        self._outcomes.setdefault(decision.command_id, (decision.code, decision.message))
        while len(self._outcomes) > MOST_OUTCOMES:
            self._outcomes.popitem(last=False)
        at = decision.input
        self.decided[at.topic] = max(at.offset, self.decided.get(at.topic, NONE))


def _read_as(file: AudienceFile) -> AudienceFile:
    """What a file is and was read as, whenever and by which attempt it came. Of a query, what was
    asked: another moment finds others, and the first one counts."""
    if file.query:
        return AudienceFile(name=file.name, agency=file.agency, drill=file.drill, query=file.query)
    read = AudienceFile()
    read.CopyFrom(file)
    for name in ("spans", "uploaded", "attempt", "columns"):
        read.ClearField(name)
    return read
