"""The language of a text, where its source does not know it, from script and function words.

The answer goes back to the person in it, so it is given only when the text shows it: the script
tells Hindi, Bengali and Malayalam; letters that Arabic has not tell Urdu; function words tell
languages in Latin letters apart. Arabic in Latin letters (Arabizi) stays unknown.
"""

from collections.abc import Mapping

from services.dedup.words import tokens

_LOOKED_AT = 600
_SCRIPTS = (
    (0x0600, 0x06FF, "ar"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0D00, 0x0D7F, "ml"),
)
# Urdu letters that neither Arabic nor its Gulf spelling (چ گ پ) has.
_URDU = frozenset("ٹڈڑںےۓہھ")
_ENOUGH_LETTERS = 3


def identify(text: str, function_words: Mapping[str, frozenset[str]]) -> str:
    """The BCP 47 code of the text's language, or "" when it does not show.

    `function_words`: for each language in Latin letters, frequent words that the others have not.
    """
    text = text[:_LOOKED_AT]
    counts: dict[str, int] = {}
    urdu = 0
    for letter in text:
        code = ord(letter)
        if code < 0x600:
            if letter.isalpha():
                counts["latin"] = counts.get("latin", 0) + 1
            continue
        for low, high, language in _SCRIPTS:
            if low <= code <= high:
                if letter.isalpha():
                    counts[language] = counts.get(language, 0) + 1
                    urdu += letter in _URDU
                break
    if not counts:
        return ""
    best = max(counts, key=lambda language: counts[language])
    if counts[best] < _ENOUGH_LETTERS:
        return ""
    if best == "ar":
        return "ur" if urdu * 25 >= counts["ar"] else "ar"
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
