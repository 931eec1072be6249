"""Goes through a campaign's recipients of one partition as sending would, and sends nothing."""

import asyncio
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import TypeAlias

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Campaign,
    CampaignShare,
    FieldGap,
    Recipient,
    RecipientSample,
)

from services.broadcast.campaigns.counts import Key, costs, counted
from services.broadcast.campaigns.holding import HELD_BACK
from services.broadcast.campaigns.people import FIELD_MISSING, Judged, People
from services.broadcast.campaigns.tally import bucket_of
from services.broadcast.campaigns.terms import Terms
from services.broadcast.campaigns.walk import Walk
from services.broadcast.messages import EXPIRED, SUPPRESSED
from services.broadcast.rules.judge import Defer, Suppress, Verdict
from services.broadcast.texts.fields import FieldError, TooLong
from services.runtime.privacy import mask

_YIELD_EVERY = 50
_SAMPLES = 2
_Gap: TypeAlias = tuple[str, str, bool, bool]
"""Field, language, whether its value is too long, whether the text is the correction."""


async def rehearsed(
    campaign: Campaign,
    partition: int,
    walk: Walk,
    people: People,
    terms: Terms,
    verdict: Callable[[Recipient, Judged], Verdict],
    correcting: People | None = None,
) -> CampaignShare:
    """The partition's share: where every recipient would begin; who would wait at first waits with
    the reason. `terms`: what is asked here; `verdict`: what the sending rules say of one at the
    start; `correcting`: of the campaign's correction, None when it has none. Raises Away.
    """
    recipients, parts = Counter[Key](), Counter[Key]()
    digest, met, count = sha256(), set[bytes](), 0
    samples: dict[str, RecipientSample] = {}
    gaps, languages = Counter[_Gap](), Counter[str]()
    # By language, whether who can be told the one can be told the other.
    both: dict[str, bool] = {}
    async for some in walk.recipients():
        for one in some:
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            digest.update(one.person)
            if one.person in met:
                recipients[campaigns_pb2.BUCKET_DUPLICATE, "", "", ""] += 1
                continue
            met.add(one.person)
            judged = people.judged(one)
            key = _place(judged, None if judged.reason else verdict(one, judged))
            recipients[key] += 1
            digest.update(repr((key, judged.parts, judged.text)).encode())
            if judged.reason == FIELD_MISSING:
                gaps.update(_gap(error, False) for error in people.gaps(one))
            if key[0] == campaigns_pb2.BUCKET_WAITING:
                languages[one.language] += 1
                if correcting is not None:
                    if one.language not in both:
                        both[one.language] = people.fills(correcting, one.language)
                    if not both[one.language]:
                        gaps.update(_gap(error, True) for error in correcting.gaps(one))
                parts[key] += judged.parts
                # One of a language. Its text has a person's fields, and shares stand in the log.
                if judged.language not in samples and len(samples) < _SAMPLES:
                    samples[judged.language] = RecipientSample(
                        masked_number=mask(judged.number),
                        language=judged.language,
                        parts=judged.parts,
                    )
    return CampaignShare(
        partition=partition,
        revision=campaign.revision,
        stage=campaigns_pb2.SHARE_STAGE_REHEARSED,
        buckets=counted(recipients, parts),
        digest=digest.digest(),
        samples=samples.values(),
        cost_milli=costs(parts, terms.prices),
        terms=terms.digest,
        gaps=[
            FieldGap(
                field=field,
                language=language,
                recipients=gaps[field, language, too_long, correction],
                too_long=too_long,
                correction=correction,
            )
            for field, language, too_long, correction in sorted(gaps)
        ],
        without_text={
            language: many for language, many in languages.items() if people.lacks_text(language)
        },
    )


def _gap(error: FieldError, correction: bool) -> _Gap:
    return error.field, error.language, isinstance(error, TooLong), correction


def _place(judged: Judged, verdict: Verdict | None) -> Key:
    reason = judged.reason
    if isinstance(verdict, Suppress):
        reason = verdict.reason
    elif judged.held:
        reason = HELD_BACK
    if reason:
        state = EXPIRED if reason == "expired" else SUPPRESSED
        return bucket_of(state, reason), str(reason), judged.language, ""
    later = str(verdict.reason) if isinstance(verdict, Defer) else ""
    return campaigns_pb2.BUCKET_WAITING, later, judged.language, judged.carrier
