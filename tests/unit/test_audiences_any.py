"""No bytes are too strange for an audience, and no line is lost."""

import io
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.broadcast.audiences import reader as reading
from services.broadcast.audiences.decoding import ENCODINGS
from services.broadcast.audiences.rows import BadFile
from tests.audiences_desk import Outcome, agrees, outcome

pieces = st.sampled_from(
    ["0501234567", "+971501234568", "9.7E+11", "٠٥٠١٢٣٤٥٦٧",
     "Mobile", "الاسم", ",", ";", "\t", '"',
     '""', "\n", "\r\n", "\r",
     "\n\n", "ar", "x", " ", "\0", "\u200f", "\ufeff", "=1+1", "'", "sep=;"]
)  # fmt: skip
texts = st.lists(pieces, max_size=60).map("".join)


@settings(max_examples=400, deadline=None)
@given(texts, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.integers(1, 50))
@example('"', "utf-8", 1)
@example("Mobile\r\n0501234567\r", "utf-8", 1)
def test_every_line_is_accounted_for_however_it_comes(text: str, encoding: str, chunk: int) -> None:
    data = text.encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        # Blocks as small as the test's files.
        patch.setattr(reading, "BLOCK", 16)
        try:
            found = outcome(data, chunk=chunk)
        except BadFile:
            return
        agrees(found.counts, found.rows)
        assert found.counts.lines == len(list(io.StringIO(text.removeprefix("\ufeff"), newline="")))
        assert all(a.line < b.line for a, b in pairwise(found.rows))


def ending(data: bytes, chunk: int) -> Outcome | str:
    try:
        return outcome(data, chunk=chunk)
    except BadFile as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 50))
@example("\0,\0", 1)
def test_what_comes_out_does_not_depend_on_how_it_comes(text: str, chunk: int) -> None:
    data = ("Mobile,Name\n" + text).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", 64)
        assert ending(data, chunk) == ending(data, 0)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(b"PK\x03\x04".__add__)),
    st.sampled_from(["", *ENCODINGS]),
    st.sampled_from(["AE", ""]),
)
def test_any_bytes_are_read_or_refused(data: bytes, encoding: str, country: str) -> None:
    try:
        found = outcome(data, encoding=encoding, country=country)
    except BadFile:
        return
    agrees(found.counts, found.rows)
