"""What the Campaigns templates call: names of languages, reasons, money. One for each language."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError, numbers

from services.console.campaigns import names
from services.console.campaigns.sentences import translated
from services.console.rendering import LOCALES
from services.console.words import Words

_TOGETHER = "+"


def shared(said: Words) -> Mapping[str, Any]:
    """The names and functions that the templates of this area have, in the language of `said`."""
    lang = said.language
    return {
        "states": names.STATES,
        "kinds": names.KINDS,
        "bucket_names": names.BUCKETS,
        "obvious": names.OBVIOUS,
        "wait_names": names.WAITS,
        "uses": names.USES,
        "contact_kinds": names.CONTACT_KINDS,
        "caller_states": names.CALLER_STATES,
        "offered": names.OFFERED,
        "direction": names.direction,
        "reason": lambda code: names.reason(code, said.gettext),
        "sentence": lambda text: translated(text, said.gettext),
        "language_name": lambda tag: language_name(tag, lang),
        "languages_name": lambda tags: together(tags, lang, said.gettext),
        "money": lambda milli, currency: money(milli, currency, lang),
    }


@lru_cache(1024)
def language_name(tag: str, lang: str) -> str:
    """What a language is called in `lang`; its tag where nobody knows."""
    try:
        name = Locale.parse(tag, sep="-").get_display_name(LOCALES[lang])
    except (UnknownLocaleError, ValueError):
        return tag
    return name or tag


def together(tags: str, lang: str, gettext: Callable[[str], str]) -> str:
    """The same of a message in two languages, "ar+en"; of "" that none is known."""
    if not tags:
        return gettext("not said")
    return " + ".join(language_name(one, lang) for one in tags.split(_TOGETHER))


def money(milli: int, currency: str, lang: str) -> str:
    """Thousandths of a currency, as `lang` writes it; small sums to the third digit."""
    value = milli / 1000
    pattern = "#,##0.000 ¤¤" if value < 10 else "#,##0.00 ¤¤"
    return numbers.format_currency(
        value, currency, pattern, locale=LOCALES[lang], currency_digits=False
    )
