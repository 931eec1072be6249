"""Which column holds what: found by the header, in Arabic or English, or as the caller says. Pure.

Nothing is guessed between two columns that could both be meant: the error lists the headers and
says what to give. What could be a person's data is never listed.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.broadcast.audiences.headings import folded, letter_of, place_of, visible, words_of
from services.broadcast.audiences.rows import BadFile, Columns


def _those(words: str) -> frozenset[str]:
    return frozenset(words.split())


# As `_folded` writes them: ه for ة, ا for أ and إ.
_MOBILE = _those(
    "mobile mobiles cell cellphone cellular gsm msisdn whatsapp "
    "جوال الجوال موبايل الموبايل محمول المحمول متحرك المتحرك خلوي الخلوي نقال النقال واتساب واتس"
)
_PHONE = _those(
    "phone phones telephone tel phonenumber telno "
    "هاتف الهاتف هواتف تلفون التلفون تليفون التليفون اتصال الاتصال"
)
_NUMBER = _those("number numbers no nr num رقم الرقم ارقام الارقام")
_NOT = _those(
    "landline fax home work office emergency guardian alternative alternate second secondary "
    "other 2 id ارضي الارضي ثابت الثابت فاكس الفاكس منزل المنزل عمل العمل طوارئ الطوارئ بديل "
    "البديل اخر هويه الهويه"
)
_LANGUAGE = _those("language lang locale languagecode preferredlanguage لغه اللغه لسان")
_SHOWN, _SHOWN_LENGTH = 20, 40
_LONGEST_NAME = 64
_DATA = re.compile(r"\d{4}|\d[.,]\d+[eE]\+?\d|@")


@dataclass(frozen=True, slots=True)
class Plan:
    """Where things stand in a row: places from 0, -1 for none. `names` are the columns' names,
    `others` the places of those that are neither number nor language. `has_header`: the row it
    was made of is none of a person."""

    number: int
    language: int
    names: tuple[str, ...]
    others: tuple[int, ...]
    has_header: bool


def plan(cells: Sequence[str], columns: Columns, is_number: Callable[[str], bool]) -> Plan | None:
    """The plan that the first row gives; None when it is neither header nor data but may be a
    title above them. Raises BadFile when it is one of them and still not clear."""
    first_number = next((at for at, cell in enumerate(cells) if is_number(cell)), -1)
    header = columns.header
    if header is None:
        header = first_number < 0
    names = _names(cells) if header else tuple(letter_of(at) for at in range(len(cells)))
    try:
        number = _given("number", columns.number, cells, header)
        language = _given("language", columns.language, cells, header)
    except BadFile:
        if header:
            return None
        raise
    if header:
        if number is None:
            number = _find_number(cells)
        if number is None:
            return None
        if language is None:
            language = _find_language(cells)
    elif number is None:
        number = _only_number(cells, first_number, is_number)
    language = -1 if language is None else language
    if number == language:
        raise BadFile("columns", "number and language are the same column; name two.")
    others = tuple(at for at in range(len(cells)) if at not in (number, language))
    return Plan(number, language, names, others, header)


def not_understood(rows: Sequence[Sequence[str]], line: int) -> BadFile:
    """The error for a beginning in which no row can be a header: names what stands there, unless
    it may be somebody's data."""
    cells = max(rows, key=len, default=())
    return BadFile(
        "header",
        f"no column of numbers was found{listed(cells)}; name the one that holds the numbers by "
        'its header, its letter ("B") or its place ("2"), or call it "mobile" / "رقم الجوال" in '
        "the file.",
        line,
    )


def may_be_data(cells: Sequence[str]) -> bool:
    """Whether the cells may be about a person, rather than a title or header."""
    return any(_DATA.search(unicodedata.normalize("NFKC", cell[:1000])) for cell in cells)


def _given(what: str, wanted: str, cells: Sequence[str], header: bool) -> int | None:
    """The place of the column that the caller named; None when none was."""
    wanted = wanted.strip()
    if not wanted:
        return None
    if header:
        same = [at for at, cell in enumerate(cells) if folded(cell) == folded(wanted)]
        if len(same) > 1:
            raise BadFile(
                "columns",
                f'{len(same)} columns have the header given for {what}; name it by letter ("B").',
            )
        if same:
            return same[0]
    at = place_of(wanted)
    # A header has a name for it; a title above the header has not.
    if at is None or at >= len(cells) or (header and not visible(cells[at]).strip()):
        raise BadFile(
            "columns",
            f"there is no column as given for {what}; the row has {len(cells)}{listed(cells)}. "
            'Give a header, a letter ("B") or a place ("2").',
        )
    return at


def _find_number(cells: Sequence[str]) -> int | None:
    words = [words_of(cell) for cell in cells]
    meant = [set(one) for one in words if one]
    if not meant:
        return None
    for wanted in (_MOBILE, _PHONE):
        found = [at for at, one in enumerate(words) if wanted & set(one) and not _NOT & set(one)]
        # A remark of a whole sentence names no column.
        found = [at for at in found if len(words[at]) <= 5]
        if len(found) > 1:
            raise BadFile(
                "header",
                f"{len(found)} columns could hold the numbers{listed(cells)}; say which one, by "
                'its header, its letter ("B") or its place ("2").',
            )
        if found:
            return found[0]
    found = [at for at, one in enumerate(words) if one and set(one) <= _NUMBER]
    return found[0] if len(found) == 1 else None


def _find_language(cells: Sequence[str]) -> int | None:
    found = [
        at
        for at, one in enumerate(map(words_of, cells))
        if len(one) <= 3 and _LANGUAGE & {*one, "".join(one)}
    ]
    if len(found) > 1:
        raise BadFile(
            "header",
            f"{len(found)} columns could hold the language{listed(cells)}; say which one, by its "
            'header, its letter ("B") or its place ("2").',
        )
    return found[0] if found else None


def _only_number(cells: Sequence[str], first: int, is_number: Callable[[str], bool]) -> int:
    found = [at for at, cell in enumerate(cells) if is_number(cell)]
    if len(found) == 1:
        return found[0]
    if len(cells) == 1:
        return 0
    raise BadFile(
        "no-header",
        f"the file has no header and {len(cells)} columns, and {len(found)} of them begin with a "
        'number; say which holds the numbers, by its letter ("B") or its place ("2").',
    )


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """What placeholders call the columns: the header, made distinct; the letter where it is
    empty."""
    names: list[str] = []
    for at, cell in enumerate(cells):
        name = " ".join(visible(cell).split())[:_LONGEST_NAME] or letter_of(at)
        distinct, times = name, 2
        while distinct in names:
            distinct, times = f"{name}_{times}", times + 1
        names.append(distinct)
    return tuple(names)


def listed(cells: Sequence[str]) -> str:
    """What a row's headings are, for an error; "" when they may be somebody's data."""
    shown = [" ".join(visible(cell).split())[:_SHOWN_LENGTH] for cell in cells]
    shown = [one for one in shown if one]
    if not shown or may_be_data(cells):
        return ""
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f" (headers: {', '.join(shown[:_SHOWN])}{more})"
