"""Who waits in which lane, in what order, and what may be committed meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.lanes import BULK, NORMAL, URGENT, Held, Lanes, Waiting
from tests.broadcast_parts import queued


def test_a_queue_is_in_order_and_of_one_carrier() -> None:
    lanes = Lanes()
    for number, carrier in enumerate(["a", "b", "a"]):
        assert lanes.add(Waiting(queued(f"m{number}"), number, carrier))
    assert not lanes.add(Waiting(queued("m0"), 9, "a")), "it waits already"
    assert lanes.count(BULK) == 3
    first = lanes.first(BULK, "a")
    assert first is not None
    assert lanes.take(BULK, "a") is first
    assert [lanes.take(BULK, "a").offset, lanes.take(BULK, "b").offset] == [2, 1]
    assert lanes.first(BULK, "a") is None
    assert lanes.first(URGENT, "a") is None
    assert len(lanes) == 0


def test_what_is_put_back_waits_and_then_stands_in_front() -> None:
    lanes = Lanes()
    for number in range(2):
        lanes.add(Waiting(queued(f"m{number}"), number, "a"))
    waiting = lanes.take(BULK, "a")
    lanes.put_back(waiting, due_s=5.0)
    lanes.wake(4.9)
    assert lanes.first(BULK, "a") is not waiting
    lanes.wake(5.0)
    assert lanes.take(BULK, "a") is waiting
    assert lanes.count(BULK) == 1


def test_those_that_wake_together_keep_their_order() -> None:
    lanes = Lanes()
    for number in range(4):
        lanes.add(Waiting(queued(f"m{number}"), number, "a"))
    for due_s in (1.0, 2.0, 2.0):
        lanes.put_back(lanes.take(BULK, "a"), due_s)
    lanes.wake(2.0)
    assert [lanes.take(BULK, "a").offset for _ in range(4)] == [0, 1, 2, 3]


def test_a_full_lane_says_so_and_the_others_do_not() -> None:
    lanes = Lanes(limit=2)
    for number in range(2):
        lanes.add(Waiting(queued(f"m{number}", NORMAL), number, "a"))
    assert lanes.full(NORMAL)
    assert not lanes.full(URGENT)
    lanes.take(NORMAL, "a")
    assert not lanes.full(NORMAL)


def test_a_carrier_that_is_away_does_not_take_the_places_of_the_others() -> None:
    lanes = Lanes(limit=3)
    for number in range(5):
        lanes.add(Waiting(queued(f"a{number}", NORMAL), number, "away"))
    assert lanes.full(NORMAL)
    lanes.away = {"away", "another"}
    for number in range(3):
        assert not lanes.full(NORMAL)
        lanes.put_back(lanes.take(NORMAL, "away"), due_s=9.0)
        lanes.add(Waiting(queued(f"b{number}", NORMAL), number, "bound"))
    assert lanes.full(NORMAL)
    lanes.take(NORMAL, "bound")
    assert not lanes.full(NORMAL)
    # In the end memory is bounded all the same.
    for number in range(5, 7):
        lanes.add(Waiting(queued(f"a{number}", NORMAL), number, "away"))
    assert lanes.full(NORMAL)


def test_the_expired_and_those_who_opted_out_leave_wherever_they_stand() -> None:
    lanes = Lanes()
    early, late, stop, put_off = (
        Waiting(queued(name, expires_ms=end), 0, "a")
        for name, end in (("early", 10), ("late", 99), ("stop", 99), ("put-off", 10))
    )
    for waiting in (early, late, stop):
        lanes.add(waiting)
    lanes.put_back(put_off, due_s=1.0)
    assert lanes.expire(9) == []
    assert set(map(id, lanes.expire(10))) == {id(early), id(put_off)}
    assert lanes.remove_people({stop.message.person}) == [stop]
    lanes.wake(2.0)
    assert lanes.take(BULK, "a") is late
    assert lanes.first(BULK, "a") is None
    assert len(lanes) == lanes.count(BULK) == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20))))
def test_nothing_waits_past_its_end(steps: list[tuple[int, int]]) -> None:
    lanes = Lanes()
    for number, (end, passed) in enumerate(steps):
        now = number
        lanes.add(Waiting(queued(str(number), expires_ms=end), 0, "a"))
        lanes.expire(now + passed)
        assert all(one.message.expires_ms > now + passed for one in lanes)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))))
def test_nothing_past_a_held_offset_is_committed(steps: list[tuple[bool, int]]) -> None:
    held, needs = Held(), list[int]()
    for hold, offset in steps:
        if hold:
            held.hold(offset)
            needs.append(offset)
        elif offset in needs:
            held.release(offset)
            needs.remove(offset)
        assert held.up_to(10) == min([*needs, 10])
