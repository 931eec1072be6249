"""An export's fold of the status log says of everybody what the owner's own books say."""

from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord

from services.broadcast.campaigns.outcomes import NONE, Outcomes
from services.broadcast.campaigns.people import message_id
from services.broadcast.campaigns.tally import Tally, key_of
from services.broadcast.messages import CLAIMED, DELIVERED, RELEASED, Messages, State
from services.runtime import ids

ID = ids.derive("campaign", "outcomes")
PEOPLE = [bytes([n]) * 16 for n in range(4)]


def change(
    person: bytes, state: State, attempt: int, correction: bool = False, resend: int = 0
) -> MessageChange:
    return MessageChange(
        message_id=message_id(ID, person, correction),
        campaign_id=ID,
        person=person,
        state=state,
        attempt=attempt,
        correction=correction,
        resend=resend,
        language="ar",
        carrier="one",
        parts=2,
    )


CHANGES = st.builds(
    change,
    st.sampled_from(PEOPLE),
    st.integers(CLAIMED, 9),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([0, 0, 0, 1, 2]),
)


@given(st.lists(CHANGES, max_size=60))
def test_what_the_books_ignore_is_ignored(changes: list[MessageChange]) -> None:
    messages, tally, found = Messages(), Tally(), Outcomes(ID)
    for at, one in enumerate(changes):
        if messages.fold(one, at, at):
            tally.take(one, at)
        found.take(StatusRecord(changes=[one], decided_ms=at))
    for correction in (False, True):
        counted = {
            (one.bucket, one.reason, one.language, one.carrier): (one.recipients, one.parts)
            for one in tally.stated(ID, correction)
        }
        mine: dict[object, tuple[int, int]] = {}
        for person in PEOPLE:
            known = messages.get(message_id(ID, person, correction))
            stand, decided_ms = found.of(person, correction)
            assert (stand is NONE) == (known is None)
            if known is None:
                continue
            assert (stand.state, stand.attempts) == (known.state, known.attempt)
            assert decided_ms == known.durable_ms
            key = key_of(known.change())
            if key[0] != campaigns_pb2.BUCKET_WAITING:
                recipients, parts = mine.get(key, (0, 0))
                mine[key] = recipients + 1, parts + stand.parts
        assert mine == counted


def test_other_campaigns_and_single_messages_say_nothing() -> None:
    found = Outcomes(ids.derive("campaign", "another"))
    found.take(StatusRecord(changes=[change(PEOPLE[0], CLAIMED, 1)]))
    assert found.of(PEOPLE[0]) == (NONE, 0)


def test_who_was_released_waits_and_has_had_an_attempt() -> None:
    found = Outcomes(ID)
    for at, state in enumerate((CLAIMED, RELEASED)):
        found.take(StatusRecord(changes=[change(PEOPLE[0], state, 1)], decided_ms=at))
    stand, decided_ms = found.of(PEOPLE[0])
    assert (stand.bucket, stand.attempts, decided_ms) == (campaigns_pb2.BUCKET_WAITING, 1, 1)
    # What no attempt began can't have come to its end.
    found.take(StatusRecord(changes=[change(PEOPLE[0], DELIVERED, 2)], decided_ms=2))
    assert found.of(PEOPLE[0]) == (stand, 1)
