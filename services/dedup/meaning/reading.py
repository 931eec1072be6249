"""What a question asks, and about what. Pure.

"What is X", "what does X mean" and "define X" ask the same of X; "how is X made" does not. So a
question is read as what it asks (from a list, `asks.yaml`) and its topic: the words that are
neither that nor the frame of any question. Two topics are held against each other word by word, by
stems that lose the endings which Arabic writes onto a word.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from services.dedup.stems import ARTICLES, ENDINGS
from services.dedup.words import is_code, tokens

LONGEST = 600
"""Characters of a text that are read for its meaning; what is asked is said before that."""
_LAST_ASKING = 6
_JOINED = "وبلف"
_SHORTEST_STEM = 3
_UNSEEN = re.compile("[\u064b-\u065f\u0640\u0670\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_NO_WORD = re.compile(r"[^\w\s\u0900-\u0d7f]")

GENERAL = frozenset({"what", "how", "whether", "amount"})
"""What is asked when nothing else is: "how many people" asks for people."""
_PERSON = frozenset({"هو", "هي", "هم"})


@dataclass(frozen=True, slots=True)
class Asking:
    """The words of asks.yaml, in one spelling: `frame` says nothing; `asks` by word; `sorts`
    (stems) say what sort of thing comes next; `apart`: word to its set and place in it;
    `negations` turn a sentence round. `alike`: what words and stems mean, in any language.
    `doing`: what is asked that is done with a thing, and no side of it."""

    frame: frozenset[str]
    asks: Mapping[str, frozenset[str]]
    sorts: frozenset[str]
    apart: Mapping[str, tuple[tuple[int, str], ...]]
    negations: frozenset[str]
    alike: Mapping[str, str]
    doing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it is compared.

    `text`: as the model gets it; `words`: in one spelling; `asks`: what is asked, `sides`: of that,
    what is not done with the thing, `general`: in which manner; `topic`: words by meaning or stem,
    `sorts`: those that only say what sort of thing it is; `apart`: of a small set of words, which;
    `names`: codes and numbers.
    """

    text: str
    words: tuple[str, ...]
    asks: frozenset[str]
    sides: frozenset[str]
    general: frozenset[str]
    topic: Mapping[str, str]
    sorts: frozenset[str]
    apart: Mapping[int, frozenset[str]]
    names: frozenset[str]
    negated: bool

    @property
    def about(self) -> str:
        """The topic as one text."""
        return " ".join(self.topic.values())

    def beyond(self, other: "Reading") -> str:
        """What this topic says that the other does not, as one text."""
        return " ".join(
            word
            for stem, word in self.topic.items()
            if stem not in other.topic and stem not in self.sorts
        )


def cleaned(text: str) -> str:
    """A text as the model gets it: bounded, without diacritics, signs and what can't be seen."""
    text = unicodedata.normalize("NFKC", text[:LONGEST].replace("\0", " "))
    return " ".join(_NO_WORD.sub(" ", _UNSEEN.sub("", text)).split())


def read(text: str, asking: Asking) -> Reading:
    """Reads a text. Any string is accepted; one without words has no topic."""
    text = text[:LONGEST]
    words = tuple(tokens(text))
    asked: set[str] = set()
    topic: list[str] = []
    opening, last = True, ""
    for place, word in enumerate(words):
        if word in asking.negations and place:
            topic.append(word)
            opening = False
            continue
        found = _asked(word, asking, opening and place + 1 < len(words))
        if found and (opening or (place <= _LAST_ASKING and bare(word) == word)):
            asked |= found
            last = word
        elif word not in asking.frame and not (place == 0 and word in asking.negations):
            opening = False
            topic.append(word)
    if words[:1] == ("من",) and words[1:2] and words[1] in _PERSON:
        asked.add("who")
    if words[:1] == ("لم",):
        asked.add("cause")
    if words[:1] == ("لمن",):
        asked.add("who")
    topic = topic or ([last] if last else list(words))
    stems = {_meant(word, asking): word for word in dict.fromkeys(topic)}
    apart: dict[int, set[str]] = {}
    for word in words:
        for number, one in asking.apart.get(word) or asking.apart.get(bare(word)) or ():
            apart.setdefault(number, set()).add(one)
    told = _told(asked)
    return Reading(
        text=cleaned(text),
        words=words,
        asks=told,
        sides=told - asking.doing,
        general=frozenset(asked & (GENERAL - {"what"})),
        topic=stems,
        sorts=frozenset(key for key, word in stems.items() if stemmed(word) in asking.sorts),
        apart={number: frozenset(ones) for number, ones in apart.items()},
        names=frozenset(w for w in words if is_code(w) or any(c.isdigit() for c in w)),
        negated=any(word in asking.negations for word in words[1:]),
    )


def bare(word: str) -> str:
    """The word without the Arabic article."""
    for article in ARTICLES:
        if word.startswith(article) and len(word) - len(article) >= 2:
            return word[len(article) :]
    return word


def stemmed(word: str) -> str:
    """The word without what Arabic writes together with it: article, conjunction, ending."""
    stem = bare(word)
    if stem == word and word[:1] in _JOINED and len(word) > 4:
        stem = word[1:]
    for ending in ENDINGS:
        if stem.endswith(ending) and len(stem) - len(ending) >= _SHORTEST_STEM:
            return stem[: -len(ending)]
    return stem


def _meant(word: str, asking: Asking) -> str:
    """What a word of a topic is known by: its meaning, else its stem."""
    known = asking.alike
    return known.get(word) or known.get(bare(word)) or stemmed(word)


def _asked(word: str, asking: Asking, with_article: bool) -> frozenset[str]:
    found = asking.asks.get(word)
    if found is None and len(word) > 3 and word[0] in _JOINED:
        found = asking.asks.get(word[1:])
    if found is None and with_article and (stem := bare(word)) != word:
        found = asking.asks.get(stem)
    return found or frozenset()


def _told(asked: set[str]) -> frozenset[str]:
    """What is asked in particular; else in general; else what the thing is."""
    particular = asked - GENERAL
    for general in ("how", "amount", "whether"):
        if not particular and general in asked:
            return frozenset([general])
    return frozenset(particular) or frozenset(["what"])
