"""A request to stop that came in parts is judged as one text, and no part of one alone."""

from itertools import permutations

import smpp34

from services.broadcast.carriers import deliver
from services.broadcast.carriers.base import InboundMessage
from services.broadcast.carriers.deliver import Dialect
from services.broadcast.split_stops import KEPT_MS, SplitStops
from services.runtime import smpp
from services.runtime.smpp_text import concat_element, header_of


def part(
    octets: bytes, sequence: int, total: int = 2, reference: int = 7, sender: str = "999512345678"
) -> InboundMessage:
    message = smpp34.DeliverSm(
        sender,
        "8001",
        header_of(concat_element(reference, total, sequence)) + octets,
        source_addr_ton=1,
        esm_class=smpp.ESM_UDHI,
        data_coding=8,
    )
    event = deliver.read(message, Dialect())
    assert isinstance(event, InboundMessage)
    return event


def ucs2(text: str) -> bytes:
    return text.encode("utf-16-be")


def answers(messages: list[InboundMessage], now_ms: int = 0) -> list[bool]:
    stops = SplitStops()
    found = []
    for message in messages:
        assert message.concat is not None
        found.append(stops.take(message, message.concat, now_ms))
    return found


def test_a_word_cut_anywhere_and_in_any_order_is_one() -> None:
    octets = ucs2("إيقاف")
    for cut in range(1, len(octets)):
        pieces = [part(octets[:cut], 1), part(octets[cut:], 2)]
        for order in permutations(pieces):
            assert answers(list(order)) == [False, True]


def test_a_part_that_says_only_the_word_is_none_while_the_rest_may_come() -> None:
    assert answers([part(ucs2("STOP"), 1), part(ucs2(" by the office"), 2)]) == [False, False]
    assert answers([part(ucs2("please "), 1), part(ucs2("STOP"), 2)]) == [False, False]
    assert answers([part(ucs2("STOP"), 2), part(ucs2("x" * 65), 1)]) == [False, False]


def test_brought_once_more_it_is_one_again() -> None:
    last = part(ucs2("OP"), 2)
    assert answers([part(ucs2("ST"), 1), last, last]) == [False, True, True]


def test_parts_of_others_and_of_long_ago_do_not_count() -> None:
    assert answers([part(ucs2("ST"), 1), part(ucs2("OP"), 2, sender="999512345679")])[1] is False
    assert answers([part(ucs2("ST"), 1), part(ucs2("OP"), 2, reference=8)])[1] is False
    stops = SplitStops()
    first, last = part(ucs2("ST"), 1), part(ucs2("OP"), 2)
    assert first.concat is not None
    assert last.concat is not None
    assert not stops.take(first, first.concat, 0)
    assert not stops.take(last, last.concat, KEPT_MS + 1)
