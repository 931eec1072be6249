"""The SMS centre's record is a witness: it must show a duplicate, a hole, a tear."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast import segments
from services.local.smsc.profile import Profile, ProfileError, load
from services.local.smsc.record import (
    RecordFile,
    Submit,
    duplicates,
    line_of,
    read_record,
    reassemble,
)
from services.runtime.smpp import Status
from services.runtime.smpp_text import Alphabet, split_header

LONG = "تم استلام بلاغكم، وسنعاود الاتصال بكم في أقرب وقت ممكن. " * 3


def submits(
    text: str, *, to: str = "999512345678", reference: int = 1, refused: tuple[int, ...] = ()
) -> list[Submit]:
    cut = segments.split(text)
    return [
        Submit(
            t=1.5,
            destination=to,
            sender="MAWJA",
            data_coding=cut.data_coding,
            udhi=cut.udhi,
            payload=payload,
            concat=split_header(payload)[0] if cut.udhi else None,
            reference=7,
            validity="",
            carrier_id=None if at in refused else str(at),
            status=Status.ESME_RTHROTTLED if at in refused else 0,
            system_id="mawja",
        )
        for at, payload in enumerate(segments.with_udh(cut.parts, reference))
    ]


def test_lines_are_read_back_as_written(tmp_path: Path) -> None:
    rows = [*submits(LONG), *submits('q"\\', to='o"dd\u0627'), *submits("x", refused=(0,))]
    path = tmp_path / "deep" / "record.jsonl"
    record = RecordFile(path)
    record.append([line_of(row) for row in rows])
    record.close()
    assert list(read_record(path)) == rows


def test_a_torn_tail_is_cut_and_ids_go_on(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    whole = b"".join(line_of(row) for row in submits(LONG))
    path.write_bytes(whole + b'{"t":1.5,"to":"9')
    assert len(list(read_record(path))) == len(submits(LONG))
    record = RecordFile(path)
    assert record.last_id == len(submits(LONG)) - 1
    record.append([line_of(one) for one in submits("x")])
    record.close()
    assert len(list(read_record(path))) == len(submits(LONG)) + 1


def test_a_hole_in_the_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b"{broken}\n" + line_of(submits("x")[0]))
    with pytest.raises(ValueError, match="line 1"):
        list(read_record(path))


def test_parts_join_in_any_order_and_retries_fill_refusals() -> None:
    rows = submits(LONG, refused=(1,)) + submits(LONG)[1:2]
    (message,) = reassemble(reversed(rows))
    assert (message.text, message.complete) == (LONG, True)
    assert duplicates(rows) == []


def test_the_same_text_twice_is_a_duplicate() -> None:
    (found,) = duplicates([*submits(LONG), *submits(LONG, reference=2)])
    assert (found.text, found.count) == (LONG, 2)


def test_the_same_parts_interleaved_are_two_messages() -> None:
    rows = [row for pair in zip(submits(LONG), submits(LONG), strict=True) for row in pair]
    assert [message.text for message in reassemble(rows)] == [LONG, LONG]


def test_one_part_again_is_a_duplicate() -> None:
    (found,) = duplicates([*submits(LONG), submits(LONG)[1]])
    assert (found.text, found.count) == (None, 1)


def test_other_people_other_texts_and_refusals_are_none() -> None:
    rows = [
        *submits(LONG),
        *submits(LONG, to="999512345679"),
        *submits(LONG + "٢", reference=2),
        *submits("x", refused=(0,)),
        *submits("x"),
    ]
    assert duplicates(rows) == []


def test_two_messages_that_begin_alike_are_none() -> None:
    # Of the second only the first part was ever taken; it equals the first part of the first.
    rows = [*submits(LONG), submits(LONG + "٢", reference=2)[0]]
    assert duplicates(rows) == []


@given(st.permutations(range(8)))
def test_any_order_of_two_messages_gives_both(order: list[int]) -> None:
    rows = submits(LONG * 2, reference=1)[:4] + submits("ب" + LONG * 2, reference=2)[:4]
    total = len(submits(LONG * 2))
    whole = reassemble([rows[at] for at in order])
    assert sorted(len(message.parts) for message in whole) == [4, 4]
    assert total > 4
    assert all(not message.complete for message in whole)


def test_a_full_disk_leaves_no_half_lines(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = RecordFile(path)
    line = line_of(submits("x")[0])
    record.append([line])
    # A size limit fails the way a full disk does: the write is cut, the next one refused.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(line) * 2 + 20, hard))
    try:
        with pytest.raises(OSError, match=r"."):
            record.append([line, line])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == line
    record.append([line])
    record.close()
    assert path.read_bytes() == line * 2


@pytest.mark.parametrize("name", ["default", "slow", "hostile"])
def test_shipped_profiles_are_valid(name: str) -> None:
    assert load(name).description


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("no_such_key", 1),
        ("accept_silently", 1.5),
        ("accept_silently", "often"),
        ("refuse", {"ESME_NOTHING": 0.1}),
        ("refuse", {"ESME_RSYSERR": 0.6, "ESME_RMSGQFUL": 0.6}),
        ("answer_delay_ms", {"uniform": [5, 1]}),
        ("answer_delay_ms", {"lognormal": {"median": 0, "p99": 1}}),
        ("answer_delay_ms", -1),
        ("answer_id", "octal"),
        ("alphabet", "ebcdic"),
        ("drop_bind_every", 0),
        ("receipt_copies", 0),
        ("receipt_shuffle", "yes"),
        ("throttle_parts_per_s", float("nan")),
    ],
)
def test_a_bad_profile_names_its_key(key: str, value: object) -> None:
    with pytest.raises(ProfileError, match=key):
        Profile().with_changes({key: value})


def test_a_missing_profile_says_which_there_are() -> None:
    with pytest.raises(ProfileError, match="default, hostile, slow"):
        load("nowhere")


def test_a_profile_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "alphabet: ascii\nrefuse: {ESME_RSYSERR: 0.5}\nanswer_delay_ms: 7\n"
        "accounts: {mawja: secret}\nthrottle_parts_per_s: 10\nanswer_id: hex\n"
    )
    profile = load(str(path))
    assert profile.alphabet is Alphabet.ASCII
    assert profile.refuse == {Status.ESME_RSYSERR: 0.5}
    assert profile.answer_delay_ms.a == 7
    assert (profile.accounts, profile.answer_id) == ({"mawja": "secret"}, "hex")
