"""What texts would cost before anybody is chosen: between the cheapest carrier and the dearest."""

import pytest
from mawja.broadcast.v1.campaigns_pb2 import CampaignText

from services.broadcast import routes
from services.broadcast.campaigns.pricing import costs
from services.broadcast.carriers.specs import CarrierSpec
from tests.broadcast_parts import ONE_CARRIER

TEXTS = [
    CampaignText(language="en", template="Schools are closed."),
    CampaignText(language="ar", template="المدارس مغلقة غدا. " * 5),
]
PRICE = "price: {currency: AED, milli: %d}"


def carriers(*prices: int | None) -> list[CarrierSpec]:
    """The same carrier, with other prices."""
    found: list[CarrierSpec] = []
    for price in prices:
        text = ONE_CARRIER
        if price is not None:
            text = text.replace("parts_per_second: 100", "parts_per_second: 100, " + PRICE % price)
        found += routes.parse(text, "carriers.yaml").carriers.values()
    return found


def test_it_lies_between_the_cheapest_and_the_dearest_by_parts_and_people() -> None:
    [found] = costs(TEXTS, "en", {"en": 10, "ar": 3}, True, carriers(45, 60, None))
    # One part of English; Arabic with what says that it is a drill takes two.
    assert (found.currency, found.least_milli, found.most_milli) == ("AED", 16 * 45, 16 * 60)


def test_who_speaks_none_of_the_languages_gets_the_campaigns() -> None:
    [found] = costs(TEXTS[:1], "en", {"": 2, "hi": 5}, True, carriers(10))
    assert found.least_milli == 7 * 10


def test_what_nobody_can_tell_is_not_told() -> None:
    assert costs(TEXTS, "en", {"en": 1}, True, carriers(None)) == []
    assert costs(TEXTS, "en", {"en": 1}, False, carriers(45)) == []
    with pytest.raises(ValueError, match="placeholders"):
        costs([CampaignText(language="en", template="{name}")], "en", {"en": 1}, True, carriers(1))
