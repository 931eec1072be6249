"""Which cases are in an incident, held against dedup's own state after every decision."""

import random

from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1.incidents_pb2 import IncidentDecision

from services.broadcast.gathering.incidents import Membership
from services.runtime import ids
from tests.incidents_desk import Desk, case_of

TEXTS = (
    "نفق خيطان غرق بالماي والسيارات عالقة، السيارة تنطفي وسط نفق خيطان",
    "Khaitan underpass is flooded, cars are stuck in the water at the Khaitan tunnel",
    "انقطعت الكهرباء عن منطقة السالمية قطعة 4 منذ ساعتين",
    "الكهرباء مقطوعة في السالمية قطعة 4 من ساعتين، متى ترجع الكهرباء؟",
    "no power in Salmiya block 4 since two hours, when is electricity back",
)


def key(case_id: str) -> bytes:
    return bytes.fromhex(case_id.replace("-", ""))


def test_it_says_what_dedup_says_after_every_decision() -> None:
    chance, desk, follows, most = random.Random(7), Desk(), Membership(), 0
    told = unlinked = 0
    names = {case_of(f"c{number}"): f"c{number}" for number in range(40)}
    for step in range(120):
        name = f"c{chance.randrange(40)}"
        if step % 9 == 8 and desk.state.groups:
            incident = chance.choice(sorted(desk.state.groups))
            case = chance.choice(sorted(desk.state.groups[incident].needs))
            unlinked += not desk.unlink(names[case], incident, key=str(step)).outcome.code
        else:
            desk.say(name, chance.choice(TEXTS), step)
        for decision in desk.log[told:]:
            follows.take(decision)
        told = len(desk.log)
        for incident, group in desk.state.groups.items():
            members = follows.members(incident)
            assert members is not None
            assert members.cases == {key(one) for one in group.needs}
            assert not members.lacking
            assert members.first_ms == group.first_ms
        most = max([most, *(len(group.needs) for group in desk.state.groups.values())])
        for gone, into in desk.state.gone.items():
            if into in desk.state.groups:
                assert follows.members(gone) == follows.members(into)
            elif not into:
                assert follows.members(gone) is None
    assert most > 5
    assert unlinked > 5


def test_one_of_which_the_log_lost_some_says_so() -> None:
    name, case = ids.derive("incident", "1"), ids.derive("case", "9")
    follows = Membership()
    stated = incidents_pb2.Incident(incident_id=name, cases=3, first_ms=5)
    joined = incidents_pb2.INCIDENT_CHANGE_JOINED
    follows.take(
        IncidentDecision(change=joined, case_id=case, incident_id=name, incidents=[stated])
    )
    members = follows.members(name)
    assert members is not None
    assert members.lacking
