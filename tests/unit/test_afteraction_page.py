"""The booklet as a page and as PDF: whole in every language, a rehearsal on every page."""

import io
import json
import re
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from services.runtime.errors import ConfigError
from services.tools.afteraction.making import files_of
from services.tools.afteraction.reading import Asked, Taking, made_json, made_of
from services.tools.reports.flows import Axes, Flow, flows
from services.tools.reports.words import LANGUAGES, Language, tables
from tests.report_log import Written
from tests.surge_log import T0, Surge, as_record, surge
from tests.unit.test_report_page import HOSTILE, reading

PACKAGE = "services.tools.afteraction"
DUBAI = (ZoneInfo("Asia/Dubai"), "Asia/Dubai")
ARABIC = re.compile("[\u0600-\u06ff]")
_FIELD = re.compile(r"\{[a-z_]+\}")
_BOTH = {"texts.drill"}
"""Said in both languages wherever it is said."""


def files(made: Surge, name: str = "", drill: bool = True, pdf: bool = False) -> dict[str, bytes]:
    asked = Asked(0, 0, drill, name)
    return dict(files_of(made.facts(name), asked, LANGUAGES, DUBAI, pdf))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_valid_and_asks_for_nothing(language: Language) -> None:
    page = files(surge(), HOSTILE)[f"drill-20261122-{language}.html"].decode()
    read = reading(page)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "form", "base", "use"}
    assert not read.attributes & {"src", "href", "action", "xlink:href", "srcset"}
    assert "{" not in "".join(read.text).partition("</style>")[2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rehearsal_says_so_on_every_page(language: Language) -> None:
    made = files(surge(), pdf=True)
    page = made[f"drill-20261122-{language}.html"].decode()
    assert 'class="banner"' in page
    assert 'class="mark"' in page
    pages = PdfReader(io.BytesIO(made[f"drill-20261122-{language}.pdf"])).pages
    assert len(pages) > 4
    for one in pages:
        # The line above it, and the word behind it.
        assert one.extract_text().count("DRILL") >= 2
    real = files(surge(drill=False, campaign=False), drill=False)
    assert "DRILL" not in real["surge-20261122-en.html"].decode().replace("DRILL:", "")


def test_an_almost_empty_log_makes_a_booklet() -> None:
    one = Surge()
    one.contact("alone", 1, 0)
    for name, content in {**files(one, pdf=True), **files(Surge(), pdf=True)}.items():
        assert content.startswith(b"%PDF") or not name.endswith(".pdf")


def test_what_is_written_beside_it_makes_it_again(tmp_path: Path) -> None:
    made, asked = surge(), Asked(T0, 0, True, "Flood")
    first = _taken(made.all(), asked)
    path = tmp_path / "drill.json"
    path.write_text(made_json(first.facts(T0 + 3_600_000), asked))
    of, earlier = made_of(path)
    assert of == asked
    # Life goes on: somebody calls once more.
    made.contact("later", 3, 4_000)
    again = _taken(made.all(), of, {t: dict(ends) for t, ends in earlier.through.items()})
    assert again.facts(earlier.at_ms) == first.facts(T0 + 3_600_000)
    path.write_text(json.dumps({"campaign": "x"}))
    with pytest.raises(ConfigError, match="not what a report of a surge writes"):
        made_of(path)


def _taken(
    records: list[Written], asked: Asked, limit: dict[str, dict[int, int]] | None = None
) -> Taking:
    taking = Taking(asked, limit)
    offsets: dict[tuple[str, int], int] = {}
    for one in records:
        place = (one.topic.name, one.partition)
        offsets[place] = offsets.get(place, -1) + 1
        taking.take(as_record(one, offsets[place]))
    return taking


def _strings() -> list[tuple[str, dict[Language, str]]]:
    found = []
    for table, entries in tables(PACKAGE).items():
        for entry, told in entries.items():
            if table != "plurals":
                found.append((f"{table}.{entry}", {one: str(told[one]) for one in LANGUAGES}))
    return found


def test_every_string_is_in_its_language_and_takes_the_same_values() -> None:
    for where, told in _strings():
        fields = [
            sorted(name for _, name, _, _ in Formatter().parse(told[one]) if name)
            for one in LANGUAGES
        ]
        assert fields[0] == fields[1], where
        english, arabic = _FIELD.sub("", told["en"]), _FIELD.sub("", told["ar"])
        if where not in _BOTH and _FIELD.sub("", english).strip(", "):
            assert not ARABIC.search(english), where
            assert ARABIC.search(arabic), where


def test_every_string_is_used() -> None:
    code = "".join(path.read_text() for path in Path("services/tools/afteraction").glob("*.py"))
    for entry in tables(PACKAGE)["texts"]:
        made = {"trouble_", "others_", "unnamed"}
        if not any(entry.startswith(one) for one in made) and not entry.startswith("no_"):
            assert re.search(f"""["']{entry}["']""", code), entry


def test_lines_are_broken_where_nothing_was_measured() -> None:
    axes = Axes(across=[(0, "a"), (1, "b")], up=[(0, "0"), (1, "1")], level=(0.9, "90%"))
    picture = flows([Flow("x", "#000", [0.5, None, 1.0, 0.2])], axes, "ltr", "says")
    assert picture.count("stroke-width='2'") == 2
    numbers = [float(n) for n in re.findall(r"[ML]([\d.]+) ", picture)]
    assert all(0 <= n <= 720 for n in numbers)
    mirrored = flows([Flow("x", "#000", [0.5, None, 1.0, 0.2])], axes, "rtl", "says")
    assert mirrored != picture
