"""What is told of letters that double the price of a text."""

import pytest
from mawja.broadcast.v1.campaigns_pb2 import CampaignText

from services.tools.campaigns import dear

LONG = "Shelter {place} is open now. Bring your papers, your medicine and water, and tell those "
LONG += "next door who may not read this."


def told(template: str) -> list[str]:
    return list(dear.told([CampaignText(language="en", template=template)]))


def test_a_letter_that_doubles_the_parts_is_named() -> None:
    assert told(LONG.replace("those", "your neighbour\u2019s family")) == [
        "en: \u2019 (right single quotation mark) makes it about 3 parts instead of 1: the "
        "alphabet of SMS does not have it"
    ]


@pytest.mark.parametrize(
    "template",
    [
        LONG,
        LONG + " €{}[]~".replace("{", "{{").replace("}", "}}"),
        "Shelter’s open",
        "الملجأ {place} مفتوح الآن، ومعه ماء ودواء، فأحضروا أوراقكم وأخبروا جيرانكم بذلك فورا",
        "{broken",
    ],
)
def test_what_costs_nothing_or_is_meant_so_is_not_told(template: str) -> None:
    assert told(template) == []
