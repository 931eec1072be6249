"""Letters that make a text dear: one that the alphabet of SMS lacks doubles its parts. Pure."""

import unicodedata
from collections.abc import Iterable, Iterator

from mawja.broadcast.v1.campaigns_pb2 import CampaignText

from services.broadcast.segments import TextError, split
from services.broadcast.texts.template import TemplateError, parse
from services.runtime.smpp_text import Alphabet

_FEW = 3
"""A text with more such letters is in another script, and meant so."""
_FIELD = "x" * 8
"""Stands where a recipient's field does."""


def told(texts: Iterable[CampaignText]) -> Iterator[str]:
    """Of each text in which few letters are to blame for its parts: which they are."""
    for one in texts:
        try:
            pieces = parse(one.language, one.template).pieces
        except TemplateError:
            continue
        said = "".join(piece if isinstance(piece, str) else _FIELD for piece in pieces)
        dear = {char: None for char in said if not Alphabet.GSM7.can_encode(char)}
        if not 0 < len(dear) <= _FEW:
            continue
        try:
            now = split(said).part_count
            then = split("".join("x" if char in dear else char for char in said)).part_count
        except TextError:
            continue
        if then < now:
            letters = ", ".join(f"{char} ({_name(char)})" for char in dear)
            yield (
                f"{one.language}: {letters} makes it about {now} parts instead of {then}: the "
                "alphabet of SMS does not have it"
            )


def _name(char: str) -> str:
    return unicodedata.name(char, f"U+{ord(char):04X}").lower()
