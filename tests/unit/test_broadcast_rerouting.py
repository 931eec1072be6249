"""Which other carrier a message is given to: what it can take, in its own parts, drill or not."""

from pathlib import Path
from typing import Any

import pytest

from services.broadcast.detours import Shares
from services.broadcast.lanes import BULK, NORMAL, URGENT, Lane, Lanes, Waiting
from services.broadcast.rerouting import Rerouting
from services.broadcast.routes import parse
from services.runtime import privacy
from services.runtime.privacy import Keyring
from tests.broadcast_parts import queued

NOW_MS = 1_800_000_000_000
CARRIER = """
  - {name: %s, kind: smpp, declared: %s, host: h, port: 1, system_id: s, password_file: p,
     sender: %s, parts_per_second: 100%s}"""
KINDS = [
    ("first", "live", "GovCare", ""),
    ("second", "live", "GovCare", ""),
    ("turkish", "live", "GovCare", ", national: [tr]"),
    ("other", "live", "Others", ""),
    ("drill-one", "test", "DRILL", ""),
    ("drill-two", "test", "DRILL", ""),
]
FILE = "carriers:" + "".join(CARRIER % one for one in KINDS)


class Office:
    """A partition's lanes, and carriers whose shares are told."""

    def __init__(self, folder: Path, routes: str, **shares: float) -> None:
        privacy.create(folder, NOW_MS)
        self.keyring = Keyring(folder)
        self.routes = parse(f"{FILE}\nroutes:\n{routes}", "carriers.yaml")
        self.shares = Shares()
        self.now(**shares)
        self.rerouting = Rerouting(self.keyring, self.routes, self.shares)
        self.rerouting.left = 1_000
        self.lanes = Lanes()

    def now(self, **shares: float) -> None:
        all_ = dict.fromkeys(self.routes.carriers, 1.0)
        all_ |= {name.replace("_", "-"): share for name, share in shares.items()}
        self.shares.set(all_, all_)

    def waiting(
        self, name: str, carrier: str, text: str = "hello", lane: Lane = BULK, **fields: Any
    ) -> Waiting:
        message = queued(name, lane)
        message.sealed_number = self.keyring.seal("number", "+971551234567", NOW_MS)
        message.sealed_text = self.keyring.seal("text", text, NOW_MS)
        for field, value in fields.items():
            setattr(message, field, value)
        return Waiting(message, 0, carrier)


TWO = """
  - {prefix: "+971", carrier: first}
  - {prefix: "+", carrier: second}
"""


def test_what_waits_for_a_carrier_that_is_away_is_given_to_the_next_rank(tmp_path: Path) -> None:
    office = Office(tmp_path, TWO, first=0.0)
    for number in range(50):
        office.lanes.add(office.waiting(f"m{number}", "first", campaign_id="c"))
    office.lanes.away = {"first"}
    office.lanes.move(BULK, "first", office.rerouting.better)
    assert office.lanes.first(BULK, "first") is None
    assert office.lanes.of_campaigns("", BULK, away=True) == 0
    assert office.lanes.of_campaigns("", BULK, away=False) == 50
    order = [office.lanes.take(BULK, "second").message.person for _ in range(50)]
    assert order == [queued(f"m{number}").person for number in range(50)]


def test_who_is_well_keeps_everything_without_being_looked_up(tmp_path: Path) -> None:
    office = Office(tmp_path, TWO)
    waiting = office.waiting("m", "first")
    assert office.rerouting.settled(waiting)
    assert office.rerouting.better(waiting) == ""
    assert waiting.ranks is None


def test_looking_up_has_an_end_in_each_round(tmp_path: Path) -> None:
    office = Office(tmp_path, TWO, first=0.0)
    for number in range(5):
        office.lanes.add(office.waiting(f"m{number}", "first"))
    office.rerouting.left = 3
    office.lanes.move(BULK, "first", office.rerouting.better)
    counts = [office.lanes.first(BULK, name) for name in ("first", "second")]
    assert all(counts)
    office.rerouting.left = 3
    office.lanes.move(BULK, "first", office.rerouting.better)
    assert office.lanes.first(BULK, "first") is None
    assert office.lanes.count(BULK) == 5


def test_who_stays_is_looked_up_once_until_the_shares_change(tmp_path: Path) -> None:
    office = Office(tmp_path, TWO, first=0.0, second=0.0)
    waiting = office.waiting("m", "first")
    assert office.rerouting.better(waiting) == ""
    assert office.rerouting.settled(waiting)
    office.now(first=0.0)
    assert not office.rerouting.settled(waiting)
    assert office.rerouting.better(waiting) == "second"


def test_the_parts_are_those_of_the_other_wire(tmp_path: Path) -> None:
    routes = TWO.replace("first}", "turkish}")
    office = Office(tmp_path, routes, turkish=0.0)
    waiting = office.waiting("m", "turkish", "ı" * 150, parts=1)
    assert office.rerouting.better(waiting) == "second"
    assert waiting.message.parts == 3


def test_a_text_that_another_cannot_take_stays(tmp_path: Path) -> None:
    """255 parts are the most; with a national table it takes 1 for each 152 characters."""
    routes = TWO.replace("first}", "turkish}")
    office = Office(tmp_path, routes, turkish=0.0)
    waiting = office.waiting("m", "turkish", "ı" * 30_000, parts=200)
    assert office.rerouting.better(waiting) == ""
    assert (waiting.carrier, waiting.message.parts) == ("turkish", 200)
    assert not office.rerouting.after_refusal(waiting, for_good=False)


@pytest.mark.parametrize("drill", [False, True])
def test_a_drill_never_goes_to_a_live_carrier_nor_the_real_thing_to_a_test_one(
    tmp_path: Path, drill: bool
) -> None:
    every = "".join(f'  - {{prefix: "+", carrier: {name}}}\n' for name, *_ in KINDS)
    office = Office(tmp_path, every)
    declared = "test" if drill else "live"
    mine = [name for name, spec in office.routes.carriers.items() if spec.declared == declared]
    for number in range(40):
        waiting = office.waiting(f"m{number}", mine[number % len(mine)], drill=drill)
        seen = [waiting.carrier]
        while len(seen) < 10 and office.rerouting.after_refusal(waiting, for_good=True):
            seen.append(waiting.carrier)
        assert sorted(seen) == sorted(mine), "each once, and no other"
    office.now(**{name.replace("-", "_"): 0.0 for name in mine})
    waiting = office.waiting("m", mine[0], drill=drill)
    assert office.rerouting.better(waiting) == "", "it waits for its own"


def test_a_campaigns_message_goes_only_under_the_name_that_was_approved(tmp_path: Path) -> None:
    routes = TWO.replace("second", "other")
    office = Office(tmp_path, routes, first=0.0)
    assert office.rerouting.better(office.waiting("m", "first", campaign_id="c")) == ""
    assert office.rerouting.better(office.waiting("m", "first")) == "other"


def test_after_a_refusal_all_are_asked_in_turn_and_then_again(tmp_path: Path) -> None:
    routes = TWO + '  - {prefix: "+9", carrier: turkish}\n'
    office = Office(tmp_path, routes)
    waiting = office.waiting("m", "first", lane=NORMAL)
    asked = ["first"]
    for _ in range(5):
        assert office.rerouting.after_refusal(waiting, for_good=False)
        asked.append(waiting.carrier)
    assert asked[:3] == ["first", "turkish", "second"]
    assert asked[3] != "second"
    assert set(asked[3:]) <= {"first", "turkish", "second"}


def test_who_refused_for_good_is_never_asked_again(tmp_path: Path) -> None:
    office = Office(tmp_path, TWO)
    waiting = office.waiting("m", "first", lane=URGENT)
    assert office.rerouting.after_refusal(waiting, for_good=True)
    assert waiting.carrier == "second"
    assert not office.rerouting.after_refusal(waiting, for_good=False)
    office.now(second=0.0)
    assert office.rerouting.better(waiting) == "", "it waits rather than be refused again"


def test_who_has_the_only_route_it_may_have_waits_for_it_and_fails_when_refused(
    tmp_path: Path,
) -> None:
    alone = TWO.replace("carrier: first", "carrier: first, fallback: none")
    office = Office(tmp_path, alone, first=0.0)
    waiting = office.waiting("m", "first")
    assert office.rerouting.better(waiting) == ""
    for for_good in (False, True):
        assert not office.rerouting.after_refusal(waiting, for_good=for_good)
    assert waiting.carrier == "first"
    assert Office(tmp_path, TWO).rerouting.after_refusal(
        office.waiting("n", "first"), for_good=True
    )


def test_the_only_carrier_of_its_kind_is_never_left(tmp_path: Path) -> None:
    routes = TWO + '  - {prefix: "+999", carrier: drill-one}\n'
    office = Office(tmp_path, routes, drill_one=0.0, drill_two=0.0)
    waiting = office.waiting("m", "drill-one", drill=True)
    waiting.message.sealed_number = office.keyring.seal("number", "+999512345678", NOW_MS)
    assert office.rerouting.better(waiting) == ""
    assert not office.rerouting.after_refusal(waiting, for_good=False)
