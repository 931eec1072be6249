"""What a phone shows of a message: a rehearsal never looks like the real thing. Pure.

In 2018 a test in Hawaii that looked like the live alert was taken for one, for 38 minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.broadcast.segments import Segmentation, Wire, seven_bit
from services.runtime.smpp_text import Alphabet

_LATIN_MARK = "DRILL: "
_ARABIC_MARK = "تمرين DRILL: "


def shown(text: str, drill: bool, alphabet: Alphabet, national: Sequence[str] = ()) -> str:
    """The text as it is sent. That of a rehearsal begins with a mark: in Latin letters alone where
    the carrier's alphabet or one of its national tables holds both, so that the text takes no more
    of it than it did."""
    if not drill:
        return text
    marked = _LATIN_MARK + text
    return marked if seven_bit(marked, alphabet, national) else _ARABIC_MARK + text


@dataclass(frozen=True, slots=True)
class Cut:
    """A message's text, and as what it goes over one carrier's wire."""

    wire: Wire
    # Not in what a log would show of it.
    text: str = field(repr=False)
    shown: str = field(repr=False)
    parts: Segmentation = field(repr=False)


def cut(text: str, drill: bool, wire: Wire) -> Cut:
    """Raises TextError for what the wire can't hold."""
    said = shown(text, drill, wire.alphabet, wire.national)
    return Cut(wire, text, said, wire.split(said))
