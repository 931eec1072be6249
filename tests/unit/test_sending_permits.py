"""What is kept of one recipient's answer for the next must never be another's answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan

from services.broadcast.campaigns.permits import Asked
from services.broadcast.rules.book import Kind, Lane, Rules
from services.broadcast.rules.judge import Earlier, MessageFacts, PersonFacts, judge
from services.broadcast.rules.reading import read
from services.broadcast.rules.zones import digits_of, place_of
from tests import sending_rules
from tests.sending_rules import RULES

EVENING = sending_rules.at("2026-11-22 19:00")
ENDS = EVENING + 36 * 3_600_000
PLAN = CampaignPlan(kind=events_pb2.CAMPAIGN_KIND_MARKETING, agency="moh", expires_ms=ENDS)
NUMBERS = ("+971501234567", "+971501234568", "+966501234567", "+447700900123", "+79991234567")
LATELY = [Earlier(EVENING - 3_600_000, Kind.MARKETING, Lane.BULK, "moh")] * 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NUMBERS),
            st.sampled_from(("AD-MOH", "MOH", "8001")),
            st.booleans(),
            st.sampled_from(([], LATELY)),
            st.sampled_from((EVENING, EVENING + 1, EVENING + 6 * 3_600_000, ENDS)),
        )
    )
)
def test_of_many_people_each_is_answered_as_if_alone(
    people: list[tuple[str, str, bool, list[Earlier], int]],
) -> None:
    asked = Asked(RULES, PLAN, "somebody", ENDS)
    for number, sender, opted_out, earlier, now in people:
        place = place_of(RULES, number)
        alone = MessageFacts(place, Kind.MARKETING, Lane.BULK, "moh", sender, ENDS)
        expected = judge(RULES, alone, PersonFacts(opted_out, earlier), now)
        assert asked.verdict(number, sender, opted_out, earlier, now) == expected


@pytest.mark.parametrize("rules", [RULES, read(None)])
def test_the_digits_that_count_tell_the_place(rules: Rules) -> None:
    for country in rules.countries:
        number = (country.prefix + "501234567")[:13]
        head = number[: digits_of(rules)]
        assert place_of(rules, number) == place_of(rules, head)
