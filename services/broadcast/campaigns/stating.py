"""What one partition states to the owner of a campaign: that it has rehearsed its part, that
nothing more is to be done, that too many failed.

It goes as a command whose id is derived from campaign, revision, stage and partition, so that
whoever takes the partition over may state it again.
"""

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignCommand, CampaignShare
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.counts import placed
from services.broadcast.campaigns.life import CORRECTED, Stage
from services.broadcast.campaigns.register import partition_of_campaign
from services.broadcast.campaigns.tally import Tally
from services.runtime import ids
from services.runtime.clock import now_ms
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CAMPAIGN_COMMAND


class Statements:
    """Of one partition."""

    def __init__(
        self, partition: int, partitions: int, board: Board, tally: Tally, producer: Producer
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._board = board
        self._tally = tally
        self._producer = producer

    def share(self, campaign: Campaign, stage: Stage) -> CampaignShare:
        """Where the partition's recipients of a campaign are now."""
        name = campaign.campaign_id
        found = self._board.rehearsed.get((name, self._partition), CampaignShare())
        return CampaignShare(
            partition=self._partition,
            revision=campaign.revision,
            stage=stage,
            buckets=placed(found.buckets, self._tally.stated(name), ended=False),
            corrections=self._tally.stated(name, correction=True) if stage == CORRECTED else (),
        )

    def said(self, campaign: Campaign, stage: Stage) -> bool:
        """Whether it was stated of this revision."""
        key = (campaign.campaign_id, campaign.revision, stage, self._partition)
        return key in self._board.stated

    async def state(self, share: CampaignShare, campaign_id: str) -> None:
        """Tells the owner of the campaign. Raises Away."""
        command = CampaignCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.derive(
                    "campaign-share",
                    campaign_id,
                    str(share.revision),
                    str(share.stage),
                    str(share.partition),
                ),
                subject="broadcast",
                asked_ms=now_ms(),
            ),
            campaign_id=campaign_id,
            share=share,
        )
        sent = await self._producer.send(
            CAMPAIGN_COMMAND,
            partition_of_campaign(campaign_id, self._partitions),
            command.SerializeToString(),
        )
        await acknowledged([sent])
        self._board.stated.add((campaign_id, share.revision, share.stage, share.partition))
