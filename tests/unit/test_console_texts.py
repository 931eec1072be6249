"""Every sentence of every page and module has an Arabic one, and what goes in is the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from services.console import words

HOME = Path(words.__file__).parent
CATALOGUES = sorted((HOME / "texts").glob("*.ar.po"))
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "count": (1, 2),
}
_PLACE = re.compile(r"%\(\w+\)[a-z]")


def said() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Every text that is shown, and where it stands."""
    for path in sorted(HOME.rglob("*")):
        if "front" in path.parts or path.suffix not in {".py", ".html", ".txt"}:
            continue
        method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
        with path.open("rb") as file:
            options = {"newstyle_gettext": "true", "trimmed": "false", "silent": "false"}
            for line, text, _, _ in extract(method, file, KEYWORDS, options=options):
                yield f"{path.relative_to(HOME)}:{line}", text


def arabic() -> dict[str, Message]:
    """Every Arabic text by its English one."""
    found = {}
    for path in CATALOGUES:
        with path.open("rb") as file:
            for message in read_po(file, locale="ar"):
                if message.id:
                    one = message.id if isinstance(message.id, str) else message.id[0]
                    found[one] = message
    return found


def test_every_text_has_an_arabic_one() -> None:
    known = arabic()
    missing = []
    for where, text in said():
        one = text if isinstance(text, str) else text[0]
        message = known.get(one)
        if message is None or not message.string:
            missing.append(f"{where}: {one!r}")
        elif not isinstance(text, str):
            forms = message.string
            if isinstance(forms, str) or len(forms) != 6 or not all(forms):
                missing.append(f"{where}: not six forms of {one!r}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.name)
def test_places_for_values_are_the_same(path: Path) -> None:
    with path.open("rb") as file:
        for message in read_po(file, locale="ar"):
            ids = [message.id] if isinstance(message.id, str) else list(message.id)
            forms = [message.string] if isinstance(message.string, str) else message.string or ()
            allowed = {place for one in ids for place in _PLACE.findall(one)}
            for form in forms:
                places = set(_PLACE.findall(form))
                if isinstance(message.id, str):
                    assert places == allowed, message.id
                else:
                    # One and two are words of their own.
                    assert places <= allowed, message.id


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.name)
def test_files_name_the_plural_forms_that_are_used(path: Path) -> None:
    assert f'"Plural-Forms: {words.PLURALS}\\n"' in path.read_text()


def test_two_areas_do_not_differ() -> None:
    known: dict[str, tuple[str, object]] = {}
    for path in CATALOGUES:
        with path.open("rb") as file:
            for message in read_po(file, locale="ar"):
                if message.id:
                    one = message.id if isinstance(message.id, str) else message.id[0]
                    first, said_there = known.setdefault(one, (path.name, message.string))
                    assert said_there == message.string, f"{one!r}: {first}, {path.name}"


def test_arabic_counts_in_six_forms(tmp_path: Path) -> None:
    (tmp_path / "x.ar.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "%(n)s case"\nmsgid_plural "%(n)s cases"\n'
        + "".join(f'msgstr[{i}] "{form}"\n' for i, form in enumerate("abcdef"))
    )
    arabic_words = words.load(tmp_path)["ar"]
    forms = [arabic_words.count("%(n)s case", "%(n)s cases", n) for n in (0, 1, 2, 3, 11, 100)]
    assert "".join(forms) == "abcdef"
