"""Which contact belongs to which case: a table, with a reason for every row."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup import data
from services.dedup.match import Side, best, compare, later
from services.dedup.words import CODE

RULES = data.rules()
NOW = 1_800_000_000_000
MIN, HOUR, DAY = 60_000, 3_600_000, 86_400_000

CASE = Side(
    agency="health",
    topic="",
    line="16000",
    language="ar",
    feedback=False,
    organisation=False,
    life_safety=False,
    drill=False,
    recorded=False,
    open=True,
    first_ms=NOW,
    last_ms=NOW,
    shape=frozenset(),
)


def contact(after_ms: int = 4 * MIN, **given: Any) -> Side:
    at = NOW + after_ms
    return replace(CASE, first_ms=at, last_ms=at, **given)


def words(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def code(number: int) -> int:
    return number | CODE


TEXT = words(1, 2, 3, 4, 5)
OTHER = words(11, 12, 13, 14, 15)

SAME = [
    ("a redial", contact(), CASE, "same number, same agency, 4 min later"),
    ("a day later", contact(DAY), CASE, "same agency, 24 h later"),
    ("words in common", contact(shape=words(1, 2, 9)), replace(CASE, shape=TEXT), "2 of 3 words"),
    (
        "the same reference",
        contact(shape=words(91, 92, code(7))),
        replace(CASE, shape=words(1, 2, code(7))),
        "same reference",
    ),
    (
        "the same reference, agency not said",
        contact(agency="", shape=words(code(7))),
        replace(CASE, shape=words(1, code(7))),
        "same reference",
    ),
    (
        "a topic alone",
        contact(agency="", topic="pcr"),
        replace(CASE, agency="", topic="pcr"),
        "same topic",
    ),
    (
        "the very same text, sent to another agency",
        contact(agency="interior", shape=TEXT),
        replace(CASE, shape=TEXT),
        "another agency",
    ),
    ("alike words, agency not said", contact(agency="", shape=words(1, 2, 3, 4, 8)),
     replace(CASE, shape=TEXT), "4 of 5 words"),
    ("a redial that says nothing", contact(agency=""), CASE, "same line"),
    ("nothing known but a redial", contact(agency="", line=""),
     replace(CASE, agency="", line=""), "same line"),
    ("two languages can't be compared", contact(language="en", shape=OTHER),
     replace(CASE, shape=TEXT), "same agency"),
    ("a life in danger, same agency", contact(life_safety=True), CASE, "same agency"),
    ("resolved, but soon", contact(6 * DAY), replace(CASE, open=False), "6 days later"),
    ("open for weeks", contact(20 * DAY), CASE, "20 days later"),
    ("came late", contact(-10 * MIN), CASE, "10 min earlier"),
    (
        "a switchboard, same reference",
        contact(organisation=True, shape=words(code(7))),
        replace(CASE, shape=words(1, code(7))),
        "shared number, same reference",
    ),
    ("a switchboard, same text at once", contact(organisation=True, shape=TEXT),
     replace(CASE, shape=TEXT), "shared number, same text"),
]  # fmt: skip
ANOTHER = [
    ("another agency", contact(agency="interior"), CASE, "another agency"),
    ("another topic", contact(topic="pcr"), replace(CASE, topic="appointment"), "another topic"),
    ("other words, same agency", contact(shape=OTHER), replace(CASE, shape=TEXT), "other words"),
    (
        "one digit apart",
        contact(shape=TEXT | {code(7)}),
        replace(CASE, shape=TEXT | {code(8)}),
        "different references",
    ),
    (
        "the person's own number in both",
        contact(shape=words(code(1), code(7))),
        replace(CASE, shape=words(code(1), code(8))),
        "different references",
    ),
    (
        "an identity number joins no agencies",
        contact(agency="interior", shape=words(code(1))),
        replace(CASE, shape=words(code(1))),
        "another agency",
    ),
    ("thanks", contact(feedback=True), CASE, "another kind"),
    ("a rehearsal", contact(drill=True), CASE, "rehearsal"),
    ("a record of past calls", contact(recorded=True), CASE, "record"),
    ("resolved long ago", contact(8 * DAY), replace(CASE, open=False), "too old"),
    ("open, but forgotten", contact(31 * DAY), CASE, "too old"),
    ("no agency, other words", contact(agency="", shape=OTHER), replace(CASE, shape=TEXT),
     "agency not known"),
    ("few words, no agency", contact(agency="", shape=words(1, 2)), replace(CASE, shape=TEXT),
     "agency not known"),
    ("no agency, hours later", contact(2 * HOUR, agency=""), CASE, "nothing tells"),
    ("no agency, another line", contact(agency="", line="109"), CASE, "nothing tells"),
    ("a life in danger", contact(agency="", life_safety=True), CASE, "life in danger"),
    ("an organisation's number", contact(organisation=True), CASE, "shared number"),
    ("an organisation's case", contact(), replace(CASE, organisation=True), "shared number"),
    ("a switchboard, same text hours later", contact(2 * HOUR, organisation=True, shape=TEXT),
     replace(CASE, shape=TEXT), "shared number"),
    ("a switchboard, short text", contact(organisation=True, shape=words(1, 2)),
     replace(CASE, shape=words(1, 2)), "shared number"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "case", "why"), [r[1:] for r in SAME], ids=[r[0] for r in SAME])
def test_the_same_need(one: Side, case: Side, why: str) -> None:
    verdict = compare(one, case, RULES, shared=False)
    assert verdict.score > 0.5
    assert why in verdict.reason


@pytest.mark.parametrize(
    ("one", "case", "why"), [r[1:] for r in ANOTHER], ids=[r[0] for r in ANOTHER]
)
def test_another_need(one: Side, case: Side, why: str) -> None:
    verdict = compare(one, case, RULES, shared=False)
    assert verdict.score == 0
    assert why in verdict.reason


def test_a_number_known_to_be_shared_tells_nothing() -> None:
    assert compare(contact(), CASE, RULES, shared=False).score > 0
    assert compare(contact(), CASE, RULES, shared=True).score == 0


def test_the_likeliest_case_wins_then_an_open_one_then_the_latest() -> None:
    alike = replace(CASE, shape=TEXT)
    match, _ = best(contact(shape=TEXT), [CASE, alike, CASE], RULES, shared=False)
    assert match is not None
    assert match.index == 1
    resolved = replace(CASE, open=False, last_ms=NOW + MIN)
    match, _ = best(contact(), [CASE, resolved], RULES, shared=False)
    assert match is not None
    assert match.index == 0
    heard = replace(CASE, last_ms=NOW + MIN)
    match, _ = best(contact(), [heard, CASE], RULES, shared=False)
    assert match is not None
    assert match.index == 0


def test_a_refusal_is_told() -> None:
    match, refusal = best(contact(agency="interior"), [CASE], RULES, shared=False)
    assert match is None
    assert "another agency" in refusal


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (0, "within a minute"),
        (59_999, "within a minute"),
        (4 * MIN, "4 min later"),
        (-3 * HOUR, "3 h earlier"),
        (3 * DAY, "3 days later"),
    ],
)
def test_gaps_are_said_in_words(gap: int, said: str) -> None:
    assert later(gap) == said


SIDES = st.builds(
    Side,
    agency=st.sampled_from(["", "health", "interior"]),
    topic=st.sampled_from(["", "a", "b"]),
    line=st.sampled_from(["", "109"]),
    language=st.sampled_from(["", "ar", "en"]),
    feedback=st.sampled_from([None, True, False]),
    organisation=st.booleans(),
    life_safety=st.booleans(),
    drill=st.booleans(),
    recorded=st.booleans(),
    open=st.booleans(),
    first_ms=st.integers(NOW, NOW + 40 * DAY),
    last_ms=st.integers(NOW + 40 * DAY, NOW + 80 * DAY),
    shape=st.frozensets(st.integers(0, 2**32 - 1) | st.sampled_from([1, 2, code(1), code(2)])),
)


@given(SIDES, SIDES, st.booleans())
def test_what_must_never_be_joined_never_is(one: Side, case: Side, shared: bool) -> None:
    verdict = compare(one, case, RULES, shared)
    assert 0 <= verdict.score <= 1
    assert verdict.reason
    if verdict.score:
        assert one.drill == case.drill
        assert one.recorded == case.recorded
        codes = {n for n in one.shape if n & CODE}, {n for n in case.shape if n & CODE}
        assert codes[0] <= codes[1] or codes[1] <= codes[0]
