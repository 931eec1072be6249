"""Strikes out of a text what could tell who wrote it, so that it can stand as a sample. Pure.

Struck out are digits in any script and what they stand in (numbers, codes, flights, houses),
numbers written out that follow one another, e-mail and web addresses, handles, and the words after
those that a name follows: Mr, my name is, mother of, Abu, bin, حق أم … Better a word too many than
a name.
"""

import re

from services.dedup.normalise import normalise

STRUCK = "•"
LONGEST = 280
"""Characters of a sample."""
_ADDRESS = re.compile(r"\S*(?:@|://|www\.)\S*", re.IGNORECASE)
_WORD = re.compile(r"[\w\u0300-\u036f\u064b-\u065f\u0670\u0900-\u0d7f'’]+")
_UNSEEN = re.compile(r"[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
# Kunya, kinship, titles and "my name is": after these comes the name of a person.
_BEFORE_NAMES = """
أبو ابو ابوي أم ام امي أمي بن ابن بنت بنتي ولد ولدي ابني آل اخوي أخوي أخي اختي أختي خالي عمي خالتي
عمتي جدي جدتي زوجي زوجتي حرمتي رجلي ريلي والدي والدتي الوالد الوالدة يدي يدوه العم الخالة
اسمي اسمه اسمها الاسم اسم المدعو السيد السيدة الأستاذ استاذ الدكتور دكتور دكتورة الشيخ الحاج الحاجة
معك معكم معاك معاكم أنا انا انه يسمى
abu abo bu om umm um bin bint ben ibn name named mr mrs ms miss dr doctor sheikh sir madam maam
uncle aunt aunty auntie brother sister son daughter mother father wife husband mama baba
ommi omi abooy abooi ubuy ubooy okhoy akhoy okhti wldi waldi bnti benti 3ammi 5ali
ismi esmi ismha ana im this
नाम श्री بھائی بہن نام بیٹا بیٹی والد والدہ محمد ভাই আপা নাম আমার
kuya ate si ni pangalan ako പേര് ചേട്ടൻ ചേച്ചി ഞാൻ
"""
_COUNTING = """
zero one two three four five six seven eight nine double triple oh
صفر واحد اثنين اثنان ثلاثة اربعة أربعة خمسة ستة سبعة ثمانية تسعة
"""
_NAMED = frozenset(map(normalise, _BEFORE_NAMES.split()))
_COUNTED = frozenset(map(normalise, _COUNTING.split()))
_AFTER = 2
"""Words struck out after one that a name follows."""
_RUN = 3


def redacted(text: str) -> str:
    """At most LONGEST characters of a text without what is personal. Any string is accepted."""
    plain = _ADDRESS.sub(STRUCK, _UNSEEN.sub(" ", text[: 4 * LONGEST]))
    words = [(match.start(), match.end(), normalise(match[0])) for match in _WORD.finditer(plain)]
    strike = [any(letter.isdigit() for letter in word) for _, _, word in words]
    for place, (start, _, word) in enumerate(words):
        # What is written in capitals within a sentence of small letters is mostly a name.
        if _is_name(plain, start, words[place][1], place):
            strike[place] = True
        if word in _NAMED:
            for after in range(place + 1, min(place + 1 + _AFTER, len(words))):
                strike[after] = True
        run = [w for _, _, w in words[place : place + _RUN]]
        if len(run) == _RUN and all(w in _COUNTED for w in run):
            strike[place : place + _RUN] = [True] * _RUN
    kept, end = [], 0
    for (start, stop, _), struck in zip(words, strike, strict=True):
        kept.append(plain[end:start])
        kept.append(STRUCK if struck else plain[start:stop])
        end = stop
    kept.append(plain[end:])
    one_line = " ".join("".join(kept).split())
    return _shortened(re.sub(rf"{STRUCK}(?:\W*{STRUCK})+", STRUCK, one_line))


def _is_name(text: str, start: int, end: int, place: int) -> bool:
    word = text[start:end]
    if place == 0 or not (word[0].isupper() and word[1:].islower()):
        return False
    before = text[:start].rstrip()
    return bool(before) and before[-1] not in ".!?:\n"


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(" ")[0] + "…"
