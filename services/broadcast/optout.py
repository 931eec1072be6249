"""Tells a request to stop from any other message. Pure.

A message counts only when it is nothing but one of the words: "STOP" and "إيقاف!" do, "please stop
by the office" does not. What is wrongly taken as a stop silences a person who needs us; what is
missed is read by an agent.
"""

import re
import unicodedata

# English: the words that carriers act on themselves (CTIA, Messaging Principles and Best Practices:
# STOP, CANCEL, UNSUBSCRIBE, QUIT, END) and their common spellings. Arabic: stop, halt, cancel,
# cancel the subscription, stop the messages, and "STOP" in Arabic letters; hamza may be left out.
WORDS = (
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "unsub",
    "cancel",
    "end",
    "quit",
    "opt out",
    "opt-out",
    "optout",
    "إيقاف",
    "ايقاف",
    "أوقف",
    "أوقفوا",
    "قف",
    "توقف",
    "توقفوا",
    "إلغاء",
    "الغاء",
    "إلغاء الاشتراك",
    "إلغاء اشتراك",
    "إيقاف الرسائل",
    "إيقاف الاشتراك",
    "وقف",
    "ستوب",
)

_ALEF = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ؤ": "و", "ئ": "ي"})
_TATWEEL = "\u0640"
_BETWEEN = re.compile(r"[\s\-_]+")
LONGEST = 64
"""Characters: a longer text is never a request to stop."""


def normal(text: str) -> str:
    """The word as it is compared: one case, no diacritics or tatweel, alef and hamza in one form,
    single spaces, no punctuation, symbols or invisible marks around it."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_ALEF)
    kept = "".join(
        char
        for char in folded
        if char != _TATWEEL and unicodedata.category(char) not in ("Mn", "Cf", "Me")
    )
    start, end = 0, len(kept)
    while start < end and _is_edge(kept[start]):
        start += 1
    while end > start and _is_edge(kept[end - 1]):
        end -= 1
    return _BETWEEN.sub(" ", kept[start:end])


def is_stop(text: str) -> bool:
    """Whether `text`, as a whole, asks us to stop."""
    return len(text) <= LONGEST and normal(text) in _NORMAL


def _is_edge(char: str) -> bool:
    return unicodedata.category(char)[0] in "PSZC"


_NORMAL = frozenset(map(normal, WORDS))
