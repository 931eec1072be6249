"""What is put together from serialised messages is what protobuf would have written."""

from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import service_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord

from services.broadcast import shown, status_log
from services.runtime import wire

CHANGES = st.builds(
    MessageChange,
    message_id=st.text(max_size=300),
    state=st.integers(0, 9),
    person=st.binary(max_size=16),
    carrier_ids=st.lists(st.text(max_size=5), max_size=3),
    expires_ms=st.integers(0, 2**63 - 1),
)
MOMENTS = st.integers(0, 2**63 - 1)


@given(st.lists(CHANGES, max_size=5), MOMENTS)
def test_a_record_of_the_status_log(changes: list[MessageChange], decided_ms: int) -> None:
    whole = StatusRecord(changes=changes, decided_ms=decided_ms).SerializeToString()
    assert status_log.record_of([c.SerializeToString() for c in changes], decided_ms) == whole


@given(CHANGES, MOMENTS)
def test_a_message_as_the_view_has_it(change: MessageChange, changed_ms: int) -> None:
    whole = service_pb2.GetMessageResponse(message=change, changed_ms=changed_ms)
    assert shown.payload(change.SerializeToString(), changed_ms) == whole.SerializeToString()


@given(MOMENTS)
def test_a_number_is_read_as_it_was_written(value: int) -> None:
    octets, read = wire.varint(value), 0
    for place, octet in enumerate(octets):
        assert (octet >= 0x80) == (place < len(octets) - 1)
        read |= (octet & 0x7F) << (7 * place)
    assert read == value
