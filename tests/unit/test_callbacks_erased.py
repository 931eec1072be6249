"""What is owed to who was erased ends once, whenever that is learned; what follows is new."""

from pathlib import Path

import pytest
from mawja.dedup.v1.erasures_pb2 import PersonErased
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.ending import Ending
from services.outreach.working import CLAIMED, WITHDRAWN, Refused
from services.runtime import privacy
from services.runtime.privacy import Keyring
from tests.callbacks_desk import Desk
from tests.outreach_told import NOW, Told

NUMBER = "+999501234567"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    privacy.create(tmp_path, NOW)
    return Keyring(tmp_path)


def sealed(keyring: Keyring, at_ms: int = NOW) -> bytes:
    return keyring.seal("number", NUMBER, at_ms, keyring.person(NUMBER))


def erase(keyring: Keyring, at_ms: int = NOW) -> None:
    keyring.erased.take(PersonErased(person=keyring.person(NUMBER), erased_ms=at_ms))


def owed(desk: Desk, keyring: Keyring) -> tuple[Told, outreach.Callback]:
    case = Told()
    case.case.sealed_number = sealed(keyring)
    desk.told(case.opened())
    [callback] = desk.told(case.abandoned(10))
    return case, callback


def test_it_ends_once_also_while_an_agent_has_it(keyring: Keyring) -> None:
    desk = Desk()
    ending = Ending(desk.callbacks, keyring.erased)
    case, callback = owed(desk, keyring)
    ending.take(callback)
    claimed = desk.asks("amal", callback.callback_id, "claim")
    assert claimed.state == CLAIMED
    assert ending.ended(desk.now_ms) == []
    erase(keyring)
    [ended] = ending.ended(desk.now_ms)
    assert (ended.state, ended.lease_until_ms, ended.version) == (WITHDRAWN, 0, claimed.version + 1)
    desk.callbacks.take(ended)
    ending.take(ended)
    assert ending.ended(desk.now_ms) == []
    with pytest.raises(Refused, match=r"or the person was erased$"):
        desk.asks("amal", callback.callback_id, "complete")
    # What had been given up before and is told only now.
    assert desk.told(case.abandoned(9)) == []


def test_a_new_owner_ends_what_the_last_one_had_not(keyring: Keyring) -> None:
    desk = Desk()
    owed(desk, keyring)
    erase(keyring)
    desk.crashes()
    [ended] = Ending(desk.callbacks, keyring.erased).ended(desk.now_ms)
    assert ended.state == WITHDRAWN


def test_what_is_learned_of_an_earlier_case_later_ends_too(keyring: Keyring) -> None:
    desk = Desk()
    ending = Ending(desk.callbacks, keyring.erased)
    erase(keyring)
    assert ending.ended(desk.now_ms) == []
    _, callback = owed(desk, keyring)
    ending.take(callback)
    [ended] = ending.ended(desk.now_ms)
    assert ended.callback_id == callback.callback_id


def test_what_is_owed_since_the_erasure_stays(keyring: Keyring) -> None:
    desk = Desk()
    ending = Ending(desk.callbacks, keyring.erased)
    erase(keyring, NOW - 1)
    _, callback = owed(desk, keyring)
    ending.take(callback)
    assert ending.ended(desk.now_ms) == []
