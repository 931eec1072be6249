"""A campaign as the service tells it, and what a terminal shows of it."""

import io
from datetime import timedelta, timezone

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BucketCount,
    Campaign,
    CampaignDeed,
    CampaignPlan,
    CampaignText,
)
from rich.console import Console, RenderableType

GULF = timezone(timedelta(hours=4), "+04")
AT = 1_795_356_000_000  # 2026-11-22 18:00 in the Gulf
ID = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"
NASTY = "ملاجئ\u202e\x1b[2J\nline ‮two\u2066 é"


def count(bucket: int, recipients: int, reason: str = "", parts: int = 0) -> BucketCount:
    return BucketCount(
        bucket=bucket,  # type: ignore[arg-type]
        reason=reason,
        language="ar",
        carrier="one",
        recipients=recipients,
        parts=parts,
    )


WAITING, UNDER_WAY, DELIVERED, FAILED, UNKNOWN = (
    campaigns_pb2.BUCKET_WAITING,
    campaigns_pb2.BUCKET_UNDER_WAY,
    campaigns_pb2.BUCKET_DELIVERED,
    campaigns_pb2.BUCKET_FAILED,
    campaigns_pb2.BUCKET_UNKNOWN,
)


def campaign(state: int = campaigns_pb2.CAMPAIGN_STATE_RUNNING, **given: object) -> Campaign:
    by = CampaignDeed(subject="maryam", done_ms=AT)
    return Campaign(
        campaign_id=ID,
        state=state,  # type: ignore[arg-type]
        plan=CampaignPlan(
            name=NASTY,
            drill=True,
            language="ar",
            expires_ms=AT + 3_600_000,
            texts=[CampaignText(language="ar", template="سطر\nsecond \x1b[31mline")],
        ),
        made=by,
        changed=by,
        **given,  # type: ignore[arg-type]
    )


def printed(*some: RenderableType, width: int = 40) -> list[str]:
    to = io.StringIO()
    Console(file=to, width=width, force_terminal=False).print(*some, sep="\n")
    return to.getvalue().splitlines()
