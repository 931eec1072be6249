"""What a phone shows of a message: a rehearsal never looks like the real thing. Pure.

In 2018 a test in Hawaii that looked like the live alert was taken for one, for 38 minutes.
"""

from services.runtime.smpp_text import Alphabet

_LATIN_MARK = "DRILL: "
_ARABIC_MARK = "تمرين DRILL: "


def shown(text: str, drill: bool, alphabet: Alphabet) -> str:
    """The text as it is sent. That of a rehearsal begins with a mark: in Latin letters alone where
    the text is, so that it takes no more of the carrier's alphabet than it did."""
    if not drill:
        return text
    return (_LATIN_MARK if alphabet.can_encode(text) else _ARABIC_MARK) + text
