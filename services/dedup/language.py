"""The language of a text, where its source does not know it, from script and function words.

The answer goes back to the person in it, so it is given only when the text shows it: the script
tells Hindi, Bengali and Malayalam; letters that Arabic has not tell Urdu; function words tell
languages in Latin letters apart. Arabic in Latin letters (Arabizi) stays unknown.
"""

import re
from collections.abc import Mapping

from services.dedup.words import tokens

_LOOKED_AT = 600
_LETTERS = {
    "ar": re.compile("[\u0621-\u064a\u066e-\u06d3]"),
    "hi": re.compile("[\u0904-\u0939]"),
    "bn": re.compile("[\u0985-\u09b9]"),
    "ml": re.compile("[\u0d05-\u0d39]"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f]"),
}
# Urdu letters that neither Arabic nor its Gulf spelling (چ گ پ) has.
_URDU = re.compile("[ٹڈڑںےۓہھ]")
_ENOUGH_LETTERS = 3


def identify(text: str, function_words: Mapping[str, frozenset[str]]) -> str:
    """The BCP 47 code of the text's language, or "" when it does not show.

    `function_words`: for each language in Latin letters, frequent words that the others have not.
    """
    text = text[:_LOOKED_AT]
    best, most = "", _ENOUGH_LETTERS - 1
    for script, letters in _LETTERS.items():
        count = len(letters.findall(text))
        if count > most:
            best, most = script, count
    if best == "ar":
        return "ur" if len(_URDU.findall(text)) * 25 >= most else "ar"
    if best != "latin":
        return best
    said = tokens(text)
    hits = {
        language: sum(word in words for word in said) for language, words in function_words.items()
    }
    likely = max(hits, key=lambda language: hits[language], default="")
    if not likely or not hits[likely]:
        return ""
    # A tie shows nothing.
    return likely if sum(n == hits[likely] for n in hits.values()) == 1 else ""
