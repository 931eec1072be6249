"""Sayings of danger, in every language at once (languages/*.yaml). Pure.

What is said without danger ("the weather is killing us") takes back only what is said in its own
sentence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.dedup.language import Language, Saying, Words
from services.dedup.stems import stem

# Letters that Arabic writes together with the word that follows: and, then, by, for.
_CLITICS = frozenset("وفبل")
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What a text says of danger, in words of ours: `danger`, and `calm` where the same sentence
    takes it back; empty when it says nothing."""

    danger: str
    calm: str


NOTHING = Found("", "")


class Watch:
    """Looks for danger in texts."""

    def __init__(self, languages: Iterable[Language]) -> None:
        self._danger = _Sayings()
        self._calm = _Sayings()
        for language in languages:
            self._danger.add(language.danger)
            self._calm.add(language.calm)

    def look(self, sentences: Iterable[Sequence[str]]) -> Found:
        """What the sentences of a text say of danger (`words.sentences`); one that nothing takes
        back counts before others."""
        doubted = NOTHING
        for said in sentences:
            if not (danger := self._danger.found(said)):
                continue
            calm = self._calm.found(said)
            if calm is None:
                return Found(danger.why, "")
            doubted = Found(danger.why, calm.why)
        return doubted


class _Sayings:
    """Finds sayings; each is looked for only where a word of its rarest place is said."""

    def __init__(self) -> None:
        self._by_word: dict[str, list[Saying]] = {}

    def add(self, sayings: Iterable[Saying]) -> None:
        for saying in sayings:
            # Places of few words are looked up first: they are said the least.
            trigger = min(saying.places, key=len)
            for words in trigger:
                self._by_word.setdefault(words[0], []).append(saying)

    def found(self, said: Sequence[str]) -> Saying | None:
        """The first of the sayings that a sentence holds."""
        forms = [frozenset(_forms(token)) for token in said]
        every = frozenset[str]().union(*forms)
        for form in every:
            for saying in self._by_word.get(form, ()):
                if all(_holds(place, forms, every) for place in saying.places):
                    return saying
        return None


def _holds(place: frozenset[Words], forms: Sequence[frozenset[str]], every: frozenset[str]) -> bool:
    for words in place:
        if words[0] not in every:
            continue
        if len(words) == 1:
            return True
        for start in range(len(forms) - len(words) + 1):
            if all(word in forms[start + place] for place, word in enumerate(words)):
                return True
    return False


def _forms(token: str) -> Iterable[str]:
    yield token
    bare = stem(token)
    if bare is not token:
        yield bare
    if token[0] in _CLITICS and len(token) > _SHORTEST:
        yield token[1:]
