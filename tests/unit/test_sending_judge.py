"""Go, wait or never: each rule of the file, each override, and what holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.rules.book import Guard, Kind, Lane
from services.broadcast.rules.judge import (
    Defer,
    Earlier,
    Go,
    MessageFacts,
    Obstacle,
    Override,
    PersonFacts,
    Reason,
    Suppress,
    judge,
    obstacle,
)
from tests.sending_rules import HOUR_MS, RULES, at, message

NOON = at("2026-11-23 12:00", "Asia/Dubai")
NIGHT = at("2026-11-23 22:00", "Asia/Dubai")
STORM = Override("storm", "duty-officer-7")
EVERYONE = Override("everyone", "duty-officer-7")
NOBODY = PersonFacts()
LEFT = PersonFacts(opted_out=True)


def got(*ago_ms: int, kind: Kind = Kind.INFORMATIONAL, agency: str = "moi") -> PersonFacts:
    return PersonFacts(earlier=[Earlier(NOON - ago, kind, Lane.BULK, agency) for ago in ago_ms])


def test_by_day_it_goes_and_by_night_it_waits() -> None:
    assert judge(RULES, message(), NOBODY, NOON) == Go()
    verdict = judge(RULES, message(), NOBODY, NIGHT)
    assert verdict == Defer(at("2026-11-24 08:00", "Asia/Dubai"), Reason.QUIET_HOURS)


@pytest.mark.parametrize("kind", [Kind.WARNING, Kind.SERVICE])
def test_what_the_hours_do_not_name_goes_by_night(kind: Kind) -> None:
    assert judge(RULES, message(kind), NOBODY, NIGHT) == Go()


def test_it_never_waits_past_its_end() -> None:
    ends = at("2026-11-24 08:00", "Asia/Dubai")
    assert judge(RULES, message(expires_ms=ends), NOBODY, NIGHT) == Suppress(
        Reason.EXPIRES_IN_QUIET_HOURS
    )
    assert judge(RULES, message(expires_ms=ends + 1), NOBODY, NIGHT) == Defer(
        ends, Reason.QUIET_HOURS
    )
    assert judge(RULES, message(expires_ms=NIGHT), NOBODY, NIGHT) == Suppress(Reason.EXPIRED)


def test_a_full_cap_opens_when_the_oldest_that_fills_it_leaves_the_window() -> None:
    verdict = judge(RULES, message(), got(3 * HOUR_MS, 20 * HOUR_MS, 30 * HOUR_MS), NOON)
    assert verdict == Defer(NOON + 4 * HOUR_MS, Reason.FREQUENCY_CAP)
    assert judge(RULES, message(), got(3 * HOUR_MS, 24 * HOUR_MS), NOON) == Go()
    almost = judge(RULES, message(), got(3 * HOUR_MS, 24 * HOUR_MS - 1), NOON)
    assert almost == Defer(NOON + 1, Reason.FREQUENCY_CAP)
    assert judge(RULES, message(lane=Lane.NORMAL), got(3 * HOUR_MS, 4 * HOUR_MS), NOON) == Go()


def test_a_cap_for_each_agency_counts_its_own_only() -> None:
    assert judge(RULES, message(), got(HOUR_MS, agency="moi"), NOON) == Go()
    verdict = judge(RULES, message(), got(HOUR_MS, agency="moh"), NOON)
    assert verdict == Defer(NOON + HOUR_MS, Reason.FREQUENCY_CAP)


def test_when_a_cap_opens_by_night_it_waits_for_the_morning() -> None:
    verdict = judge(RULES, message(), got(13 * HOUR_MS, 14 * HOUR_MS), NOON)
    assert verdict == Defer(at("2026-11-24 08:00", "Asia/Dubai"), Reason.FREQUENCY_CAP)
    short = message(expires_ms=NOON + 11 * HOUR_MS)
    assert judge(RULES, short, got(13 * HOUR_MS, 14 * HOUR_MS), NOON) == Suppress(
        Reason.EXPIRES_IN_QUIET_HOURS
    )
    short = message(expires_ms=NOON + 10 * HOUR_MS)
    assert judge(RULES, short, got(13 * HOUR_MS, 14 * HOUR_MS), NOON) == Suppress(
        Reason.EXPIRES_UNDER_CAP
    )


def test_who_opted_out_gets_nothing_of_any_kind() -> None:
    for kind in Kind:
        assert judge(RULES, message(kind), LEFT, NOON) == Suppress(Reason.OPT_OUT)


def test_senders() -> None:
    def reason(kind: Kind, **given: str) -> object:
        return judge(RULES, message(kind, **given), NOBODY, NOON)  # type: ignore[arg-type]

    assert reason(Kind.SERVICE) == Go()
    unknown = Suppress(Reason.SENDER_NOT_REGISTERED)
    assert reason(Kind.SERVICE, sender="MOI") == unknown
    assert reason(Kind.SERVICE, agency="moi") == unknown
    assert reason(Kind.MARKETING, sender="AD-MOI") == unknown
    assert reason(Kind.SERVICE, agency="", sender="5151") == unknown
    assert reason(Kind.MARKETING, sender="MOH") == Suppress(Reason.SENDER_NOT_MARKED)
    assert reason(Kind.MARKETING) == Go()
    assert reason(Kind.SERVICE, number="+919812345678", sender="Any") == Go()
    assert reason(Kind.MARKETING, number="+12125550123") == Suppress(Reason.KIND_FORBIDDEN)


def test_an_emergency_passes_what_its_law_names() -> None:
    both = PersonFacts(earlier=[Earlier(NIGHT - HOUR_MS, Kind.INFORMATIONAL, Lane.BULK, "moh")] * 2)
    verdict = judge(RULES, message(override=STORM), both, NIGHT)
    assert verdict == Go((Guard.CAPS, Guard.QUIET_HOURS))
    assert judge(RULES, message(override=STORM), NOBODY, NOON) == Go()
    assert judge(RULES, message(override=STORM), LEFT, NOON) == Suppress(Reason.OPT_OUT)
    assert judge(RULES, message(Kind.WARNING, override=EVERYONE), LEFT, NOON) == Go(
        (Guard.OPT_OUT,)
    )


@pytest.mark.parametrize(
    ("override", "kind", "country", "why"),
    [
        (STORM, Kind.WARNING, "AE", None),
        (Override("flood", "x"), Kind.WARNING, "AE", Obstacle.UNKNOWN_BASIS),
        (Override("storm", " "), Kind.WARNING, "AE", Obstacle.NOT_RECORDED),
        (STORM, Kind.MARKETING, "AE", Obstacle.ANOTHER_KIND),
        (STORM, Kind.WARNING, "US", Obstacle.ANOTHER_COUNTRY),
    ],
)
def test_an_override_counts_only_with_a_recorded_basis(
    override: Override, kind: Kind, country: str, why: Obstacle | None
) -> None:
    assert obstacle(RULES, override, kind, country) == why


def test_an_override_that_does_not_count_changes_nothing() -> None:
    for override in (Override("flood", "x"), Override("storm", ""), EVERYONE):
        verdict = judge(RULES, message(override=override), NOBODY, NIGHT)
        assert verdict == Defer(at("2026-11-24 08:00", "Asia/Dubai"), Reason.QUIET_HOURS)


NOWS = st.integers(at("2027-01-20 00:00"), at("2027-03-20 00:00"))
EARLIERS = st.lists(
    st.builds(
        Earlier,
        st.integers(at("2027-01-18 00:00"), at("2027-03-20 00:00")),
        st.sampled_from(Kind),
        st.sampled_from(Lane),
        st.sampled_from(["moh", "moi"]),
    ),
    max_size=8,
)
MESSAGES = st.builds(
    message,
    st.sampled_from(Kind),
    number=st.sampled_from(["+971501234567", "+12125550123", "+18005550123", "+919812345678"]),
    lane=st.sampled_from(Lane),
    agency=st.sampled_from(["moh", "moi"]),
    expires_ms=st.integers(at("2027-01-20 00:00"), at("2027-03-25 00:00")),
    override=st.sampled_from([None, STORM, EVERYONE, Override("flood", "x")]),
)


@given(MESSAGES, EARLIERS, st.booleans(), NOWS)
def test_what_waits_may_go_at_that_moment_and_not_before(
    asked: MessageFacts, earlier: list[Earlier], opted_out: bool, now: int
) -> None:
    person = PersonFacts(opted_out, [one for one in earlier if one.at_ms <= now])
    verdict = judge(RULES, asked, person, now)
    expires = asked.expires_ms
    if isinstance(verdict, Defer):
        assert now < verdict.until_ms < expires
        then = judge(RULES, asked, person, verdict.until_ms)
        assert isinstance(then, Go)
        just_before = judge(RULES, asked, person, verdict.until_ms - 1)
        assert isinstance(just_before, Defer)
        assert just_before.until_ms == verdict.until_ms
    elif verdict == Suppress(Reason.EXPIRED):
        assert expires <= now
    elif isinstance(verdict, Go) and opted_out:
        assert Guard.OPT_OUT in verdict.overridden


@given(MESSAGES, EARLIERS, NOWS)
def test_no_stretch_of_the_window_ever_holds_more_than_the_cap(
    asked: MessageFacts, earlier: list[Earlier], now: int
) -> None:
    kept = [one for one in earlier if one.at_ms <= now]
    verdict = judge(RULES, asked, PersonFacts(False, kept), now)
    if not isinstance(verdict, Go) or Guard.CAPS in verdict.overridden:
        return
    for cap in RULES.caps:
        if asked.place.country.code == "AE" and cap.counts(asked.kind, asked.lane):
            mine = [
                one
                for one in kept
                if cap.counts(one.kind, one.lane)
                and one.at_ms > now - cap.window_ms
                and (not cap.each_agency or one.agency == asked.agency)
            ]
            assert len(mine) < cap.most
