"""What a rehearsal says of texts that some recipients can't be told."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Campaign,
    CampaignPlan,
    CampaignShare,
    CampaignText,
    FieldGap,
    Recipient,
)

from services.broadcast import routes
from services.broadcast.campaigns.life import gaps
from services.broadcast.campaigns.people import People
from services.broadcast.campaigns.rehearsing import rehearsed
from services.broadcast.campaigns.terms import terms_of
from services.broadcast.campaigns.walk import Walk
from services.broadcast.rules.judge import Go
from services.broadcast.rules.reading import read
from services.runtime import ids, privacy
from services.runtime.privacy import Keyring
from tests.broadcast_parts import ONE_CARRIER

NOW = 1_795_356_000_000
ROUTES = routes.parse(ONE_CARRIER, "carriers.yaml")
TERMS = terms_of(ROUTES, read(None))


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    privacy.create(tmp_path, NOW)
    return Keyring(tmp_path)


def texts(**by_language: str) -> list[CampaignText]:
    return [CampaignText(language=name, template=text) for name, text in by_language.items()]


async def share(keyring: Keyring, people: Sequence[tuple[str, str]], **plan: Any) -> CampaignShare:
    """`people`: language and fields of each."""
    rows = [
        Recipient(
            person=keyring.person(f"+99951234{number:04d}"),
            language=language,
            sealed_number=keyring.seal("number", f"+99951234{number:04d}", NOW),
            sealed_fields=keyring.seal("note", fields, NOW) if fields else b"",
        )
        for number, (language, fields) in enumerate(people)
    ]

    async def walked() -> AsyncIterator[Sequence[Recipient]]:
        yield rows

    campaign = Campaign(
        campaign_id=ids.derive("campaign", "rehearsed"),
        plan=CampaignPlan(drill=True, language="ar", expires_ms=NOW + 60_000, **plan),
    )
    return await rehearsed(
        campaign,
        0,
        cast(Walk, SimpleNamespace(recipients=walked)),
        People(campaign, keyring, ROUTES),
        TERMS,
        lambda one, judged: Go(),
        People(campaign, keyring, ROUTES, correction=True) if campaign.plan.corrections else None,
    )


async def test_each_placeholder_that_rows_lack_is_named_with_how_many(keyring: Keyring) -> None:
    found = await share(
        keyring,
        [
            *[("ar", '{"name": "Ali"}')] * 3,
            ("ar", '{"name": "Ali", "place": "' + "7" * 200 + '"}'),
            ("ar", ""),
            ("ar", '{"name": "Ali", "place": "7", "plase": "8"}'),
            ("en", '{"place": ""}'),
        ],
        texts=texts(ar="{name} {plase} {place} {place}", en="{place|here}"),
    )
    assert list(found.gaps) == [
        FieldGap(field="name", language="ar", recipients=1),
        FieldGap(field="place", language="ar", recipients=4),
        FieldGap(field="place", language="ar", recipients=1, too_long=True),
        FieldGap(field="plase", language="ar", recipients=5),
    ]
    by_reason = {(one.reason, one.language): one.recipients for one in found.buckets}
    assert by_reason == {("field-missing", "ar"): 5, ("", "ar"): 1, ("", "en"): 1}


async def test_a_correction_that_could_not_be_said_is_told_before_it_is_needed(
    keyring: Keyring,
) -> None:
    rows = [*[("ar", '{"place": "7"}')] * 3, ("en", '{"place": "7", "shelter": "9"}'), ("en", "")]
    found = await share(
        keyring,
        rows,
        texts=texts(ar="{place}", en="{place|here}"),
        corrections=texts(ar="{place} {shelter}", en="{place}"),
    )
    assert list(found.gaps) == [
        FieldGap(field="place", language="en", recipients=1, correction=True),
        FieldGap(field="shelter", language="ar", recipients=3, correction=True),
    ]
    assert {one.bucket for one in found.buckets} == {campaigns_pb2.BUCKET_WAITING}
    fits = await share(
        keyring, rows[:3], texts=texts(ar="{place}"), corrections=texts(ar="{place} {place|x}")
    )
    assert not fits.gaps


async def test_who_has_no_text_is_told_by_the_language_that_is_theirs(keyring: Keyring) -> None:
    found = await share(
        keyring,
        [("ar-AE", ""), ("ur", ""), ("ur", ""), ("", ""), ("hi", "")],
        texts=texts(ar="نص"),
    )
    assert dict(found.without_text) == {"ur": 2, "hi": 1}


def test_what_all_partitions_lack_is_added_up() -> None:
    def gap(recipients: int, too_long: bool = False) -> FieldGap:
        return FieldGap(field="place", language="ar", recipients=recipients, too_long=too_long)

    some = [
        CampaignShare(gaps=[gap(2), gap(5, too_long=True)]),
        CampaignShare(),
        CampaignShare(gaps=[gap(3)]),
    ]
    assert list(gaps(some)) == [gap(5), gap(5, too_long=True)]
    assert some[0].gaps[0].recipients == 2, "what a partition stated stays as it is"


@pytest.mark.parametrize(
    ("text", "correction", "fills"),
    [
        ("{place}", "{place}", True),
        ("{place}", "{place|x}", True),
        ("{place|x}", "{place|y}", True),
        ("{place|x} {place}", "{place}", True),
        ("{place|x}", "{place}", False),
        ("{place}", "{shelter|x}", False),
        ("{place}", "", True),
    ],
)
def test_rows_are_asked_again_only_for_what_the_text_did_not_take(
    keyring: Keyring, text: str, correction: str, fills: bool
) -> None:
    """Each asking opens a row's seal once more: of a million it takes seconds."""
    plan = CampaignPlan(
        language="ar", texts=texts(ar=f"ن {text}"), corrections=texts(ar=f"ن {correction}")
    )
    campaign = Campaign(plan=plan)
    own, other = (People(campaign, keyring, ROUTES, corrects) for corrects in (False, True))
    assert own.fills(other, "ar") is fills
