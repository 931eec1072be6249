"""Parts of one message find each other in any order; those of two never do; nothing is lost."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.joining import SAME_MS, WAIT_S, Gathering, Joiner, Message, Part, text_of
from services.runtime.smpp_text import Coded

ARABIC = "الماءُ مقطوعٌ منذ الأمس في حيّنا 💧 ولا أحدَ يجيب، أرجوكم! 👨‍👩‍👧 لـــــا "


def part(
    octets: bytes,
    sequence: int,
    total: int = 3,
    *,
    reference: int = 7,
    received_ms: int = 0,
    person: bytes = b"p",
    coding: str = "ucs2",
    name: str = "",
) -> Part[None]:
    message = Message("c", person, "8001", reference, total)
    inbound_id = name or f"{reference}/{sequence}"
    return Part(message, sequence, inbound_id, Coded(octets, coding), received_ms, 0, None)


def cut(text: str, octets: int, **at: Any) -> list[Part[None]]:
    """As telephones cut, or as nobody should: at any octet."""
    whole = text.encode("utf-16-be")
    pieces = [whole[begin : begin + octets] for begin in range(0, len(whole), octets)]
    return [part(piece, n, len(pieces), **at) for n, piece in enumerate(pieces, start=1)]


def read(parts: Sequence[Part[None]], joiner: Joiner[None] | None = None) -> list[str]:
    """The whole messages, in the order in which they became so."""
    joiner = joiner or Joiner()
    found = []
    for one in parts:
        gathering = joiner.take(one, 0.0)
        if gathering is not None and not gathering.open:
            found.append(said(gathering))
    return found


def said(gathering: Gathering[None]) -> str:
    return text_of(gathering.parts, gathering.message.total)


@pytest.mark.parametrize("octets", [134, 133, 67, 68, 50])
def test_any_order_and_any_cut_give_the_text_letter_for_letter(octets: int) -> None:
    text = ARABIC * (2 if octets >= 67 else 1)
    parts = cut(text, octets)
    assert 2 < len(parts) <= 5
    for order in permutations(parts):
        assert read(order) == [text]


@pytest.mark.parametrize("character", ["💧", "👩‍🚒", "مُّ", "é"])
def test_a_character_is_whole_wherever_it_is_cut(character: str) -> None:
    octets = character.encode("utf-16-be")
    for at in range(1, len(octets)):
        assert read([part(octets[:at], 1, 2), part(octets[at:], 2, 2)]) == [character]


def test_an_escape_at_the_edge_is_whole() -> None:
    first, last = part(b"5 \x1b", 1, 2, coding="gsm7"), part(b"e now", 2, 2, coding="gsm7")
    assert read([last, first]) == ["5 € now"]


def test_parts_in_two_alphabets_are_read_each_in_its_own() -> None:
    assert read([part(b"abc", 1, 2, coding="gsm7"), part("ماء".encode("utf-16-be"), 2, 2)]) == [
        "abcماء"
    ]


def test_what_is_brought_once_more_changes_nothing() -> None:
    joiner, parts = Joiner[None](), cut(ARABIC * 2, 134)
    again = [part(one.coded.octets, one.sequence, one.message.total, name="x") for one in parts]
    assert read([parts[0], again[0], *parts[1:], *again], joiner) == [ARABIC * 2]
    assert joiner.due(1e9) == []


def test_two_messages_that_interleave_are_two() -> None:
    one, two = cut("أ" * 150, 134), cut("ب" * 150, 134, reference=8)
    three = cut("ج" * 150, 134, person=b"q")
    found = read([p for trio in zip(one, two, three, strict=True) for p in trio])
    assert found == ["أ" * 150, "ب" * 150, "ج" * 150]


def test_a_reference_that_is_used_again_begins_a_new_message() -> None:
    one, two = cut("أ" * 150, 134), cut("ب" * 150, 134)
    assert read([*one, *two]) == ["أ" * 150, "ب" * 150]
    assert read([one[0], two[0], two[1], two[2], one[1], one[2]]) == ["ب" * 150, "أ" * 150]
    # The same words again, long after: brought by the person, not by the carrier.
    later = cut("أ" * 150, 134, received_ms=SAME_MS + 1)
    assert read([*one, *later]) == ["أ" * 150, "أ" * 150]


@pytest.mark.parametrize(
    ("missing", "shown"), [(1, "… bbccc"), (2, "aaa … ccc"), (3, "aaabb …"), (4, "aaabbccc")]
)
def test_what_is_missing_shows_when_the_time_is_over(missing: int, shown: str) -> None:
    texts = ("aaa", "bb", "ccc")
    joiner = Joiner[None]()
    for place, text in enumerate(texts, start=1):
        if place != missing:
            joiner.take(part(text.encode("utf-16-be"), place), 5.0)
    assert joiner.due(5.0 + WAIT_S - 0.1) == []
    found = [said(one) for one in joiner.due(5.0 + WAIT_S)]
    assert found == ([shown] if missing < 4 else [])
    assert joiner.due(1e9) == []


def test_half_a_character_at_a_gap_shows_nothing() -> None:
    whole = "ا💧ب".encode("utf-16-be")
    assert text_of([part(whole[:4], 1)], 3) == "ا …"
    assert text_of([part(whole[4:], 3)], 3) == "… ب"


def test_what_is_late_gathers_what_is_still_missing() -> None:
    joiner = Joiner[None]()
    a, b, c, d = (part(text.encode("utf-16-be"), n, 4) for n, text in enumerate("abcd", start=1))
    joiner.take(a, 0.0)
    joiner.take(c, 0.0)
    [first] = joiner.due(WAIT_S)
    assert said(first) == "a … c …"
    late = joiner.take(d, 40.0)
    assert late is not None
    assert (late.open, late.earlier) == (True, ("7/1", "7/3"))
    assert joiner.take(b, 41.0) is late
    assert (late.open, said(late)) == (False, "… b … d")
    assert joiner.take(b, 42.0) is None
    assert joiner.take(a, 42.0) is None


def test_what_is_late_one_by_one_knows_all_that_went_before() -> None:
    joiner = Joiner[None]()
    a, b, c = (part(text.encode("utf-16-be"), n, 3) for n, text in enumerate("abc", start=1))
    joiner.take(a, 0.0)
    joiner.due(WAIT_S)
    joiner.take(c, 40.0)
    assert [one.earlier for one in joiner.due(80.0)] == [("7/1",)]
    last = joiner.take(b, 90.0)
    assert last is not None
    assert (last.open, last.earlier) == (False, ("7/1", "7/3"))


def test_what_was_done_before_is_known_and_forgotten_in_time() -> None:
    joiner, parts = Joiner[None](), cut(ARABIC * 2, 134)
    for one in parts[:2]:
        joiner.take(one, 0.0)
    joiner.settle()
    assert joiner.due(1e9) == []
    assert joiner.take(parts[0], 10.0) is None
    joiner.forget(SAME_MS / 1000 + 1)
    again = joiner.take(parts[0], SAME_MS / 1000 + 2)
    assert again is not None
    assert again.earlier == ()


@given(st.text(max_size=300), st.integers(1, 140), st.randoms())
def test_any_text_in_any_parts_in_any_order_with_repeats(
    text: str, octets: int, chance: Any
) -> None:
    parts = cut(text, octets)
    if not 1 < len(parts) <= 255:
        return
    order = parts + chance.sample(parts, k=chance.randint(0, len(parts)))
    chance.shuffle(order)
    assert read(order) == [text]
