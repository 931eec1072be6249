"""Pages from templates: every text escaped, every number and time as its language writes it.

Arabic pages have the digits that the Gulf's locales have (CLDR's ar-AE and ar-QA differ: Latin for
one, Arabic-Indic for the other). A wall screen beside a switchboard that shows Latin ones is read
at a glance, and case numbers are told by telephone: LOCALES decides it, here and nowhere else.
"""

import gzip
import unicodedata
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import dates, numbers, units
from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.console import refusals, rights, words
from services.console.masking import masked
from services.console.static import Static
from services.console.who import person_of
from services.runtime.clock import Millis, now_ms
from services.runtime.privacy import mask

TEMPLATES = Path(__file__).with_name("templates")
LOCALES: Mapping[str, str] = {"ar": "ar_AE", "en": "en_GB"}
_ISOLATE, _END = "\u2068", "\u2069"


class Pages:
    """Renders templates. `zone`: of the times that are shown; `local`, `provider`: which ways there
    are to sign in."""

    def __init__(
        self,
        static: Static,
        language: str,
        zone: str,
        local: bool,
        provider: bool,
        clock: Millis = now_ms,
    ) -> None:
        self.words = words.load()
        self.static = static
        self.language = language
        self._zone = ZoneInfo(zone)
        self._clock = clock
        self._environments = {lang: self._environment(lang, local, provider) for lang in self.words}

    def _environment(self, lang: str, local: bool, provider: bool) -> Environment:
        said = self.words[lang]
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            said.gettext, said.ngettext, newstyle=True
        )
        environment.filters.update(
            time=lambda ms: time(ms, lang, self._zone),
            clock_time=lambda ms: clock_time(ms, lang, self._zone),
            ago=lambda ms: ago(ms, self._clock(), lang),
            duration=lambda s: duration(s, lang),
            number=lambda n: number(n, lang),
            percent=lambda share, digits=0: percent(share, lang, digits),
            isolate=isolate,
            refusal=lambda sentence: refusals.told(sentence, said.gettext),
            mask=mask,
        )
        environment.globals.update(
            lang=lang,
            dir=said.direction,
            centre_zone=self._zone.key,
            static=self.static.url,
            has_static=self.static.has,
            request_id=lambda: str(uuid.uuid4()),
            now_ms=self._clock,
            local_users=local,
            provider=provider,
            other_language="en" if lang == "ar" else "ar",
        )
        return environment

    def language_of(self, request: Request) -> str:
        """The language of who asks: as they chose, as their browser says, or the house's."""
        person = person_of(request)
        if person is not None:
            return person.language
        chosen = request.cookies.get("lang", "")
        if chosen in self.words:
            return chosen
        return self.language

    def part(self, lang: str, template: str, **context: Any) -> str:
        """A fragment in `lang` that belongs to nobody: what all viewers see (`live.Feed`)."""
        return self._environments[lang].get_template(template).render(**context)

    def page(self, request: Request, template: str, **context: Any) -> str:
        """A page as HTML for who asks."""
        person = person_of(request)
        lang = self.language_of(request)
        return (
            self._environments[lang]
            .get_template(template)
            .render(
                request=request,
                person=person,
                csrf=masked(person.csrf) if person else getattr(request.state, "csrf", ""),
                may=lambda method, path: (
                    person is not None and rights.may(person.roles, method, path)
                ),
                area=template.partition("/")[0],
                path=request.url.path,
                theme=person.theme if person else "",
                **context,
            )
        )


def render(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """The answer with a page: in it are `person`, `lang`, `dir`, `_`, `csrf`, `may(method, path)`,
    `request_id()` and the filters above."""
    pages: Pages = request.app.state.pages
    return HTMLResponse(pages.page(request, template, **context), status)


def packed(request: Request, page: Response) -> Response:
    """`page`, compressed where the browser takes it. Only for pages that hold no secret but masked
    ones, and nothing that a request can put there: other pages are not compressed (BREACH)."""
    page.headers["vary"] = "accept-encoding"
    if "gzip" in request.headers.get("accept-encoding", ""):
        page.body = gzip.compress(page.body, 6, mtime=0)
        page.headers["content-encoding"] = "gzip"
        page.headers["content-length"] = str(len(page.body))
    return page


def translate(request: Request) -> words.Words:
    """The texts of who asks, for sentences that Python code makes."""
    pages: Pages = request.app.state.pages
    return pages.words[pages.language_of(request)]


def time(ms: int, lang: str, zone: ZoneInfo) -> Markup:
    """Day and time of Unix `ms`, in `zone`; nothing for 0. A <time> element."""
    if not ms:
        return Markup("")
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    comma = "،" if lang == "ar" else ","
    shown = dates.format_datetime(at, f"d MMM{comma} HH:mm", locale=LOCALES[lang])
    full = dates.format_datetime(at, "full", locale=LOCALES[lang])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), full, shown
    )


def clock_time(ms: int, lang: str, zone: ZoneInfo) -> str:
    """Hours, minutes and seconds of Unix `ms`, in `zone`; nothing for 0."""
    if not ms:
        return ""
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    return dates.format_datetime(at, "HH:mm:ss", locale=LOCALES[lang])


def ago(ms: int, now: int, lang: str) -> str:
    """How long ago Unix `ms` was at `now`, in one unit; nothing for 0."""
    if not ms:
        return ""
    return dates.format_timedelta(
        timedelta(milliseconds=ms - now), add_direction=True, locale=LOCALES[lang]
    )


def duration(seconds: float, lang: str) -> str:
    """Seconds in words, in one or two units; a number and its unit stay on one line."""
    whole = round(seconds)
    parts = [("hour", whole // 3600), ("minute", whole % 3600 // 60), ("second", whole % 60)]
    said = [(unit, n) for unit, n in parts if n][:2] or [("second", 0)]
    return " ".join(
        units.format_unit(n, f"duration-{unit}", "short", locale=LOCALES[lang]).replace(" ", "\xa0")
        for unit, n in said
    )


def number(value: float, lang: str) -> str:
    """A number with its language's separators; at most two decimals."""
    return numbers.format_decimal(value, format="#,##0.##", locale=LOCALES[lang])


def percent(share: float, lang: str, digits: int = 0) -> str:
    """A share from 0 to 1 as a percentage with `digits` decimals."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "") + "%"
    return numbers.format_percent(share, format=pattern, locale=LOCALES[lang])


def isolate(text: object) -> str:
    """`text` with its own direction, whatever stands around it (Unicode's first strong isolate)."""
    return f"{_ISOLATE}{text}{_END}"


def sort_key(text: str, lang: str) -> tuple[Any, ...]:
    """By which names are put in order: Arabic without marks, tatweel and the article, and one's own
    script first."""
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)
    )
    plain = plain.replace("\u0640", "").replace("\u0671", "\u0627").replace("\u0649", "\u064a")
    plain = plain.removeprefix("\u0627\u0644") if lang == "ar" else plain
    own = any("\u0600" <= c <= "\u06ff" for c in plain) == (lang == "ar")
    return (not own, plain)
