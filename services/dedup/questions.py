"""Which question of the knowledge file a text asks, and how sure that is. Pure.

An entry is held as the average of the ways in which it is asked, once for each language and once
for all together, so that a text in another language meets it by what its words mean. Words count by
how few entries have them (idf: K. Spärck Jones, "A statistical interpretation of term specificity",
1972), those that most ways of asking have count in full, and a word that no entry has speaks
against all of them. A place or a name is the same word in every script (`sound`).

The confidence is a logistic function of six figures, fitted on the questions of the dev split of
tests/quality, where each scene's questions were split into ways of asking and texts to be matched.
Negations are left out: questions are full of them ("or not", "ما" for "what"), and they did not
tell right from wrong there. What does is a code (a file, a flight): it asks about one thing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from services.dedup.language import Language, meanings, stop_stems
from services.dedup.normalise import LONGEST
from services.dedup.sound import sound
from services.dedup.stems import stem
from services.dedup.words import is_code, tokens
from services.runtime.knowledge import Entry

# Fitted; see above. Likeness is a cosine, the rest are counts, each at most as many as stand below.
_START = -5.5
_LIKENESS = 9.0
_SHARED_WORD = 0.9
_UNKNOWN_WORD = -0.35
_WORD = -0.2
_A_CODE = -3.3
_ASKS = 2.2
_MOST_SHARED, _MOST_UNKNOWN, _MOST_WORDS, _MOST_CODES = 6, 12, 40, 2
# What a word weighs that no entry has, and a word that only sounds like one, as a share of the most
# that a word can weigh.
_OF_UNKNOWN = 0.35
_OF_SOUND = 0.7
_SHORTEST_SOUND = 3
# Below this nothing is told: it would be noise in every decision.
_TOLD = 0.2
_MOST_MET = 50_000
_MARKS = re.compile("[?؟]")
_ALL = "*"
_NOTHING = ("", 0.0)
_UNKNOWN = ("?", 0.0)
_CODE = ("#", 0.0)


@dataclass(frozen=True, slots=True)
class Answerable:
    """The entry that answers a text, and the one next to it ("" and 0 when there is none).
    Confidences from 0 to 1."""

    name: str
    confidence: float
    next_name: str
    next_confidence: float


class Questions:
    """Finds the entry that answers a text. `asking`: words that show that somebody asks. Remembers
    what the words that it met are, since most texts are made of the same ones."""

    def __init__(
        self,
        entries: Iterable[Entry],
        asking: Mapping[str, Sequence[str]],
        languages: Iterable[Language],
    ) -> None:
        spoken = tuple(languages)
        self._word = _words(spoken)
        self._asking = frozenset(
            token for words in asking.values() for word in words for token in tokens(word)
        )
        # (entry, its ways of asking by group), where a way is its words.
        asked = sorted(entries, key=lambda entry: entry.name)
        ways = [(entry.name, _grouped(entry, self._content_words)) for entry in asked]
        having: dict[str, set[str]] = {}
        for name, groups in ways:
            for word in (word for way in groups[_ALL] for word in way):
                having.setdefault(word, set()).add(name)
        self._heaviest = log(1 + len(ways))
        self._weight = {word: log(1 + len(ways) / len(who)) for word, who in having.items()}
        self._sounds = self._heard(text for entry in asked for text in _texts(entry))
        self._names: list[str] = []
        # By word: the averages that have it, by number, and its share of each average's length.
        self._having: dict[str, list[tuple[int, float]]] = {}
        for name, groups in ways:
            for group in groups.values():
                self._add(name, group)
        self._met: dict[str, tuple[str, float]] = {}

    def match(self, text: str, said: Iterable[str] | None = None) -> Answerable | None:
        """The entry that answers `text`; None when nothing is likely to. Any string is accepted.
        `said`: its tokens, where they are known already."""
        said = dict.fromkeys(tokens(text) if said is None else said)
        found: dict[str, float] = {}
        unknown = codes = 0
        for token in said:
            met = self._met.get(token)
            if met is None:
                met = self._meet(token)
            word, share = met
            if met is _UNKNOWN:
                unknown += 1
            elif met is _CODE:
                codes += 1
            elif share > found.get(word, 0.0):
                found[word] = share
        if not found:
            return None
        asks = _MARKS.search(text[:LONGEST]) is not None or not self._asking.isdisjoint(said)
        likeness, shared = self._compare(found, unknown + codes)
        common = (
            _START
            + _UNKNOWN_WORD * min(unknown + codes, _MOST_UNKNOWN)
            + _WORD * min(len(said), _MOST_WORDS)
            + _A_CODE * min(codes, _MOST_CODES)
            + _ASKS * asks
        )
        best: dict[str, float] = {}
        for number, cosine in likeness.items():
            name = self._names[number]
            own = _LIKENESS * cosine + _SHARED_WORD * min(shared[number], _MOST_SHARED)
            if own > best.get(name, -1.0):
                best[name] = own
        # Of equals the earlier name, so that every replica says the same.
        first, *others = sorted(best, key=lambda name: (-best[name], name))[:2]
        confidence = _logistic(common + best[first])
        if confidence < _TOLD:
            return None
        if not others or (next_confidence := _logistic(common + best[others[0]])) < _TOLD:
            return Answerable(first, confidence, "", 0.0)
        return Answerable(first, confidence, others[0], next_confidence)

    def _compare(
        self, found: Mapping[str, float], unknown: int
    ) -> tuple[dict[int, float], dict[int, int]]:
        """(cosine, words in common) of a text's words with each average that has one of them."""
        squares = unknown * (_OF_UNKNOWN * self._heaviest) ** 2
        likeness: dict[int, float] = {}
        shared: dict[int, int] = {}
        for word, share in found.items():
            weight = self._weight[word] * share
            squares += weight * weight
            for number, part in self._having[word]:
                likeness[number] = likeness.get(number, 0.0) + weight * part
                shared[number] = shared.get(number, 0) + 1
        length = sqrt(squares)
        return {number: dot / length for number, dot in likeness.items()}, shared

    def _meet(self, token: str) -> tuple[str, float]:
        """(word of an entry, how surely it is the one), or one of the marks above."""
        met = self._known(token)
        if met is not _CODE:
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            self._met[token] = met
        return met

    def _known(self, token: str) -> tuple[str, float]:
        word = self._word(token)
        if word in self._weight:
            return word, 1.0
        if is_code(token):
            return _CODE
        if not word:
            return _NOTHING
        if heard := self._sounds.get(sound(token)):
            return heard, _OF_SOUND
        return _UNKNOWN

    def _content_words(self, text: str) -> frozenset[str]:
        return frozenset(word for token in tokens(text) if (word := self._word(token)))

    def _heard(self, texts: Iterable[str]) -> dict[str, str]:
        """What is heard, and the word that it is: the first one where two sound alike."""
        heard: dict[str, str] = {}
        for token in (token for text in texts for token in tokens(text)):
            said = sound(token)
            if len(said) >= _SHORTEST_SOUND and (word := self._word(token)):
                heard.setdefault(said, word)
        return heard

    def _add(self, name: str, ways: Sequence[frozenset[str]]) -> None:
        counts: dict[str, int] = {}
        for word in (word for way in ways for word in way):
            counts[word] = counts.get(word, 0) + 1
        weights = {
            word: self._weight[word] * count / len(ways) for word, count in sorted(counts.items())
        }
        length = sqrt(sum(weight * weight for weight in weights.values()))
        for word, weight in weights.items():
            self._having.setdefault(word, []).append((len(self._names), weight / length))
        self._names.append(name)


def _words(languages: Sequence[Language]) -> Callable[[str], str]:
    """What a token counts as: its meaning, its stem, or "" when it says nothing about a need."""
    stop, alike = stop_stems(languages), meanings(languages)

    def word(token: str) -> str:
        plain = stem(token)
        if plain in stop or (len(token) == 1 and not token.isdigit()):
            return ""
        return alike.get(token) or alike.get(plain, plain)

    return word


def _grouped(
    entry: Entry, words: Callable[[str], frozenset[str]]
) -> dict[str, list[frozenset[str]]]:
    """The ways of asking by primary language, and all of them together."""
    groups: dict[str, list[frozenset[str]]] = {}
    for language, texts in entry.questions.items():
        ways = [way for text in texts if (way := words(text))]
        if ways:
            groups.setdefault(language.partition("-")[0], []).extend(ways)
    together = [way for ways in groups.values() for way in ways]
    return {**groups, _ALL: together} if len(groups) != 1 else {_ALL: together}


def _texts(entry: Entry) -> Iterator[str]:
    for texts in entry.questions.values():
        yield from texts


def _logistic(log_odds: float) -> float:
    return round(1 / (1 + exp(-log_odds)), 3)
