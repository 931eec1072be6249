"""Which language a cell names: a BCP 47 tag, an ISO 639-2 code, or a name. Pure.

A tag is checked by its form alone (RFC 5646, 2.1, without extensions and private use): whether
there are texts for it is the template's matter.
"""

import re

_TAG = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?((?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)",
    re.ASCII,
)
_NAMES = {
    "ar": "ara arabic عربي عربية العربية عربى العربي",
    "en": "eng english انجليزي انجليزية الانجليزية انكليزي انكليزية الانكليزية إنجليزي إنجليزية "
    "الإنجليزية الإنكليزية",
    "ur": "urd urdu أردو اردو الأردية الاردية أوردو اوردو",
    "hi": "hin hindi هندي هندية الهندية",
    "bn": "ben bengali bangla بنغالي بنغالية البنغالية",
    "ml": "mal malayalam مالايالام المالايالامية مليالم",
    "ta": "tam tamil تاميل تاميلية التاميلية",
    "te": "tel telugu تيلوغو التيلوغوية",
    "kn": "kan kannada كانادا الكانادية",
    "pa": "pan punjabi بنجابي البنجابية",
    "ps": "pus pashto باشتو بشتو البشتو",
    "fa": "per fas persian farsi فارسي فارسية الفارسية",
    "fil": "filipino tagalog tgl tl فلبيني فلبينية الفلبينية تاغالوغ",
    "fr": "fre fra french فرنسي فرنسية الفرنسية",
    "ru": "rus russian روسي روسية الروسية",
    "zh": "chi zho chinese صيني صينية الصينية",
    "es": "spa spanish اسباني إسباني الإسبانية الاسبانية",
    "de": "ger deu german الماني ألماني الألمانية الالمانية",
    "tr": "tur turkish تركي تركية التركية",
    "ne": "nep nepali نيبالي النيبالية",
    "si": "sin sinhala sinhalese سنهالي السنهالية",
    "id": "ind indonesian اندونيسي إندونيسي الإندونيسية الاندونيسية",
    "am": "amh amharic أمهري امهري الأمهرية الامهرية",
    "so": "som somali صومالي الصومالية",
    "sw": "swa swahili سواحيلي السواحيلية",
    "ku": "kur kurdish كردي الكردية",
}
_BY_NAME = {name: tag for tag, names in _NAMES.items() for name in names.split()}
_IGNORED = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u0640\u061c\s]+")
_LONGEST = 35
"""What RFC 5646 (4.4.1) asks to keep."""


class Languages:
    """Reads cells of one file; what was read once is remembered."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {"": ""}

    def read(self, cell: str) -> str | None:
        """The tag, "" when the cell names none, or None when it cannot be understood."""
        try:
            return self._known[cell]
        except KeyError:
            found = language_of(cell)
            # A file has few languages, but may have any text where they should be.
            if len(self._known) < 1000:
                self._known[cell] = found
            return found


def language_of(cell: str) -> str | None:
    """The tag in BCP 47's own case (ar-Latn-AE), "" for an empty cell, None for neither."""
    if len(cell) > _LONGEST * 2:
        return None
    text = _IGNORED.sub("", cell).casefold().replace("_", "-")
    if not text or text == "-":
        return ""
    if text in _BY_NAME:
        return _BY_NAME[text]
    match = _TAG.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        return None
    primary, script, region, variants = match.groups(default="")
    parts = [_BY_NAME.get(primary, primary), script.title(), region.upper(), variants[1:]]
    return "-".join(filter(None, parts))
