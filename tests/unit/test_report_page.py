"""The report as HTML: whole, valid, silent towards the network, and whatever is written in it by
people stands there as text."""

import os
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from lxml import etree
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignCommand, CampaignDeed

from services.broadcast.rules.zones import zone
from services.tools.reports import charts
from services.tools.reports.charts import Curve, Piece, curve, stacked, thinned, ticks
from services.tools.reports.document import Direction
from services.tools.reports.facts import Facts
from services.tools.reports.page import html
from services.tools.reports.telling import document
from services.tools.reports.words import LANGUAGES, Language, Words
from tests.report_log import T0, eventful, prepared

GOLDEN = Path("tests/fixtures/report")
HOSTILE = (
    "</title><script>alert(1)</script>'\"<img src=//evil.example onerror=x> {sum} &amp; \u202e"
)
VOID = {"meta", "br", "img", "link", "input", "hr"}


def page(facts: Facts, language: Language) -> str:
    words = Words(language, zone("Asia/Dubai"), "Asia/Dubai")
    return html(document(facts, words, "campaign.json"))


class Reader(HTMLParser):
    """Reads as a browser does, and notes what is not closed, what is asked for, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def reading(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_as_it_was(language: Language) -> None:
    """After a change that is meant: MAWJA_GOLDEN=write, then look at what changed."""
    path = GOLDEN / f"campaign-{language}.html"
    made = page(eventful().facts(), language)
    if os.environ.get("MAWJA_GOLDEN") == "write":
        path.write_text(made)
    assert path.read_text() == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_valid_and_asks_for_nothing(language: Language) -> None:
    made = page(eventful().facts(), language)
    read = reading(made)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "form", "base", "use"}
    assert not read.attributes & {"src", "href", "action", "xlink:href", "srcset"}
    assert not [name for name in read.attributes if name.startswith("on")]
    assert "url(" not in made
    assert "@import" not in made
    assert "default-src 'none'" in made
    assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in made
    pictures = re.findall("<svg.*?</svg>", made, re.S)
    assert len(pictures) >= 6
    for picture in pictures:
        etree.fromstring(picture.encode(), etree.XMLParser(resolve_entities=False))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_people_wrote_stands_there_as_text(language: Language) -> None:
    log, campaign = prepared(4, name=HOSTILE, agency="a")
    campaign.plan.texts[0].template = HOSTILE
    campaign.ended.CopyFrom(CampaignDeed(subject=HOSTILE, done_ms=T0, reason=HOSTILE))
    campaign.state = campaigns_pb2.CAMPAIGN_STATE_CANCELLED
    log.decide(campaign, T0 + 90_000, CampaignCommand(cancel=HOSTILE), HOSTILE)
    log.decide(campaign, T0 + 91_000, CampaignCommand(resume="x"), "khalid", refused=HOSTILE)
    made = page(log.facts(), language)
    read = reading(made)
    assert not read.tags & {"script", "img"}
    shown = "".join(read.text)
    # Title, name, table of what it is, text, who, why, refusal.
    assert shown.count(HOSTILE.rstrip("\u202e")) >= 7
    # Nothing that turns the rest of the line.
    assert "\u202e" not in made


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_drill_can_not_be_mistaken(language: Language) -> None:
    drill = page(prepared(4)[0].facts(), language)
    live = page(prepared(4, drill=False)[0].facts(), language)
    banner = Words(language).say("drill")
    assert '<p class="banner">' in drill
    assert banner in drill
    assert banner not in live
    assert Words(language).say("mode_live") in live


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_does_not_add_up_is_said_first(language: Language) -> None:
    log = eventful()
    log.records = log.records[2:]
    words = Words(language)
    made = page(log.facts(), language)
    assert words.say("wrong_file") in made
    assert words.say("adds_up", equation="").strip() not in made


def test_everybody_is_in_the_sum() -> None:
    made = page(eventful().facts(), "en")
    assert "4 + 1 + 1 + 1 + 3 + 1 + 1 + 1 + 2 = 15" in made


def test_nobody_is_named() -> None:
    made = page(eventful().facts(), "en") + page(eventful().facts(), "ar")
    assert not re.search(r"\+?\d{8,}", re.sub(r"[0-9a-f-]{36}|viewBox='[^']*'", "", made))


def test_the_highest_tick_is_within_the_picture() -> None:
    shown = Curve([(0, 0), (9_000, 5_554)], [], [(100_000, "100,000")], [(95_000, "95%")])
    drawn = curve(shown, "ltr", "x")
    at = re.search(r"y='([-\d.]+)'[^>]*>100,000<", drawn)
    assert at is not None
    assert float(at[1]) >= 12


def test_charts_run_from_where_reading_begins() -> None:
    shown = Curve([(0, 0), (10, 5)], [(0, "begin")], [(0, "0")], [(5, "50%")], [(2, 4)])
    left, right = curve(shown, "ltr", "x"), curve(shown, "rtl", "x")
    assert float(path_of(left)[0]) < 100 < 600 < float(path_of(right)[0])
    bars = stacked([("a", [Piece("p", 1, "#111111"), Piece("q", 3, "#222222")], "4")], "rtl", "x")
    first, second = (float(x) for x in re.findall(r"<rect x='([\d.]+)' y='3.0'", bars))
    assert first > second


def path_of(svg: str) -> list[str]:
    return re.findall(r"d='M([\d.]+) [^']*' fill='none' stroke='#009e73'", svg)


@pytest.mark.parametrize("count", [1, 2, 399, 400, 401, 100_000])
def test_a_curve_keeps_its_ends(count: int) -> None:
    points = list(thinned(range(count)))
    assert points[0] == (0, 1)
    assert points[-1] == (count - 1, count)
    assert len(points) <= 802


@pytest.mark.parametrize("most", [0, 1, 4, 7, 99, 1_504, 1_000_000])
def test_axes_have_round_marks(most: int) -> None:
    marks = ticks(most)
    assert marks[0] == 0
    assert marks[-1] <= most
    assert len(marks) <= 6


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("count", [12, 1_000_000, 12_345_678])
def test_figures_behind_bars_are_within_the_picture(direction: Direction, count: int) -> None:
    text = f"{count:,} (99.9%)"
    rows = [charts.Bar("one", count, "#000", text), charts.Bar("two", 1, "#000", "1 (0.1%)")]
    stacks = [("one", [charts.Piece("a", count, "#000")], text)]
    for drawn in (charts.bars(rows, direction, ""), charts.stacked(stacks, direction, "")):
        found = re.search(rf"<text x='([\d.]+)'[^>]*>[^<]*{re.escape(text)}", drawn)
        assert found is not None
        at = float(found[1])
        room = at if direction == "rtl" else 720 - at
        # As wide as letters of this size are where another font stands in.
        assert room >= 6.9 * len(text)


def test_what_was_asked_for_a_list_is_told() -> None:
    facts = eventful().facts()
    query = 'callers: agency=water place="Al Jahra"'
    told = page(replace(facts, files=[replace(facts.files[0], query=query)]), "ar")
    assert "سؤال القائمة" in told
    assert escape(query) in told
    assert "سؤال القائمة" not in page(facts, "ar")
