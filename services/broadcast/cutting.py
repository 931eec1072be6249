"""What a phone will show of a message that waits, cut for a carrier's wire."""

from services.broadcast import wording
from services.broadcast.lanes import Waiting
from services.broadcast.segments import Wire
from services.broadcast.wording import Cut
from services.runtime.privacy import Keyring


def cut(keyring: Keyring, waiting: Waiting, wire: Wire) -> Cut:
    """The text as it is sent, and its parts.

    Raises Poison (Erased: its key is gone) for what nobody can read, and TextError for what the
    wire can't hold.
    """
    known = waiting.cut
    if known is not None and (known.wire is wire or known.wire == wire):
        return known
    queued = waiting.message
    text = keyring.unseal("text", queued.sealed_text) if known is None else known.text
    return wording.cut(text, queued.drill, wire)
