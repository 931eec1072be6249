"""Frames, times and strings of SMPP 3.4, whatever the network does to the byte stream."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime import smpp, smpp_time

PDUS = st.lists(
    st.builds(
        smpp.pdu,
        st.sampled_from([smpp.SUBMIT_SM, smpp.DELIVER_SM_RESP, smpp.ENQUIRE_LINK, 0x12345678]),
        st.integers(0, 0xFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=60),
    ),
    max_size=12,
)


@given(PDUS, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_cutting_of_the_stream_gives_the_same_pdus(pdus: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pdus)
    framer = smpp.Framer()
    got: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        frames, error = framer.feed(stream[at : at + size])
        assert error is None
        got.extend(frame.raw for frame in frames)
        at, turn = at + size, turn + 1
    assert got == pdus


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80), max_size=10))
def test_garbage_ends_in_an_error_or_waits_and_never_raises(reads: list[bytes]) -> None:
    framer = smpp.Framer()
    for data in reads:
        frames, error = framer.feed(data)
        assert all(len(frame.raw) >= 16 for frame in frames)
        if error is not None:
            break


@pytest.mark.parametrize("length", [0, 15, smpp.MAX_PDU_OCTETS + 1, 0xFFFFFFFF])
def test_good_pdus_before_a_broken_length_are_kept(length: int) -> None:
    good = smpp.pdu(smpp.ENQUIRE_LINK, 0, 1)
    frames, error = smpp.Framer().feed(good + struct.pack(">I", length))
    assert [frame.raw for frame in frames] == [good]
    assert isinstance(error, smpp.FrameError)


def test_times() -> None:
    assert smpp_time.absolute_time(0.25) == "700101000000200+"
    assert smpp_time.relative_time(90_061) == "000001010101000R"
    assert smpp_time.read_time("", 5.0) is None
    assert smpp_time.read_time("000001010101000R", 1000.0) == 91_061
    assert smpp_time.read_time("260101040000016+", 0) == smpp_time.read_time("260101000000000+", 0)
    for broken in ("2601", "269901000000000+", "260101000000000x"):
        with pytest.raises(ValueError, match=r"."):
            smpp_time.read_time(broken, 0)
    with pytest.raises(ValueError, match="31 days"):
        smpp_time.relative_time(32 * 86_400)


@given(st.integers(946_684_800, 4_102_444_799), st.integers(0, 9))
def test_an_absolute_time_is_read_back_to_the_tenth(seconds: int, tenth: int) -> None:
    read = smpp_time.read_time(smpp_time.absolute_time(seconds + tenth / 10 + 0.01), 0)
    assert read == pytest.approx(seconds + tenth / 10, abs=1e-3)


def test_strings_are_bounded() -> None:
    assert smpp.c_string("abc", 4) == b"abc\0"
    for wrong in ("abcd", "a\0"):
        with pytest.raises(ValueError, match="at most 3"):
            smpp.c_string(wrong, 4)
    assert smpp.read_c_string(b"xabc\0y", 1) == ("abc", 5)
    with pytest.raises(ValueError, match="NUL"):
        smpp.read_c_string(b"abc", 0)
