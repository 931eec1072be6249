"""How what was handed over is listed."""

from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.decide import Messages
from services.outreach.minding import Minding, index
from services.outreach.watching import CONFIRMED, OPEN

NOW = 1_795_000_000_000


def handed(case_id: str, since_ms: int, drill: bool = False) -> outreach.Watch:
    return outreach.Watch(
        case_id=case_id,
        agency="ambulance",
        drill=drill,
        hand_over=outreach.HandOver(state=OPEN, since_ms=since_ms),
    )


def test_a_real_life_in_danger_is_listed_before_every_drill_and_the_oldest_first() -> None:
    minding = Minding(0, [], Messages())
    waiting = [
        handed("exercise-old", NOW - 3_600_000, drill=True),
        handed("exercise", NOW, drill=True),
        handed("real-late", NOW + 5_000),
        handed("real", NOW + 4_000),
    ]
    listed: dict[str, dict[bytes, float | None]] = {}
    for item in minding.items(waiting, 0):
        for entry in item.index:
            listed.setdefault(entry.index, {})[entry.member] = entry.score
    assert set(listed) == {index(""), index("ambulance")}
    for members in listed.values():
        order = sorted(members, key=lambda member: members[member] or 0)
        assert order == [b"real", b"real-late", b"exercise-old", b"exercise"]


def test_what_somebody_confirmed_is_listed_no_more() -> None:
    minding = Minding(0, [], Messages())
    minding.items([handed("exercise", NOW, drill=True)], 0)
    confirmed = handed("exercise", NOW, drill=True)
    confirmed.hand_over.state = CONFIRMED
    [item] = minding.items([confirmed], 1)
    assert {entry.score for entry in item.index} == {None}
