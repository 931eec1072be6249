"""Which messages leave a carrier that is not well, and where they go."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.detours import Shares, detours, lot_of
from services.broadcast.lanes import BULK, NORMAL, URGENT
from services.broadcast.routes import Route, shared

NAMES = [f"carrier-{index}" for index in range(5)]
SHARE = st.sampled_from([0.0, 0.02, 0.0625, 0.125, 0.25, 0.5, 1.0])
SHARES = st.fixed_dictionaries(dict.fromkeys(NAMES, SHARE))
WEIGHTS = st.lists(st.floats(0.5, 20), min_size=5, max_size=5)
PEOPLE = [
    (number.to_bytes(16), str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))))
    for number in range(2_000)
]


def ranks_of(weights: Sequence[float], first: int) -> list[list[Route]]:
    """`first` carriers of the first rank, the others of the second."""
    routes = [Route("+", "", name, weight) for name, weight in zip(NAMES, weights, strict=True)]
    return [routes[:first], routes[first:]]


def settled(
    ranks: Sequence[Sequence[Route]], shares: Mapping[str, float], person: bytes, message: str
) -> str:
    """Where a message comes to rest."""
    carrier, lot = shared(ranks[0], person), lot_of(message, BULK)
    seen = {carrier}
    while ways := detours(ranks, carrier, shares, person, lot):
        carrier = ways[0]
        assert carrier not in seen, "a message never goes in a circle"
        seen.add(carrier)
    return carrier


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, st.integers(1, 4), SHARES)
def test_every_message_comes_to_rest_and_never_where_it_should_not(
    weights: list[float], first: int, shares: dict[str, float]
) -> None:
    ranks = ranks_of(weights, first)
    for person, message in PEOPLE[:200]:
        carrier = settled(ranks, shares, person, message)
        if max(shares.values()) > 0:
            assert shares[carrier] > 0, "nobody waits for who is away"
        else:
            assert carrier == shared(ranks[0], person)


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, st.sampled_from([0.02, 0.125, 0.25, 0.5]))
def test_who_is_not_well_keeps_its_share_of_its_own(weights: list[float], share: float) -> None:
    ranks = ranks_of(weights, 3)
    shares = dict.fromkeys(NAMES, 1.0)
    usual = Counter(settled(ranks, shares, *one) for one in PEOPLE)
    assert set(usual) <= set(NAMES[:3])
    now = Counter(settled(ranks, {**shares, NAMES[0]: share}, *one) for one in PEOPLE)
    assert now.total() == usual.total()
    assert now[NAMES[0]] / len(PEOPLE) == pytest.approx(
        share * usual[NAMES[0]] / len(PEOPLE), abs=0.04
    )
    # The others of its rank have the rest, by their weights; nobody goes to a lower rank.
    assert set(now) <= set(NAMES[:3])
    assert all(now[name] >= usual[name] for name in NAMES[1:3])


@settings(max_examples=20, deadline=None)
@given(WEIGHTS, st.integers(1, 4))
def test_healed_carriers_have_their_weight_again(weights: list[float], first: int) -> None:
    ranks = ranks_of(weights, first)
    well = dict.fromkeys(NAMES, 1.0)
    for person, message in PEOPLE[:300]:
        assert settled(ranks, well, person, message) == shared(ranks[0], person)


@given(WEIGHTS, st.integers(1, 4), SHARES, st.sets(st.sampled_from(NAMES)), st.floats(0, 1))
def test_a_way_round_was_not_tried_and_is_not_away(
    weights: list[float], first: int, shares: dict[str, float], tried: set[str], lot: float
) -> None:
    for carrier in NAMES:
        ways = detours(ranks_of(weights, first), carrier, shares, b"p", lot, tried=tried)
        assert not {carrier, *tried} & set(ways)
        assert len(set(ways)) == len(ways)
        assert all(shares[way] > 0 for way in ways)
        others = [name for name in NAMES if name not in {carrier, *tried} and shares[name] > 0]
        if carrier in tried:
            assert sorted(ways) == others, "who was refused goes wherever it can"


def test_what_is_urgent_is_no_probe() -> None:
    ranks = ranks_of([1.0] * 5, 1)
    shares = dict.fromkeys(NAMES, 1.0) | {NAMES[0]: 0.02}
    for person, message in PEOPLE[:200]:
        assert detours(ranks, NAMES[0], shares, person, lot_of(message, URGENT))
    stay = [
        message
        for person, message in PEOPLE
        if not detours(ranks, NAMES[0], shares, person, lot_of(message, NORMAL))
    ]
    assert 0 < len(stay) < 0.05 * len(PEOPLE)


def test_the_next_rank_comes_after_equals_that_are_well_and_before_those_that_are_not() -> None:
    ranks = ranks_of([1.0] * 5, 3)
    shares = dict(zip(NAMES, [0.0, 0.02, 1.0, 1.0, 0.02], strict=True))
    assert detours(ranks, NAMES[0], shares, b"p", 0.0) == [
        NAMES[2],
        NAMES[3],
        NAMES[1],
        NAMES[4],
    ]


def test_shares_say_when_they_changed() -> None:
    shares = Shares()
    shares.set({"a": 1.0}, {"a": 0.0})
    version = shares.version
    shares.set({"a": 1.0}, {"a": 0.0})
    assert shares.version == version
    assert (shares.unwell(URGENT), shares.unwell(BULK)) == (["a"], [])
    shares.set({"a": 0.5}, {"a": 0.0})
    assert shares.version > version
