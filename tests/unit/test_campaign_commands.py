"""What counts as a command of a campaign, and in which partition it is taken."""

import pytest
from mawja.broadcast.v1.campaigns_pb2 import AudienceFile, CampaignCommand, CampaignShare, Start
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.register import command_of, partition_of_campaign
from services.runtime import ids
from services.runtime.errors import Poison
from tests.campaign_office import CAMPAIGN_ID, PARTITIONS

HERE = partition_of_campaign(CAMPAIGN_ID, PARTITIONS)
ENVELOPE = common_pb2.CommandEnvelope(command_id="c")


def test_a_command_is_taken_where_its_campaign_is() -> None:
    command = CampaignCommand(campaign_id=CAMPAIGN_ID, envelope=ENVELOPE, start=Start())
    assert command_of(command.SerializeToString(), HERE, PARTITIONS) == command


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xff",
        CampaignCommand(campaign_id=CAMPAIGN_ID, envelope=ENVELOPE).SerializeToString(),
        CampaignCommand(campaign_id=CAMPAIGN_ID, start=Start()).SerializeToString(),
        CampaignCommand(
            campaign_id="no uuid", envelope=ENVELOPE, start=Start()
        ).SerializeToString(),
        CampaignCommand(
            campaign_id=CAMPAIGN_ID.upper(), envelope=ENVELOPE, start=Start()
        ).SerializeToString(),
        *(
            CampaignCommand(
                campaign_id=CAMPAIGN_ID,
                envelope=ENVELOPE,
                share=CampaignShare(partition=partition),
            ).SerializeToString()
            for partition in (-1, PARTITIONS)
        ),
        CampaignCommand(
            campaign_id=CAMPAIGN_ID,
            envelope=ENVELOPE,
            audience=AudienceFile(audience_id=ids.derive("audience", "other")),
        ).SerializeToString(),
    ],
)
def test_what_is_no_command_is_set_aside(value: bytes) -> None:
    with pytest.raises(Poison):
        command_of(value, HERE, PARTITIONS)


def test_a_command_in_anothers_partition_is_set_aside() -> None:
    command = CampaignCommand(campaign_id=CAMPAIGN_ID, envelope=ENVELOPE, start=Start())
    with pytest.raises(Poison):
        command_of(command.SerializeToString(), (HERE + 1) % PARTITIONS, PARTITIONS)
