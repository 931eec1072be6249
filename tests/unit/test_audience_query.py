"""A query is written in one way however it was asked, and says what is wrong with it."""

from typing import Any

import pytest
from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, Callers
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile, AudienceSet
from mawja.common.v1 import common_pb2

from services.broadcast.gathering.query import canonical, problems, written
from services.runtime import ids

NOW = 1_800_000_000_000


def of(**given: Any) -> AudienceQuery:
    return AudienceQuery(callers=Callers(**given))


def test_one_way_to_write_it() -> None:
    asked = of(
        topic="leaks",
        agency="water",
        place="  AL  Jahra",
        language="AR",
        since_ms=NOW,
        life_safety=True,
        kind=common_pb2.CONTACT_KIND_COMPLAINT,
        state=audiences_pb2.CALLER_STATE_OPEN,
    )
    assert canonical(asked) == (
        "callers(agency=water, kind=complaint, language=ar, life_safety=yes, place=al jahra, "
        "since=2027-01-15T08:00:00.000+00:00, state=open, topic=leaks)"
    )
    assert canonical(of(place="Al Jahra")) == canonical(of(place="AL jahra "))
    assert canonical(of(since_ms=NOW)) != canonical(of(until_ms=NOW))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (AudienceQuery(), "query.of"),
        (of(), "query.callers"),
        (of(since_ms=NOW + 1), "query.callers.since_ms"),
        (of(since_ms=NOW - 5, until_ms=NOW - 5), "query.callers.until_ms"),
    ],
)
def test_what_is_wrong_is_said_by_field(query: AudienceQuery, field: str) -> None:
    assert [one.field for one in problems(query, NOW)] == [field]


def test_a_good_one_has_no_faults() -> None:
    assert problems(of(agency="water", since_ms=NOW - 5, until_ms=NOW), NOW) == []


def test_sets_are_written_with_what_their_lists_are() -> None:
    one, two = ids.derive("audience", "1"), ids.derive("audience", "2")
    files = {
        one: AudienceFile(audience_id=one, name="people.csv"),
        two: AudienceFile(audience_id=two, name="x", query="callers(agency=water)"),
    }
    parts = [Audience(upload=one), Audience(upload=two)]
    again = [*reversed(parts), Audience(any_of=AudienceSet(audiences=parts))]
    told = written(Audience(any_of=AudienceSet(audiences=parts)), files)
    assert told == f"any_of(callers(agency=water)#{two[:8]}, file(people.csv)#{one[:8]})"
    assert written(Audience(any_of=AudienceSet(audiences=again)), files) == told
    other = written(Audience(**{"except": AudienceSet(audiences=parts)}), files)  # type: ignore[arg-type]
    assert other.startswith("except(file(people.csv)")


def names(*listed: str, **of: list[Audience]) -> Audience:
    if listed:
        return Audience(upload=listed[0])
    [(name, some)] = of.items()
    made = Audience()
    getattr(made, name).CopyFrom(AudienceSet(audiences=some))
    return made


def name_of(audience: Audience) -> str:
    return written(audience, {})


def test_the_same_audience_is_the_same_names() -> None:
    a, b, c = names("a"), names("b"), names("c")
    assert name_of(names(any_of=[b, a, b])) == "any_of(a, b)"
    assert name_of(names(any_of=[c, names(any_of=[b, a])])) == "any_of(a, b, c)"
    assert name_of(names(all_of=[a, a])) == "a"
    assert name_of(names(all_of=[b, names(any_of=[c, a])])) == "all_of(any_of(a, c), b)"
    less = name_of(names(**{"except": [c, b, a]}))
    assert less == "except(c, a, b)"
    assert less != name_of(names(**{"except": [a, b, c]}))
