"""The report as PDF: its words are there, its fonts are its own, and it is the same each time."""

import sys
import unicodedata
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from services.broadcast.rules.zones import zone
from services.runtime.errors import ConfigError
from services.tools.reports.facts import Facts
from services.tools.reports.pdf import pdf
from services.tools.reports.telling import document
from services.tools.reports.words import LANGUAGES, Language, Words
from tests.report_log import eventful, prepared


def made(facts: Facts, language: Language) -> bytes:
    words = Words(language, zone("Asia/Dubai"), "Asia/Dubai")
    return pdf(document(facts, words, "campaign.json"), words.say("other_script"))


def text_of(content: bytes) -> str:
    pages = [page.extract_text() for page in PdfReader(BytesIO(content)).pages]
    return bare("\n".join(pages))


def bare(text: str) -> str:
    """Letters without the marks above and below, which stand anywhere in a PDF's text."""
    shown = unicodedata.normalize("NFKD", text)
    return "".join(char for char in shown if unicodedata.category(char) != "Mn")


def fonts_of(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(resources: Any) -> None:
        for one in (resources.get("/Font") or {}).values():
            font = one.get_object()
            for inner in font.get("/DescendantFonts", [font]):
                found[str(font["/BaseFont"])] = inner.get_object()["/FontDescriptor"].get_object()
        for one in (resources.get("/XObject") or {}).values():
            form = one.get_object()
            if "/Resources" in form:
                take(form["/Resources"])

    for page in PdfReader(BytesIO(content)).pages:
        take(page["/Resources"])
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_says_what_the_page_says(language: Language) -> None:
    content = made(eventful().facts(), language)
    shown = text_of(content)
    words = Words(language)
    # Whole words: where a line mixes directions, programs that read PDFs order them as they like.
    met = 0
    for entry in ("title", "timeline", "buckets", "by_carrier", "faults", "made"):
        for word in words.say(entry).split():
            # A letter with two marks is one glyph, of which programs make what they like.
            if word == bare(word):
                assert word in shown, word
                met += 1
    assert met >= 8
    for figure in ("15", "4", "maryam", "khalid", "north"):
        assert figure in shown
    reader = PdfReader(BytesIO(content))
    assert reader.trailer["/Root"]["/Lang"].startswith(language)  # type: ignore[index]
    assert reader.metadata is not None
    assert "North" in str(reader.metadata.title)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fonts_are_embedded(language: Language) -> None:
    fonts = fonts_of(made(eventful().facts(), language))
    assert {name.partition("+")[2] for name in fonts} == {
        "IBMPlexSansArabic-Regular",
        "IBMPlexSansArabic-Bold",
    }
    for name, descriptor in fonts.items():
        assert {"/FontFile2", "/FontFile3"} & set(descriptor), name


def test_the_drill_stands_on_every_page() -> None:
    for page in PdfReader(BytesIO(made(eventful().facts(), "en"))).pages:
        assert "DRILL" in page.extract_text()


def test_the_same_facts_give_the_same_bytes() -> None:
    assert made(eventful().facts(), "ar") == made(eventful().facts(), "ar")


def test_what_people_wrote_is_text_and_no_markup() -> None:
    name = "#panic() $x$ *bold* @ref <label> `raw` \\ // end"
    assert name in text_of(made(prepared(4, name=name)[0].facts(), "en"))


def test_without_its_optional_part_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigError, match=r"mawja\[report\].*--no-pdf"):
        made(prepared(4)[0].facts(), "en")


def test_a_script_that_the_fonts_lack_is_not_set_wrongly() -> None:
    log, campaign = prepared(4)
    campaign.plan.texts[1].template = "आश्रय खुला है"
    log.decide(campaign, campaign.made.done_ms + 200_000)
    shown = text_of(made(log.facts(), "en"))
    assert "see the HTML report" in shown
