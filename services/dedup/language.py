"""What is known of a language: what shows it, and what its words say of a need. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.dedup.stems import stem

Words = tuple[str, ...]
"""A word, or a phrase in the order of its words, in one spelling."""


@dataclass(frozen=True, slots=True)
class Saying:
    """Words that together mean something: one of each of `places`, in any order, in a sentence."""

    places: tuple[frozenset[Words], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Language:
    """One language. `code`: BCP 47. `name`: in English (en) and by those who speak it (own).

    `letters`: letters that the others of its script have not. `shows`: words that they have not.
    `stop`: words that say nothing about a need. `negations`: turn a sentence round. `alike`: the
    meaning of a word, named the same in all languages. `danger`: a life is in danger; `calm`: the
    same words without danger.
    """

    code: str
    name: Mapping[str, str]
    script: str
    letters: frozenset[str]
    shows: frozenset[str]
    stop: frozenset[str]
    negations: frozenset[str]
    alike: Mapping[Words, str]
    danger: tuple[Saying, ...]
    calm: tuple[Saying, ...]


def stop_stems(languages: Iterable[Language]) -> frozenset[str]:
    """The stems that say nothing about a need, of all languages together."""
    return frozenset(stem(word) for language in languages for word in language.stop)


def meanings(languages: Iterable[Language]) -> dict[str, str]:
    """What single words mean, of all languages together. Where two languages spell two meanings
    alike, the first language has it."""
    found: dict[str, str] = {}
    for language in languages:
        for words, meaning in language.alike.items():
            if len(words) == 1:
                found.setdefault(words[0], meaning)
    return found
