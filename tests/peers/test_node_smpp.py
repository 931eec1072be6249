"""node-smpp as SMS centre: what it reads is what was written, letter for letter."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.intake.v1.events_pb2 import ContactAccepted

from services.broadcast import wording
from services.broadcast.carriers import tls
from services.broadcast.carriers.base import Accepted, OutPart, ReceiptState
from services.broadcast.carriers.deliver import Dialect
from services.broadcast.carriers.smpp import SmppCarrier
from services.broadcast.carriers.specs import TlsSpec
from services.broadcast.segments import NATIONAL, Wire
from services.local.parts import Parts
from services.runtime.config import Settings
from services.runtime.smpp_text import Alphabet, decode_payload
from tests.broadcast_rig import Rig, digits, numbers, running, wait_until
from tests.campaigns_rig import MAKER, OTHER, Office, agrees, listed, plan, started
from tests.certificates import HERE, Authority
from tests.intake_rig import contacts, intake
from tests.peers.node import Heard, NodeSmsc
from tests.smpp_rig import Got, bound, configured, until

pytestmark = pytest.mark.peers

TABLES = ("tr", "es", "pt")
"""Languages whose tables node-smpp has: 1, 2 and 3."""
UCS2 = 8
ARABIC = (
    "السلام عليكم، استلمنا بلاغكم رقم ٤٥٧١ عن انقطاع المياه 💧 وسنعاود الاتصال بكم. "
    "لطفًا أبقوا هاتفكم قريبًا؛ شكرًا لصبركم. "
) * 3
TEXTS = {
    "arabic": ARABIC,
    "dialect": "وينكم؟ المَيّ مقطوعة من مبارح پچگڤ ﷺ لـــــا تشيلون هم، ٪٥٠ رجعت " * 3,
    "urdu": "آپ کی درخواست موصول ہو چکی ہے، ہم جلد آپ سے رابطہ کریں گے۔ " * 4,
    "hindi": "आपका अनुरोध मिल गया है, हम आपको जल्द ही फिर से कॉल करेंगे। " * 3,
    "malayalam": "താങ്കളുടെ അപേക്ഷ ലഭിച്ചു, ഞങ്ങൾ ഉടൻ തിരികെ വിളിക്കും. " * 3,
    "families": "👨‍👩‍👧‍👦🏳️‍🌈🇦🇪👍🏽" * 20,
    "one part": "تم",
    "exactly two parts": "ا" * 134,
    "gsm": "Total €12 [a] {b} ^~\\| @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\n" * 3,
    "escapes at the edge": "x" * 152 + "€" + "y" * 151 + "[]",
}
IN_TABLES = {
    "tr": "Şebekede su kesintisi var; çocuklar için ılık içme suyu dağıtılıyor. Ğ ğ İ € ^ " * 3,
    "es": "Atención: ningún teléfono está fuera; él llamará según el camión. ÁÍÓÚ € ñ ¿? ¡! " * 3,
    "pt": "Atenção: não há água; a equipa está a caminho. Ligação às três. ÊÕÃÁ ∞ € ^{}[]~|\\ " * 3,
}


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSmsc]:
    smsc = NodeSmsc(tmp_path_factory.mktemp("node"))
    smsc.start()
    try:
        yield smsc
    finally:
        smsc.stop()


def cut(wire: Wire, text: str, number: str, reference: int = 7) -> list[OutPart]:
    """A text's parts, as broadcast cuts them for a wire."""
    parts = wire.split(text)
    return [
        OutPart(number, "Mawja", payload, parts.data_coding, parts.udhi, reference, True)
        for payload in parts.payloads(reference)
    ]


async def sent(centre: NodeSmsc, parts: list[OutPart]) -> Heard:
    """Sends a message's parts and waits for its receipts; what node-smpp heard."""
    got = Got()
    async with bound(centre.port, got) as carrier:
        outcomes = await carrier.submit_many(parts)
        ids = {one.carrier_id for one in outcomes if isinstance(one, Accepted)}
        assert len(ids) == len(parts)
        await until(lambda: len(got.receipts) == len(parts))
    assert {one.carrier_id for one in got.receipts} == ids
    assert {one.state for one in got.receipts} == {ReceiptState.DELIVERED}
    assert {one.recipient for one in got.receipts} == {parts[0].destination}
    [heard] = [one for one in centre.heard() if f"+{one.to}" == parts[0].destination]
    return heard


@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_arrives_letter_for_letter(centre: NodeSmsc, name: str) -> None:
    number = numbers("40", len(TEXTS))[list(TEXTS).index(name)]
    parts = cut(Wire(), TEXTS[name], number)
    heard = await sent(centre, parts)
    assert heard.text == TEXTS[name]
    assert (heard.parts, heard.data_coding) == (len(parts), parts[0].data_coding)
    assert (heard.sender, heard.sender_ton, heard.to_ton) == ("Mawja", 5, 1)
    assert not heard.broken, "no part holds half of a character"


@pytest.mark.parametrize("language", TABLES)
async def test_so_does_one_in_national_tables(centre: NodeSmsc, language: str) -> None:
    number = numbers("41", len(TABLES))[TABLES.index(language)]
    parts = cut(Wire(national=TABLES), IN_TABLES[language], number)
    heard = await sent(centre, parts)
    assert heard.text == IN_TABLES[language]
    assert set(heard.tables) == {NATIONAL.index(language) + 1}
    assert heard.parts == len(parts) < len(Wire().split(IN_TABLES[language]).parts)


async def test_a_person_of_many_parts_is_heard(centre: NodeSmsc) -> None:
    # It cuts every 67 code units, in the middle of a character too.
    text, got = "الماء مقطوع منذ الأمس 💧💧💧" * 9, Got()
    async with bound(centre.port, got):
        centre.say("+999540000099", "8001", text)
        await until(lambda: len(got.inbound) == -(-len(text.encode("utf-16-be")) // 134))
    assert {one.sender for one in got.inbound} == {"+999540000099"}
    places = [one.concat for one in got.inbound if one.concat is not None]
    assert [one.sequence for one in places] == list(range(1, len(got.inbound) + 1))
    octets = b"".join(one.payload[6:] for one in got.inbound)
    assert decode_payload(octets, UCS2, False, Alphabet.GSM7).text == text


async def test_a_text_under_data_coding_1_is_read_as_the_carrier_means_it(
    centre: NodeSmsc,
) -> None:
    # node-smpp calls its table of GSM-7 ASCII, and writes it under the number of IA5.
    text, got, by_standard = "Où est l'eau à Ñora? 5 € [24 h] ü", Got(), Got()
    async with bound(centre.port, got, dialect=Dialect(data_coding_1=Alphabet.GSM7)):
        centre.say("+999540000098", "8001", text, data_coding=1)
        await until(lambda: len(got.inbound) == 1)
    async with bound(centre.port, by_standard):
        centre.say("+999540000098", "8001", text, data_coding=1)
        await until(lambda: len(by_standard.inbound) == 1)
    assert got.inbound[0].text == text
    assert by_standard.inbound[0].text != text
    assert by_standard.inbound[0].payload == got.inbound[0].payload


@pytest.mark.parametrize("country", ["AE", ""])
async def test_a_person_without_a_country_code_is_known_where_the_country_is(
    centre: NodeSmsc, country: str, caplog: pytest.LogCaptureFixture
) -> None:
    got, ways = Got(), (("0501234567", 2), ("0501234567", 1), ("501234567", 0))
    async with bound(centre.port, got, dialect=Dialect(country=country)):
        for number, ton in ways:
            centre.say(number, "8001", "إيقاف", ton=ton)
        await until(lambda: len(got.inbound) == len(ways))
    people = [one.sender for one in got.inbound]
    said = [one for one in caplog.messages if "without their country code" in one]
    if country:
        assert (people, said) == (["+971501234567"] * 3, [])
    else:
        assert people[:2] == ["0501234567"] * 2, "never the number of somebody else"
        assert len(said) == 1


async def test_a_wrong_password_is_not_bound(centre: NodeSmsc) -> None:
    carrier, got = SmppCarrier(configured(centre.port, password="guess")), Got()
    await carrier.start(got.on_receipts, got.on_inbound)
    assert not await carrier.wait_bound(0.5)
    await carrier.stop()


async def test_over_tls_and_receipts_that_write_ids_otherwise(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    secured = NodeSmsc(tmp_path / "tls", "text", authority.issue("here", HERE))
    secured.start()
    try:
        made = tls.context("smsc", TlsSpec(ca_file=authority.file.name), tmp_path)
        got, dialect = Got(), Dialect(id_format="hex_to_dec")
        parts = cut(Wire(), ARABIC, "+999542000001")
        async with bound(secured.port, got, binds=2, tls=made, dialect=dialect) as carrier:
            outcomes = await carrier.submit_many(parts)
            await until(lambda: len(got.receipts) == len(parts))
        assert {one.carrier_id for one in got.receipts} == {
            one.carrier_id for one in outcomes if isinstance(one, Accepted)
        }
        assert secured.texts() == {"999542000001": [ARABIC]}
    finally:
        secured.stop()


# --- a campaign -----------------------------------------------------------------------------------

SAID = {
    "ar": "الملجأ رقم {place} مفتوح الآن 🏠، " + ARABIC,
    "ur": "پناہ گاہ نمبر {place} کھلی ہے۔ " * 4,
    "tr": "Sığınak {place} açıldı; çocuklarınızı ve ilaçlarınızı yanınıza alın. " * 3,
    "en": "Shelter {place} is open [24 h] {{free}} €0 ~ ^ | \\ bring your papers. " * 3,
}
EACH = 20


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[tuple[Rig, NodeSmsc]]:
    folder = parts.home / "peers-node"
    folder.mkdir()
    authority = Authority(folder, "authority")
    smsc = NodeSmsc(folder / "smsc", "text", authority.issue("here", HERE))
    smsc.start()
    try:
        carrier: dict[str, Any] = {
            "name": "node",
            "kind": "smpp",
            "declared": "test",
            "host": "127.0.0.1",
            "port": smsc.port,
            "system_id": "mawja",
            "password_file": "password",
            "sender": "Mawja",
            "parts_per_second": 1000,
            "binds": 2,
            "id_format": "hex_to_dec",
            "national": ["tr"],
            "tls": {"ca_file": authority.file.name},
        }
        routes = [{"prefix": "+", "carrier": "node"}]
        with running(parts, "peers-node", {}, routes, others=[carrier]) as broadcast:
            yield broadcast, smsc
    finally:
        smsc.stop()


def test_a_campaign_in_four_languages_reaches_every_telephone(rig: tuple[Rig, NodeSmsc]) -> None:
    broadcast, smsc = rig
    maker, other = Office(broadcast.system, MAKER), Office(broadcast.system, OTHER)
    people = numbers("43", EACH * len(SAID))
    rows = b"".join(
        # The header once; `listed` numbers the places of each language anew.
        listed(people[at * EACH : (at + 1) * EACH], language).partition(b"\n")[2]
        for at, language in enumerate(SAID)
    )
    header = listed([]).partition(b"\n")[0] + b"\n"
    upload = maker.upload(header + rows)
    wanted = plan(
        upload.audience_id,
        texts=[campaigns_pb2.CampaignText(language=one, template=SAID[one]) for one in SAID],
    )
    campaign_id = started(maker, other, wanted)
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    wait_until(
        lambda: agrees(broadcast, maker, campaign_id, len(people)) == {"DELIVERED": len(people)}
    )
    assert {(one.data_coding, one.tables) for one in smsc.heard()} == {(8, ()), (0, (1,)), (0, ())}
    shown = smsc.texts()
    for at, language in enumerate(SAID):
        for place, number in enumerate(people[at * EACH : (at + 1) * EACH]):
            text = SAID[language].replace("{place}", str(place)).replace("{{", "{")
            text = wording.shown(text.replace("}}", "}"), True, Alphabet.GSM7, ["tr"])
            assert shown.pop(digits(number)) == [text]
    assert not shown


def test_a_long_text_of_a_person_is_one_contact(
    rig: tuple[Rig, NodeSmsc], settings: Settings, tmp_path: Path
) -> None:
    broadcast, smsc = rig
    [number] = numbers("45", 1)
    # It cuts every 67 code units, in the middle of a character too.
    text = "السلام عليكم، " + "الماء مقطوع منذ الأمس 💧💧💧" * 9
    assert any(text.encode("utf-16-be")[at : at + 1] == b"\xdc" for at in range(134, 600, 134))
    shared = dataclasses.replace(settings, keys=broadcast.system.keys)
    with intake(shared, tmp_path, "hears") as room:
        smsc.say(number, "8001", text)
        person = broadcast.keyring.person(number)

        def heard() -> list[ContactAccepted]:
            return [one for one in contacts(settings) if one.person == person]

        wait_until(lambda: bool(heard()))
        [contact] = heard()
        assert broadcast.keyring.unseal("text", contact.sealed_text) == text
        assert list(contact.parts.held) == list(range(1, contact.parts.total + 1))
        assert contact.parts.total > 2
        assert "Traceback" not in room.said


def test_a_stop_by_reply_holds(rig: tuple[Rig, NodeSmsc]) -> None:
    broadcast, smsc = rig
    [number] = numbers("44", 1)
    tries = itertools.count()

    def kept_back() -> bool:
        asked = broadcast.outreach.request(number, "بعد الإيقاف", name=f"after/{next(tries)}")
        broadcast.outreach.flush()
        return "SUPPRESSED" in broadcast.ledger.wait_for([asked], "SUPPRESSED", "DELIVERED")

    assert not kept_back()
    smsc.say(number, "8001", "إيقاف")
    wait_until(kept_back)
