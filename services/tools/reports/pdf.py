"""A document as PDF, set by Typst: it shapes Arabic, orders mixed lines, and embeds its fonts.

The template is ours; all that varies comes to it as data, which is never read as Typst's own
language. Fonts are those of this package, so that every machine makes the same pages.
"""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import as_file, files
from types import ModuleType

from services.runtime.errors import ConfigError
from services.tools.reports.document import (
    Block,
    Chart,
    Document,
    Figures,
    Heading,
    Paragraph,
    Quote,
    Table,
)

# What the fonts have: Latin, Arabic and signs. A text in another script is not set at all rather
# than set wrongly.
_HAS = re.compile(
    "[\n\u0020-\u024f\u02b0-\u02ff\u0300-\u036f\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff"
    "\u1e00-\u1eff\u200b-\u206f\u20a0-\u20bf\u2100-\u214f\u2190-\u21ff\u2212\ufb50-\ufdff"
    "\ufe70-\ufefc]*"
)
_BREAK = "\u200b"
# An id is not broken where there is room for it.
_WIDE, _NARROW, _FEW = 42, 14, 2
_SHORT = 60
_KINDS: dict[type[Block], str] = {
    Heading: "heading",
    Paragraph: "paragraph",
    Figures: "figures",
    Table: "table",
    Quote: "quote",
}


def pdf(document: Document, other_script: str) -> bytes:
    """The file; the same document gives the same bytes. `other_script`: stands where a text is in a
    script that the fonts don't have.

    Raises ConfigError when Typst is not installed.
    """
    typst = setter()
    place = files(__package__)
    with as_file(place.joinpath("fonts")) as folder:
        fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder]
        )
        made: bytes = typst.compile(
            place.joinpath("report.typ").read_bytes(),
            font_paths=fonts,
            sys_inputs={"document": json.dumps(_data(document, other_script))},
            timestamp=datetime.fromtimestamp(document.made_ms // 1000, UTC),
        )
    return made


def setter() -> ModuleType:
    """What sets the PDF. Raises ConfigError when it is not installed."""
    try:
        return import_module("typst")
    except ImportError as error:
        raise ConfigError(
            "the PDF needs the optional part of Mawja that sets it: "
            "pip install 'mawja[report]', or give --no-pdf"
        ) from error


def _data(document: Document, other_script: str) -> dict[str, object]:
    data = asdict(document)
    data["short"] = document.name if len(document.name) <= _SHORT else document.name[:_SHORT] + "…"
    page, between, pages = re.split(r"\{page\}|\{pages\}", document.page_of)
    data["page_of"] = [page, between, pages]
    blocks = data.pop("blocks")
    shown = _settable(data, other_script, _WIDE)
    assert isinstance(shown, dict)
    shown["blocks"] = [
        _block(block, fields, other_script)
        for block, fields in zip(document.blocks, blocks, strict=True)
    ]
    return shown


def _block(block: Block, fields: dict[str, object], other_script: str) -> dict[str, object]:
    if isinstance(block, Chart):
        shown = {"svg": "".join(c if _HAS.fullmatch(c) else "?" for c in block.svg)}
        return {"is": "chart", "says": _settable(block.says, other_script, _WIDE), **shown}
    if isinstance(block, Table):
        fields["minor"] = sorted(block.minor)
        fields["marked"] = sorted(block.marked)
    narrow = isinstance(block, Table) and len(block.columns) > _FEW
    told = _settable(fields, other_script, _NARROW if narrow else _WIDE)
    assert isinstance(told, dict)
    return {"is": _KINDS[type(block)], **told}


def _settable(value: object, other_script: str, longest: int) -> object:
    """A text as it can be set: in scripts that the fonts have, and with places at which words of
    more than `longest` characters may be broken."""
    if isinstance(value, str):
        if not _HAS.fullmatch(value):
            return other_script
        return re.sub(rf"\S{{{longest}}}(?=\S)", lambda found: found[0] + _BREAK, value)
    if isinstance(value, dict):
        return {name: _settable(one, other_script, longest) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_settable(one, other_script, longest) for one in value]
    return value
