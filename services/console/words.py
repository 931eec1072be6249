"""What pages say, in Arabic and English: one catalogue for each area, merged when it starts.

The English sentence is the key; `texts/<area>.ar.po` has the Arabic one. They are read as they are,
so that there is nothing to compile and nothing that can be out of date.
"""

import functools
import gettext
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

# Zero, one, two, few (3 to 10), many (11 to 99), other: the order of CLDR, which gettext's own
# documentation has too. Babel's differs in the last two.
PLURALS = (
    "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
    "n%100>=11 && n%100<=99 ? 4 : 5);"
)
TEXTS = Path(__file__).with_name("texts")


def N_(text: str) -> str:
    """Marks a text that is translated later, where it is shown."""
    return text


class Words:
    """The texts of one language. Numbers go in by name: `words("{n} cases", n=3)`."""

    def __init__(self, language: str, catalogue: gettext.NullTranslations) -> None:
        self.language = language
        self.direction = "rtl" if language == "ar" else "ltr"
        self.gettext = catalogue.gettext
        self.ngettext = catalogue.ngettext

    def __call__(self, text: str, **values: Any) -> str:
        """`text` in this language, with %(name)s replaced by `values`."""
        said = self.gettext(text)
        return said % values if values else said

    def count(self, one: str, many: str, n: int, **values: Any) -> str:
        """The form for `n`, which may be shown as %(n)s."""
        return self.ngettext(one, many, n) % {"n": n, **values}


@functools.cache
def load(folder: Path = TEXTS) -> Mapping[str, Words]:
    """The texts of each language; English needs no file. What two areas say differently is said as
    the first of them does (a test forbids it; no console stays away for it)."""
    arabic = Catalog(locale="ar", domain="console")
    arabic.mime_headers = [("Plural-Forms", PLURALS)]
    for path in sorted(folder.glob("*.ar.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale="ar"):
                if not message.id or not message.string:
                    continue
                if arabic.get(message.id, message.context) is not None:
                    continue
                arabic.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, arabic)
    compiled.seek(0)
    return {
        "ar": Words("ar", gettext.GNUTranslations(compiled)),
        "en": Words("en", gettext.NullTranslations()),
    }
