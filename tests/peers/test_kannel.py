"""Kannel behind the HTTP carrier, and node-smpp behind Kannel: broadcast hands over whole texts,
Kannel cuts them, and what the far end reads is what was written."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from mawja.broadcast.v1 import campaigns_pb2

from services.local.parts import Parts
from tests.broadcast_rig import Rig, digits, drilled, inbound, numbers, running, wait_until
from tests.campaigns_rig import MAKER, OTHER, Office, agrees, listed, plan, started
from tests.peers.gateway import AUTHORIZATION, SECRET_TEXT, Gateway
from tests.peers.kannel import Kannel
from tests.peers.node import NodeSmsc
from tests.web_peers import in_a_thread

pytestmark = pytest.mark.peers

ARABIC = (
    "السلام عليكم، استلمنا بلاغكم رقم ٤٥٧١ عن انقطاع المياه 💧 وسنعاود الاتصال بكم. "
    "لطفًا أبقوا هاتفكم قريبًا؛ شكرًا لصبركم. "
) * 3
TEXTS = {
    "arabic": ARABIC,
    "urdu": "آپ کی درخواست موصول ہو چکی ہے، ہم جلد آپ سے رابطہ کریں گے۔ " * 4,
    "malayalam": "താങ്കളുടെ അപേക്ഷ ലഭിച്ചു, ഞങ്ങൾ ഉടൻ തിരികെ വിളിക്കും. " * 3,
    "families": "👨‍👩‍👧‍👦🏳️‍🌈🇦🇪👍🏽" * 20,
    "one part": "تم استلام بلاغكم",
    "gsm": "Total €12 [a] {b} ^~\\| @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\n&=%41+ " * 3,
}


@dataclass(slots=True)
class Chain:
    """Broadcast, the aggregator's door, its Kannel, and the SMS centre at the far end."""

    rig: Rig
    gateway: Gateway
    kannel: Kannel
    far: NodeSmsc

    def shown(self, number: str) -> list[str]:
        """What a telephone shows."""
        return self.far.texts().get(digits(number), [])


@pytest.fixture(scope="module")
def chain(parts: Parts) -> Iterator[Chain]:
    folder = parts.home / "peers-kannel"
    folder.mkdir()
    (folder / "kannel.authorization").write_text(AUTHORIZATION)
    (folder / "kannel.secret").write_text(SECRET_TEXT)
    with ExitStack() as stack:
        far = NodeSmsc(folder / "far")
        stack.callback(far.stop)
        far.start()
        gateway = stack.enter_context(in_a_thread(Gateway()))
        kannel = Kannel(folder / "kannel", far.port, f"{gateway.url}/people")
        stack.callback(kannel.stop)
        kannel.start()
        gateway.sendsms = kannel.sendsms
        carrier: dict[str, object] = {
            "name": "kannel",
            "kind": "http",
            "declared": "test",
            "sender": "Mawja",
            "parts_per_second": 500,
            "url": f"{gateway.url}/messages",
            "authorization_file": "kannel.authorization",
            "secret_file": "kannel.secret",
        }
        routes = [{"prefix": "+", "carrier": "kannel"}]
        rig = stack.enter_context(running(parts, "peers-kannel", {}, routes, others=[carrier]))
        gateway.webhook = f"http://127.0.0.1:{rig.replica.address.webhook}/carriers/kannel"
        yield Chain(rig, gateway, kannel, far)


def test_texts_arrive_letter_for_letter_in_the_parts_that_were_counted(chain: Chain) -> None:
    people = dict(zip(TEXTS, numbers("50", len(TEXTS)), strict=True))
    asked = {name: chain.rig.outreach.request(people[name], TEXTS[name]) for name in TEXTS}
    chain.rig.outreach.flush()
    chain.rig.ledger.wait_for(list(asked.values()), "DELIVERED")
    for name, number in people.items():
        assert chain.shown(number) == [drilled(TEXTS[name])], name
    heard = {one.to: one for one in chain.far.heard()}
    for name, number in people.items():
        one = heard[digits(number)]
        assert one.parts == chain.rig.ledger.last[asked[name]].parts, name
        assert one.sender == "Mawja"
        assert one.valid_until is not None


def test_a_campaign_is_delivered_to_the_last_letter(chain: Chain) -> None:
    maker, other = Office(chain.rig.system, MAKER), Office(chain.rig.system, OTHER)
    people = numbers("51", 100)
    template = "الملجأ رقم {place} مفتوح الآن 🏠، " + ARABIC
    upload = maker.upload(listed(people))
    texts = [campaigns_pb2.CampaignText(language="ar", template=template)]
    campaign_id = started(maker, other, plan(upload.audience_id, texts=texts))
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    wait_until(lambda: agrees(chain.rig, maker, campaign_id, 100) == {"DELIVERED": 100})
    shown = chain.far.texts()
    for place, number in enumerate(people):
        assert shown[digits(number)] == [drilled(template.replace("{place}", str(place)))]


def test_kannel_away_is_refused_for_certain_and_sent_once_when_it_is_back(chain: Chain) -> None:
    people = numbers("52", 20)
    chain.kannel.smsbox.stop()
    before = chain.gateway.asked
    asked = [chain.rig.outreach.request(number, ARABIC) for number in people]
    chain.rig.outreach.flush()
    wait_until(lambda: chain.gateway.asked > before)
    assert "SUBMITTED" not in chain.rig.ledger.states(asked)
    chain.kannel.start_smsbox()
    chain.rig.ledger.wait_for(asked, "DELIVERED")
    for number in people:
        assert chain.shown(number) == [drilled(ARABIC)]


def test_asked_twice_under_one_key_it_is_sent_once(chain: Chain) -> None:
    [number] = numbers("53", 1)
    body = {"to": number, "from": "Mawja", "text": "مرة واحدة", "reference": "1"}
    request = urllib.request.Request(
        f"{chain.gateway.url}/messages",
        json.dumps(body).encode(),
        {"Authorization": AUTHORIZATION, "Idempotency-Key": "one-key"},
    )
    ids = set()
    for _ in range(3):
        with urllib.request.urlopen(request, timeout=5) as answer:
            ids.add(json.load(answer)["id"])
    assert len(ids) == 1
    wait_until(lambda: bool(chain.shown(number)))
    assert chain.shown(number) == ["مرة واحدة"]


def test_what_a_person_writes_in_many_parts_is_one_text(chain: Chain) -> None:
    [talks, stops] = numbers("54", 2)
    said = "الماء مقطوع منذ الأمس 💧 ولا أحد يرد. " * 5
    # Kannel puts the parts together again, then says it in one call.
    chain.far.say(talks, "8001", said)
    chain.far.say(stops, "8001", "إيقاف")
    wait_until(lambda: len(inbound(chain.rig)) == 2)
    keyring = chain.rig.keyring
    found = {one.person: one for one in inbound(chain.rig)}
    written, stop = found[keyring.person(talks)], found[keyring.person(stops)]
    assert keyring.unseal("text", written.sealed_text) == said
    assert (written.opt_out, stop.opt_out) == (False, True)
    asked = [chain.rig.outreach.request(number, "هل عاد الماء؟") for number in (talks, stops)]
    chain.rig.outreach.flush()
    chain.rig.ledger.wait_for(asked[:1], "DELIVERED")
    chain.rig.ledger.wait_for(asked[1:], "SUPPRESSED")
    assert chain.rig.ledger.last[asked[1]].reason == "opt-out"


def test_broadcast_killed_in_the_middle_sends_nobody_twice(chain: Chain) -> None:
    maker, other = Office(chain.rig.system, MAKER), Office(chain.rig.system, OTHER)
    people = numbers("55", 400)
    upload = maker.upload(listed(people))
    texts = [campaigns_pb2.CampaignText(language="ar", template="{place}: " + ARABIC)]
    campaign_id = started(maker, other, plan(upload.audience_id, texts=texts))

    def reached() -> int:
        return len(chain.far.texts().keys() & set(map(digits, people)))

    for least in (40, 160, 280):
        wait_until(partial(lambda enough: reached() >= enough, least))
        assert reached() < len(people), "it was over before it was killed"
        chain.rig.replica.process.kill9()
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)

    def settled() -> bool:
        found = agrees(chain.rig, maker, campaign_id, len(people))
        # Who was claimed and not yet asked for when it died stays unknown, and has nothing.
        return set(found) <= {"DELIVERED", "UNKNOWN"} and found["DELIVERED"] == reached()

    wait_until(settled, 60)
    shown = chain.far.texts()
    for place, number in enumerate(people):
        assert shown.get(digits(number), []) in ([], [drilled(f"{place}: {ARABIC}")])
