"""What is known of a number's neighbours must be true of the number itself."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.broadcast import numbers
from services.broadcast.campaigns.people import obstacle

COUNTRIES = ("971", "966", "974", "968", "973", "965", "91", "44", "1", "7", "39", "999")


@given(st.sampled_from(COUNTRIES), st.from_regex(r"[0-9]{4,11}", fullmatch=True))
@example("971", "501234567")
@example("971", "43123456")
@example("971", "800123456")
@example("999", "512345678")
@example("999", "412345678")
@example("44", "7624123456")
def test_a_number_has_the_obstacle_that_the_plans_give_it(country: str, national: str) -> None:
    number = f"+{country}{national}"
    # The second time its block is known.
    assert [obstacle(number), obstacle(number)] == [numbers.obstacle(number)] * 2


@pytest.mark.parametrize("region", ["AE", "SA", "QA", "IN", "GB", "US"])
def test_so_do_those_around_one_that_there_is(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        one = phonenumbers.example_number_for_type(region, kind)
        assert one is not None
        e164 = phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164)
        for tail in range(0, 10_000, 397):
            number = f"{e164[:-4]}{tail:04}"
            assert obstacle(number) == numbers.obstacle(number)


@pytest.mark.parametrize(
    "damaged", ["", "+", "0501234567", "971501234567", "+971 50 123 4567", "a"]
)
def test_what_is_no_e164_number_is_judged_as_before(damaged: str) -> None:
    assert obstacle(damaged) == numbers.obstacle(damaged)
