"""What people are told of their callback: each promise once, in their language, in time."""

from typing import Any

import pytest
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import calling, shelf, telling
from services.outreach.calling import DEFAULT
from services.outreach.decide import Draft
from services.runtime.errors import ConfigError
from tests.callbacks_desk import HOUR, Desk
from tests.outreach_told import RULES, Told


def told(desk: Desk, callback: outreach.Callback) -> list[Draft]:
    return list(telling.owed(callback, RULES, DEFAULT, desk.now_ms))


def promised(line: int = common_pb2.LINE_MOBILE) -> tuple[Desk, outreach.Callback]:
    desk, case = Desk(), Told(line=line, language="ur")
    desk.told(case.opened())
    [due] = desk.told(case.abandoned(10))
    assert told(desk, due) == []
    desk.asks("amal", due.callback_id, "claim")
    times: dict[str, Any] = {
        "promised_from_ms": desk.now_ms + HOUR,
        "promised_until_ms": desk.now_ms + 3 * HOUR,
    }
    return desk, desk.asks("amal", due.callback_id, "release", **times)


def test_a_promise_is_told_with_its_time() -> None:
    desk, callback = promised()
    [draft] = told(desk, callback)
    window = DEFAULT.told(callback.promised_from_ms, callback.promised_until_ms)
    assert window in draft.text
    assert callback.case_number in draft.text
    request = draft.request
    assert request.step == f"callback-promised:{callback.callback_id}:1"
    assert (request.language, request.rule) == ("ur", "callback-promised@1")
    assert (request.person, request.sealed_number) == (callback.person, callback.sealed_number)
    assert request.requested_ms < request.expires_ms <= callback.promised_until_ms
    assert not request.HasField("input")


def test_a_moved_one_is_told_as_another_message() -> None:
    desk, callback = promised()
    [first] = told(desk, callback)
    desk.waits(HOUR)
    [moved] = desk.waits(2 * HOUR - DEFAULT.ahead_ms)
    [draft] = told(desk, moved)
    assert draft.request.step == f"callback-moved:{callback.callback_id}:2"
    assert draft.request.message_id != first.request.message_id
    assert DEFAULT.told(moved.promised_from_ms, moved.promised_until_ms) in draft.text


def test_the_same_state_asks_for_the_same_message() -> None:
    desk, callback = promised()
    ids = {draft.request.message_id for _ in range(2) for draft in told(desk, callback)}
    assert len(ids) == 1


def test_nothing_is_told_when_it_is_too_late_or_nobody_reads_it() -> None:
    desk, callback = promised()
    desk.now_ms = callback.promised_until_ms
    assert told(desk, callback) == []
    desk, callback = promised(common_pb2.LINE_FIXED)
    assert told(desk, callback) == []


def test_giving_up_is_told() -> None:
    desk, callback = promised()
    desk.asks("amal", callback.callback_id, "claim")
    ended = desk.asks("amal", callback.callback_id, "give_up")
    [draft] = told(desk, ended)
    assert draft.request.step == f"callback-given-up:{callback.callback_id}"


def test_the_shipped_times_are_the_ones_without_a_section() -> None:
    assert shelf.read(None).shared.calling == calling.parse("centre: {ar: a, en: b}", "mine.yaml")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("lease: 10", "callbacks.lease: must be a number and s, m, h or d"),
        ("lease: 2h", "callbacks.lease: must be"),
        ("tries: 0", "callbacks.tries: must be a whole number from 1 to 20"),
        ("zone: Nowhere/At-All", "callbacks.zone: must be a time zone"),
        ('parts: ["08:00-08:30"]', "callbacks.parts: must be parts"),
        ('parts: ["12:00-16:00", "08:00-12:00"]', "callbacks.parts: must be parts"),
        ('parts: ["20:00-24:30"]', "callbacks.parts: must be parts"),
        ("leese: 1m", "callbacks.leese: is not known here"),
    ],
)
def test_a_wrong_section_is_told_with_line_and_field(section: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml, line 2") as wrong:
        calling.parse(f"callbacks:\n  {section}\n", "mine.yaml")
    assert told in str(wrong.value)
