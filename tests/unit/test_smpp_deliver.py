"""Receipts and inbound messages are read in every carrier's hand, and never mistaken."""

import re

import pytest
import smpp34
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.carriers import deliver
from services.broadcast.carriers.base import InboundMessage, Receipt, ReceiptState
from services.broadcast.carriers.deliver import Dialect
from services.broadcast.carriers.errors import BY_STATUS, SendError, error_of
from services.runtime import smpp
from services.runtime.smpp_text import Alphabet, Concat, concat_element, header_of, join_coded

TEXT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2601010203 done date:2601010204 "
    b"stat:DELIVRD err:000 text:stat:REJECTD id:9"
)


def receipt(
    text: bytes = TEXT, *, esm_class: int = smpp.ESM_RECEIPT, tlvs: dict[int, bytes] | None = None
) -> smpp34.DeliverSm:
    return smpp34.DeliverSm(
        "999512345678",
        "MAWJA",
        text,
        source_addr_ton=1,
        esm_class=esm_class,
        tlvs=[smpp34.Tlv(tag, value) for tag, value in (tlvs or {}).items()],
    )


def read_receipt(message: smpp34.DeliverSm, dialect: Dialect | None = None) -> Receipt:
    event = deliver.read(message, dialect or Dialect())
    assert isinstance(event, Receipt)
    return event


def test_the_standard_form_and_a_text_field_that_lies() -> None:
    got = read_receipt(receipt())
    assert got == Receipt(
        carrier_id="0123456789",
        state=ReceiptState.DELIVERED,
        error="000",
        done_at=1_767_233_040.0,
        recipient="+999512345678",
        reference=None,
    )


@pytest.mark.parametrize(
    ("text", "tlvs", "state"),
    [
        (b"id:1 stat:UNDELIV err:027", {}, ReceiptState.UNDELIVERABLE),
        (b"ID:1 STAT:EXPIRED", {}, ReceiptState.EXPIRED),
        (b"id:1 stat:ACCEPTD", {}, ReceiptState.ACCEPTED),
        (b"id:1 stat:SOMETHING", {}, ReceiptState.UNKNOWN),
        (b"id:1 stat:SOMETHING", {smpp.TAG_MESSAGE_STATE: b"\x08"}, ReceiptState.REJECTED),
        (b"", {smpp.TAG_MESSAGE_STATE: b"\x02"}, ReceiptState.DELIVERED),
        (b"", {smpp.TAG_MESSAGE_STATE: b"\xff"}, ReceiptState.UNKNOWN),
        (b"id: stat: done date:", {}, ReceiptState.UNKNOWN),
    ],
)
def test_states(text: bytes, tlvs: dict[int, bytes], state: ReceiptState) -> None:
    assert read_receipt(receipt(text, tlvs=tlvs)).state is state


def test_only_final_states_are_final() -> None:
    assert {state for state in ReceiptState if not state.final} == {
        ReceiptState.ENROUTE,
        ReceiptState.ACCEPTED,
        ReceiptState.UNKNOWN,
    }


@pytest.mark.parametrize(
    ("id_format", "answer", "in_receipt"),
    [
        ("same", "A-17", b"A-17"),
        ("hex_to_dec", "1f", b"0000000031"),
        ("hex_to_dec", "0000001F", b"31"),
        ("dec_to_hex", "31", b"1F"),
    ],
)
def test_ids_of_answer_and_receipt_become_one(
    id_format: deliver.IdFormat, answer: str, in_receipt: bytes
) -> None:
    dialect = Dialect(id_format=id_format)
    got = read_receipt(receipt(b"id:%b stat:DELIVRD" % in_receipt), dialect)
    assert got.carrier_id == dialect.answer_id(answer)


def test_the_id_parameter_has_the_answers_form_and_goes_first() -> None:
    dialect = Dialect(id_format="hex_to_dec")
    tlvs = {smpp.TAG_RECEIPTED_MESSAGE_ID: b"ff\0", smpp.TAG_USER_MESSAGE_REFERENCE: b"\x12\x34"}
    got = read_receipt(receipt(b"id:1 stat:DELIVRD", tlvs=tlvs), dialect)
    assert (got.carrier_id, got.reference) == (dialect.answer_id("FF"), 0x1234)


def test_an_id_that_is_no_number_is_kept() -> None:
    assert Dialect(id_format="hex_to_dec").answer_id("xyz") == "xyz"


def test_dates_are_in_the_carriers_zone() -> None:
    abu_dhabi = read_receipt(receipt(), Dialect(utc_offset_min=240)).done_at
    utc = read_receipt(receipt()).done_at
    assert utc is not None
    assert abu_dhabi == utc - 240 * 60


def test_a_person_who_writes_like_a_receipt_is_a_person() -> None:
    event = deliver.read(receipt(TEXT, esm_class=0), Dialect())
    assert isinstance(event, InboundMessage)
    assert event.text == TEXT.decode()


def test_an_inbound_stop_in_arabic() -> None:
    message = smpp34.DeliverSm(
        "999512345678", "2021", "إيقاف".encode("utf-16-be"), source_addr_ton=1, data_coding=8
    )
    event = deliver.read(message, Dialect())
    assert isinstance(event, InboundMessage)
    assert (event.sender, event.destination, event.text) == ("+999512345678", "2021", "إيقاف")
    assert event.carrier_id == ""


@pytest.mark.parametrize(
    ("raw", "ton", "country", "number"),
    [
        ("971501234567", 1, "", "+971501234567"),
        ("971501234567", 0, "", "+971501234567"),
        ("00971501234567", 0, "", "+971501234567"),
        ("00971501234567", 1, "AE", "+971501234567"),
        ("2021", 0, "AE", "2021"),
        ("MAWJA", 5, "AE", "MAWJA"),
        ("", 0, "AE", ""),
        # Without its country code, in every way in which carriers leave it out.
        ("0501234567", 0, "AE", "+971501234567"),
        ("0501234567", 1, "AE", "+971501234567"),
        ("0501234567", 2, "AE", "+971501234567"),
        ("501234567", 2, "AE", "+971501234567"),
        ("501234567", 0, "AE", "+971501234567"),
        ("33123456", 2, "QA", "+97433123456"),
        ("33123456", 0, "QA", "+97433123456"),
        # Somebody abroad, at the same carrier.
        ("97433123456", 1, "AE", "+97433123456"),
        ("97433123456", 0, "AE", "+97433123456"),
        ("999512345678", 0, "AE", "+999512345678"),
        # Nobody said which country: never the number of somebody else.
        ("0501234567", 0, "", "0501234567"),
        ("0501234567", 1, "", "0501234567"),
        ("501234567", 2, "", "501234567"),
    ],
)
def test_one_person_has_one_number(raw: str, ton: int, country: str, number: str) -> None:
    dialect = Dialect(country=country)
    heard = deliver.read(smpp34.DeliverSm(raw, "2021", b"STOP", source_addr_ton=ton), dialect)
    assert isinstance(heard, InboundMessage)
    assert (heard.sender, heard.destination) == (number, "2021")
    said = smpp34.DeliverSm(raw, "2021", TEXT, source_addr_ton=ton, esm_class=smpp.ESM_RECEIPT)
    assert read_receipt(said, dialect).recipient == number
    assert deliver.lacks_country(number) == (number in ("0501234567", "501234567"))


def test_identity_is_equal_for_a_redelivery_and_differs_for_another_part() -> None:
    def identity(payload: bytes, sequence: int) -> bytes:
        header = header_of(concat_element(5, 2, sequence))
        message = smpp34.DeliverSm(
            "999512345678",
            "2021",
            header + payload,
            esm_class=smpp.ESM_UDHI,
            sequence_number=sequence,
        )
        event = deliver.read(message, Dialect())
        assert isinstance(event, InboundMessage)
        assert event.concat == Concat(5, 2, sequence)
        return event.identity

    assert identity(b"a", 1) == identity(b"a", 1)
    assert identity(b"a", 1) != identity(b"a", 2)


def test_parts_by_parameters_and_long_payloads_are_read() -> None:
    message = receipt(
        b"",
        esm_class=0,
        tlvs={
            smpp.TAG_SAR_MSG_REF_NUM: b"\x00\x07",
            smpp.TAG_SAR_TOTAL_SEGMENTS: b"\x02",
            smpp.TAG_SAR_SEGMENT_SEQNUM: b"\x01",
            smpp.TAG_MESSAGE_PAYLOAD: b"x" * 300,
        },
    )
    event = deliver.read(message, Dialect())
    assert isinstance(event, InboundMessage)
    assert (event.text, event.concat) == ("x" * 300, Concat(7, 2, 1))


@pytest.mark.parametrize(
    ("meaning", "text"),
    [
        (Alphabet.GSM7, "à Δ€"),
        (Alphabet.ASCII, "\x7f \x10\x1be"),
        (Alphabet.LATIN1, "\x7f \x10\x1be"),
    ],
)
def test_what_data_coding_1_holds_is_the_carriers_own(meaning: Alphabet, text: str) -> None:
    message = smpp34.DeliverSm("1", "2", b"\x7f \x10\x1be", data_coding=1)
    event = deliver.read(message, Dialect(data_coding_1=meaning))
    assert isinstance(event, InboundMessage)
    assert event.text == text
    if meaning is Alphabet.ASCII:
        assert deliver.read(message, Dialect()) == event


def test_a_cut_escape_and_a_cut_character_are_whole_when_parts_are_joined() -> None:
    def parts(octets: bytes, cut: int, data_coding: int) -> list[InboundMessage]:
        found = []
        for at, piece in enumerate((octets[:cut], octets[cut:]), start=1):
            message = smpp34.DeliverSm(
                "1",
                "2",
                header_of(concat_element(9, 2, at)) + piece,
                data_coding=data_coding,
                esm_class=smpp.ESM_UDHI,
            )
            event = deliver.read(message, Dialect())
            assert isinstance(event, InboundMessage)
            found.append(event)
        return found

    euro = parts("5 €".encode("utf-16-be"), 5, 8)
    assert [one.text for one in euro] == ["5 \ufffd", "\ufffd"]
    assert join_coded(one.coded for one in euro) == "5 €"
    escaped = parts(b"5 \x1be!", 3, 0)
    assert [one.text for one in escaped] == ["5  ", "e!"]
    assert join_coded(one.coded for one in escaped) == "5 €!"


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=150), st.sampled_from(["same", "hex_to_dec", "dec_to_hex"]))
def test_no_octets_make_reading_fail(body: bytes, id_format: deliver.IdFormat) -> None:
    try:
        message = smpp34.decode(smpp.pdu(smpp.DELIVER_SM, 0, 1, body))
    except smpp34.SmppError:
        return
    assert isinstance(message, smpp34.DeliverSm)
    deliver.read(message, Dialect(id_format=id_format))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200),
    st.integers(0, 255),
    st.integers(0, 255),
    st.dictionaries(
        st.sampled_from([0x1E, 0x204, 0x20C, 0x20E, 0x20F, 0x424, 0x427]), st.binary(max_size=9)
    ),
)
def test_no_fields_make_reading_fail(
    text: bytes, esm_class: int, data_coding: int, tlvs: dict[int, bytes]
) -> None:
    message = smpp34.DeliverSm(
        "1",
        "2",
        text,
        esm_class=esm_class,
        data_coding=data_coding,
        tlvs=[smpp34.Tlv(tag, value) for tag, value in tlvs.items()],
    )
    decoded = smpp34.decode(message.encode())
    assert isinstance(decoded, smpp34.DeliverSm)
    deliver.read(decoded, Dialect())


def test_errors_are_closed_and_overridable() -> None:
    assert error_of(smpp.Status.ESME_RTHROTTLED) is SendError.THROTTLED
    assert error_of(0x4FF) is SendError.REFUSED
    assert error_of(0x4FF, {0x4FF: SendError.QUEUE_FULL}) is SendError.QUEUE_FULL
    assert len({error.code for error in SendError}) == len(SendError)
    assert all(error.retry for error in SendError if error.throttle)
    assert smpp.Status.ESME_ROK not in BY_STATUS


@given(
    st.lists(
        st.sampled_from(
            [
                "id:7",
                "ID:ab",
                "stat:DELIVRD",
                "err:000",
                "done date:2611221100",
                "text:",
                "id:",
                " ",
            ]
        )
        | st.text(st.characters(max_codepoint=255), max_size=6),
        max_size=8,
    ).map(" ".join)
)
def test_what_is_remembered_of_receipts_changes_nothing(text: str) -> None:
    cut = re.search(r"\btext:", text, re.I)
    head = text[: cut.start()] if cut else text
    field = r"\b(id|sub|dlvrd|submit date|done date|stat|err):(\S*)"
    plain = {match[1].lower(): match[2] for match in re.finditer(field, head, re.I)}
    found = deliver._fields(text)
    assert found == plain
