"""A campaign over each carrier that takes whole messages, with broadcast killed meanwhile and after
everything that those carriers do: nobody is written to twice, the sums are exact, what a carrier
has is delivered. What no carrier has, though it was claimed, stays unknown and is never sent."""

from collections import Counter
from pathlib import Path

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignText

from services.local.parts import Parts
from services.local.supervised import RestartPolicy
from tests.broadcast_rig import drilled, numbers, wait_until
from tests.campaigns_rig import MAKER, OTHER, Office, account, again, agrees, plan
from tests.faults.crashing import CODE, GO, command
from tests.faults.points import WHOLE
from tests.faults.sending import left_by_a_kill
from tests.whole_rig import (
    AGGREGATOR,
    BUREAU,
    SLOWLY,
    WHATSAPP,
    Bringing,
    Whole,
    whole_running,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
CARRIERS = {"aggregator": AGGREGATOR, "whatsapp": WHATSAPP, "bureau": BUREAU}
ARABIC = (
    "الملجأ رقم {place} مفتوح الآن 🏠. توجهوا إليه من الطريق الشمالي، وابتعدوا عن الأودية ومجاري "
    "السيول. خذوا معكم الدواء والماء وبطاقة الهوية، وساعدوا جيرانكم من كبار السن. "
    "سنكتب إليكم حين يزول الخطر 💧👨‍👩‍👧‍👦."
)
ENGLISH = "Shelter {place} is open now 🏠 [€]. Take the northern road, and keep away from wadis."
TEMPLATES = {"ar": ARABIC, "en": ENGLISH}


def people_of(prefix: str, count: int) -> dict[str, tuple[str, str]]:
    """By number: language, and the text that it should get."""
    return {
        number: (language, drilled(TEMPLATES[language].format(place=place)))
        for place, (number, language) in enumerate(
            zip(numbers(prefix, count), ("ar", "en") * count, strict=False)
        )
    }


Campaigns = dict[str, tuple[str, dict[str, tuple[str, str]]]]


def begun(maker: Office, other: Office, count: int) -> Campaigns:
    """By carrier: the id of a campaign that goes to `count` of its people, and they. All begin
    together."""
    made: Campaigns = {}
    texts = [CampaignText(language=name, template=text) for name, text in TEMPLATES.items()]
    for carrier, prefix in CARRIERS.items():
        people = people_of(prefix, count)
        rows = [f"{number},{one[0]},{place}" for place, (number, one) in enumerate(people.items())]
        content = "\n".join(["number,language,place", *rows]).encode()
        wanted = plan(maker.upload(content).audience_id, texts=texts)
        campaign_id = maker.create(wanted).campaign_id
        other.approve(maker.rehearsed(campaign_id))
        made[carrier] = campaign_id, people
    for campaign_id, _ in made.values():
        maker.do("Start", campaign_id)
    return made


def hold(
    whole: Whole,
    maker: Office,
    bringing: Bringing,
    campaigns: Campaigns,
) -> Counter[str]:
    """The account of each campaign and its carrier's own, when both have come to rest. Gives how
    many were delivered and how many nobody knows of."""
    rest: Counter[str] = Counter()
    for carrier, (campaign_id, people) in campaigns.items():
        again(lambda campaign_id=campaign_id: maker.until(campaign_id, COMPLETED), 120)  # type: ignore[misc]

        def settled(carrier: str = carrier, campaign_id: str = campaign_id) -> bool:
            found = account(whole.rig, campaign_id).buckets()
            return found["UNDER_WAY"] == 0 and found["DELIVERED"] == len(bringing.texts(carrier))

        wait_until(settled, 60, 0.5)
        found = agrees(whole.rig, maker, campaign_id, len(people))
        assert found.keys() <= {"DELIVERED", "UNKNOWN"}
        got = bringing.texts(carrier)
        assert got == {number: people[number][1] for number in got}, "letter for letter"
        last = account(whole.rig, campaign_id).last
        for number in people:
            change = last[whole.rig.keyring.person(number)]
            delivered = change.state != whole.rig.ledger.UNKNOWN
            assert delivered == (number in got)
            assert delivered or change.reason == "takeover"
        rest += found
    return rest


def test_kill_9_in_the_middle_of_a_campaign_over_each_carrier(parts: Parts) -> None:
    pace = {"aggregator": 240, "whatsapp": 80, "bureau": 240}
    with whole_running(parts, "whole-kill", pace) as whole:
        whole.rig.replica.process.policy = RestartPolicy(factor=1.0)
        whole.aggregator.usual = whole.whatsapp.usual = SLOWLY
        maker, other = Office(whole.rig.system, MAKER), Office(whole.rig.system, OTHER)
        bringing = Bringing(whole)
        with bringing.running():
            campaigns = begun(maker, other, 300)
            wait_until(
                lambda: all(len(bringing.texts(carrier)) >= 60 for carrier in CARRIERS), 60, 0.02
            )
            outstanding = left_by_a_kill(whole.rig)
            assert outstanding > 0, "it was not killed in the middle of anything"
            assert all(len(bringing.texts(carrier)) < 300 for carrier in CARRIERS)
            rest = hold(whole, maker, bringing, campaigns)
        assert rest["UNKNOWN"] <= outstanding
        assert rest["DELIVERED"] >= 900 - outstanding
        for asked in (whole.aggregator.asked, whole.whatsapp.asked):
            assert all(one.taken for one in asked)


def test_a_crash_after_everything_that_these_carriers_do(parts: Parts, tmp_path: Path) -> None:
    def left() -> list[str]:
        return [point.flag for point in WHOLE if not (tmp_path / point.flag).exists()]

    program = command("broadcast", tmp_path, 1, WHOLE)
    pace = {"aggregator": 200, "whatsapp": 60, "bureau": 200}
    with whole_running(parts, "whole-crashes", pace, program) as whole:
        whole.rig.replica.process.policy = RestartPolicy(factor=1.0)
        whole.aggregator.usual = whole.whatsapp.usual = SLOWLY
        maker, other = Office(whole.rig.system, MAKER), Office(whole.rig.system, OTHER)
        bringing = Bringing(whole)
        with bringing.running():
            campaigns = begun(maker, other, 400)
            (tmp_path / GO).touch()
            wait_until(lambda: not left(), 120, 0.2)
            # What it leaves behind comes before its end.
            process = whole.rig.replica.process
            wait_until(lambda: len(process.exits) == len(WHOLE), 30, 0.2)
            wait_until(whole.rig.replica.ready, 60)
            hold(whole, maker, bringing, campaigns)
        assert {ended.code for ended in whole.rig.replica.process.exits} == {CODE}
        assert len(whole.rig.replica.process.exits) == len(WHOLE)
