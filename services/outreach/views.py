"""How callbacks stand in Redis: by id, and the due ones in the order in which to call.

The order is the house's promise: life-safety before everybody, then whoever reached out first.
"""

from mawja.outreach.v1 import events_pb2

from services.runtime.store import IndexOp, Item

ROOM = "outreach"
# Above every place in milliseconds until the year 2286, and exact in Redis's doubles.
_AFTER_LIFE_SAFETY = 1e13


def key(callback_id: str) -> str:
    """Where a callback stands."""
    return f"{ROOM}:callback:{callback_id}"


def due_index(agency: str) -> str:
    """The sorted set of due callback ids: of one agency, or of all when `agency` is empty."""
    return f"{ROOM}:due:{agency}"


def score(callback: events_pb2.Callback) -> float:
    """The place in the order of calling; lowest first."""
    return callback.place_ms + (0.0 if callback.life_safety else _AFTER_LIFE_SAFETY)


def item(
    callback: events_pb2.Callback, offset: int, before: events_pb2.Callback | None = None
) -> Item:
    """The view entry of a callback decided at `offset`; `before` is how it stood until then.

    The number is left out: nobody reads it here.
    """
    shown = events_pb2.Callback()
    shown.CopyFrom(callback)
    shown.ClearField("sealed_number")
    member = callback.callback_id.encode()
    due = callback.state == events_pb2.CALLBACK_STATE_DUE
    place = score(callback) if due else None
    operations = [IndexOp(due_index(""), member, place)]
    if callback.agency:
        operations.append(IndexOp(due_index(callback.agency), member, place))
    if before is not None and before.agency not in ("", callback.agency):
        operations.append(IndexOp(due_index(before.agency), member, None))
    return Item(key(callback.callback_id), shown.SerializeToString(), offset, tuple(operations))
