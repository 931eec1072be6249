"""The language of a text, where its source does not know it, from script, letters and words.

The answer goes back to the person in it, so it is given only when the text shows it. The script
tells a language that is alone in its script; letters that the others have not, and frequent words
that they have not, tell apart those that share one. What is written only in signs stays unknown.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.dedup.language import Language
from services.dedup.words import is_code

_LOOKED_AT = 600
"""Characters, and words: a longer text shows its language long before."""
_LETTERS = {
    "arabic": re.compile("[\u0621-\u064a\u066e-\u06d3]"),
    "devanagari": re.compile("[\u0904-\u0939]"),
    "bengali": re.compile("[\u0985-\u09b9]"),
    "malayalam": re.compile("[\u0d05-\u0d39]"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f]"),
}
_ENOUGH_LETTERS = 3
# Other letters in a word that a letter shows the language of: gate B2 is in no language.
_BESIDE = 2


@dataclass(frozen=True, slots=True)
class Guess:
    """A language (BCP 47, "" when the text does not show it) and how sure, 0 to 1."""

    code: str
    confidence: float


NOTHING = Guess("", 0.0)


class Identifier:
    """Tells languages apart. Of several in one script, the one without letters of its own is what
    the script most often is, and is taken when nothing shows another."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._of_script: dict[str, list[Language]] = {}
        for language in languages:
            self._of_script.setdefault(language.script, []).append(language)

    def identify(self, text: str, said: Sequence[str]) -> Guess:
        """The language of a text, of which `said` are the tokens. Any string is accepted."""
        text = text[:_LOOKED_AT]
        counts = {script: len(letters.findall(text)) for script, letters in _LETTERS.items()}
        script = max(counts, key=lambda one: counts[one])
        if counts[script] < _ENOUGH_LETTERS or script not in self._of_script:
            return NOTHING
        share = counts[script] / sum(counts.values())
        candidates = self._of_script[script]
        if len(candidates) == 1:
            return Guess(candidates[0].code, share)
        return self._among(candidates, said[:_LOOKED_AT], share)

    def _among(self, candidates: Sequence[Language], said: Sequence[str], share: float) -> Guess:
        said = [word for word in said if not is_code(word)]
        hits = Counter[str]()
        for language in candidates:
            hits[language.code] = sum(word in language.shows for word in said)
            hits[language.code] += sum(
                not language.letters.isdisjoint(word)
                and len(word) - sum(letter in language.letters for letter in word) >= _BESIDE
                for word in said
            )
        (best, most), (_, next_most) = hits.most_common(2)
        if most > next_most:
            return Guess(best, share * (most - next_most) / (most + 0.5))
        usual = [one.code for one in candidates if not one.letters]
        if most == 0 and len(usual) == 1:
            return Guess(usual[0], share * 0.5)
        return NOTHING
