"""Which numbers can be written to, and by which carrier."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast import numbers
from services.broadcast.campaigns.terms import terms_of
from services.broadcast.routes import CarrierSpec, Route, Routes, parse, shared
from services.broadcast.rules.reading import read
from services.runtime.errors import ConfigError
from tests.broadcast_parts import FILE


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("+971501234567", ""),
        ("+97444123456", "landline"),
        ("+97142345678", "landline"),
        ("+9715", "invalid-number"),
        ("+999512345678", ""),
        ("+999412345678", "landline"),
        ("+99951234567", "invalid-number"),
        ("nonsense", "invalid-number"),
    ],
)
def test_what_stands_against_a_number(number: str, why: str) -> None:
    assert numbers.obstacle(number) == why


def chosen(routes: Routes, number: str, language: str, drill: bool) -> str:
    carrier = routes.choose(number, language, drill, b"p" * 16)
    return carrier.name if isinstance(carrier, CarrierSpec) else f"no: {carrier}"


@pytest.mark.parametrize(
    ("number", "language", "drill", "carrier"),
    [
        ("+971551234567", "en", False, "live"),
        ("+971551234567", "ar-AE", False, "arabic"),
        ("+971501234567", "ar", False, "live"),
        ("+97455512345", "ar", False, "no: no-route"),
        ("+97455512345", "ar", True, "drill"),
        ("+971551234567", "ar", True, "drill"),
        ("+999512345678", "ar", True, "drill"),
        ("+999512345678", "ar", False, "no: synthetic-number"),
    ],
)
def test_the_route(number: str, language: str, drill: bool, carrier: str) -> None:
    assert chosen(parse(FILE, "carriers.yaml"), number, language, drill) == carrier


# Read once: Hypothesis bounds the time of each example, and the file is not what is tested.
ROUTES = parse(FILE, "carriers.yaml")


@given(st.text("0123456789", max_size=12), st.sampled_from(["ar", "en", ""]), st.booleans())
def test_a_rehearsal_and_the_real_thing_never_share_a_carrier(
    digits: str, language: str, drill: bool
) -> None:
    for number in (f"+{digits}", f"+971{digits}", f"+999{digits}"):
        carrier = ROUTES.choose(number, language, drill, digits.encode())
        if isinstance(carrier, CarrierSpec):
            assert carrier.declared == ("test" if drill else "live")
            assert drill or not number.startswith("+999")


PEOPLE = [number.to_bytes(16) for number in range(4_000)]
WEIGHTS = st.lists(st.floats(0.5, 20), min_size=2, max_size=4)


def of_weights(weights: Sequence[float]) -> list[Route]:
    return [Route("+971", "", f"carrier-{index}", weight) for index, weight in enumerate(weights)]


@settings(max_examples=20, deadline=None)
@given(WEIGHTS)
def test_routes_of_equal_rank_share_by_their_weights(weights: list[float]) -> None:
    routes = of_weights(weights)
    counts = Counter(shared(routes, person) for person in PEOPLE)
    assert counts.total() == len(PEOPLE)
    for route in routes:
        wanted = route.weight / sum(weights)
        assert counts[route.carrier] / len(PEOPLE) == pytest.approx(wanted, abs=0.04)


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.floats(0.1, 5))
def test_another_weight_moves_nobody_between_the_others(weights: list[float], by: float) -> None:
    before, after = of_weights(weights), of_weights([weights[0] * by, *weights[1:]])
    for person in PEOPLE[:1_000]:
        old, new = shared(before, person), shared(after, person)
        assert old == new or (new if by > 1 else old) == "carrier-0"


def test_the_ways_round_are_those_of_the_next_ranks() -> None:
    text = (
        FILE
        + """  - {prefix: "+971", carrier: arabic, weight: 3}
  - {prefix: "+", carrier: live}
"""
    )
    ranks = parse(text, "carriers.yaml").ranks("+971501234567", "ar", False)
    # `arabic` for Arabic stands before what both share; nobody stands twice.
    assert [[route.carrier for route in rank] for rank in ranks] == [["live"], ["arabic"]]
    ranks = parse(text, "carriers.yaml").ranks("+971551234567", "en", False)
    assert [{route.carrier for route in rank} for rank in ranks] == [{"live", "arabic"}]


def test_a_route_may_say_that_no_other_carrier_has_its_messages() -> None:
    file = (
        FILE
        + """  - {prefix: "+971", carrier: arabic, fallback: none}
  - {prefix: "+", carrier: live}
"""
    )
    routes, found = parse(file, "carriers.yaml"), Counter[tuple[str, int]]()
    for person in PEOPLE[:200]:
        own = routes.choose("+971551234567", "en", False, person)
        assert isinstance(own, CarrierSpec)
        found[own.name, len(routes.ways("+971551234567", "en", False, person))] += 1
    # Two routes of equal rank share the people; only whose route says so has no way round it.
    assert set(found) == {("live", 1), ("arabic", 0)}
    assert routes.ways("+97455512345", "en", True, b"p" * 16) != []
    assert terms_of(routes, read(None)) != terms_of(
        parse(file.replace("fallback: none", "fallback: any"), "carriers.yaml"), read(None)
    )


def test_what_the_file_says_of_a_carrier() -> None:
    carrier = parse(FILE, "carriers.yaml").carriers["arabic"]
    assert (carrier.parts_per_second, carrier.window, carrier.sender) == (20.5, 10, "8001")
    assert (carrier.dialect.id_format, carrier.dialect.alphabet.value) == ("hex_to_dec", "latin1")
    assert carrier.validity == "relative"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("declared: live", "declared: maybe", 5, "carriers[0].declared: must be test or live"),
        ("port: 2775", "port: 0", 7, "carriers[0].port: must be a whole number from 1 to 65535"),
        ("port: 2775", "prot: 2775", 3, "carriers[0].port: is missing"),
        ("    sender: GovCare\n", "", 3, "carriers[0].sender: is missing"),
        ("sender: GovCare", "sender: GovernmentCare", 10, "carriers[0].sender: 1-11 letters"),
        ("per_second: 200\n", "per_second: fast\n", 11, "must be a number from 0.01"),
        ("name: arabic", "name: live", 12, "carriers[1].name: is taken"),
        ("window: 10", "colour: red", 21, "carriers[1].colour: is not known here"),
        ("window: 10", "host: twice", 21, "host stands twice"),
        ('"+971", carrier: live', '"971", carrier: live', 35, "routes[0].prefix: a plus"),
        ('"+971", carrier: live', '"+999", carrier: live', 35, "must be declared test"),
        ("language: ar, carrier: arabic", "carrier: nobody", 36, "must be live or arabic or drill"),
        ("carrier: arabic}", "carrier: arabic, weight: 0}", 36, "weight: must be a number from"),
        ("carrier: arabic}", "carrier: arabic, weight: 101}", 36, "weight: must be a number from"),
        ("language: ar, carrier: arabic", "carrier: live", 36, "carrier: has a route of this"),
        ("carrier: arabic}", "carrier: arabic, fallback: no}", 36, "fallback: must be any or none"),
        ("routes:", "roads:", 2, "routes: must be a list"),
        ("carriers:", "carriers: [", 3, "not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_line_and_field(
    old: str, new: str, line: int, says: str
) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as refused:
        parse(FILE.replace(old, new, 1), "carriers.yaml")
    assert str(refused.value).startswith(f"carriers.yaml, line {line}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["", "- 1", "5"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"carriers\.yaml"):
        parse(text, "carriers.yaml")
