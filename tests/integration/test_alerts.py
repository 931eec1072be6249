"""Alerts of CAP 1.2 through broadcast's process: read into a campaign, and a campaign written as
one that anybody who trusts the certificate can read."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from lxml import etree
from mawja.broadcast.v1 import alerts_pb2, campaigns_pb2
from mawja.broadcast.v1.alerts_pb2 import ExportAlertRequest, ReadAlertRequest, ReadAlertResponse
from mawja.broadcast.v1.campaigns_pb2 import Audience, Campaign, CampaignText
from typer.testing import CliRunner, Result

from services.broadcast.cap import schema
from services.broadcast.cap.model import MAX_BYTES, Alert, MsgType, Status
from services.broadcast.cap.reading import parse
from services.local.parts import Parts
from services.local.system import token
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.tools.__main__ import app
from tests.broadcast_rig import Rig, drilled, numbers, running, wait_until
from tests.campaigns_rig import MAKER, Office, code_of, listed, plan, refusal, texts
from tests.cap_alerts import SECRET, changed, fixture
from tests.cap_signatures import FLOOD, OTHER_KEY, SENT, TRUSTED, certificate, keep, pem, signed

SENDER = "alerts@ncema.example"
TEXTS = [
    CampaignText(language="ar", template="الملجأ مفتوح الآن. اذهبوا إليه."),
    CampaignText(language="en", template="The shelter is open now. Go there."),
]
CORRECTIONS = [CampaignText(language="ar", template="تصحيح: الملجأ مغلق.")]


@pytest.fixture(scope="module")
def own() -> x509.Certificate:
    """The centre's own certificate: of today, for its campaigns are."""
    since, day = datetime.now(UTC) - SENT, timedelta(days=1)
    return certificate(OTHER_KEY, since - day, since + day)


@pytest.fixture(scope="module")
def rig(
    parts: Parts, own: x509.Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("cap")
    (folder / "trusted").mkdir()
    (folder / "trusted" / "agency.pem").write_bytes(pem(TRUSTED))
    with running(
        parts,
        "alerts",
        {"fast": ({}, {})},
        [{"prefix": "+", "carrier": "fast"}],
        env={
            "MAWJA_CAP_SENDER": SENDER,
            "MAWJA_CAP_TRUSTED": str(folder / "trusted"),
            "MAWJA_CAP_SIGNING": str(keep(folder / "signing", OTHER_KEY, own)),
        },
    ) as made:
        yield made


def read(who: Office, alert: bytes) -> ReadAlertResponse:
    answer: ReadAlertResponse = who.alerts.ReadAlert(ReadAlertRequest(alert=alert), timeout=20)
    return answer


def exported(who: Office, campaign_id: str, own: x509.Certificate, **event: Any) -> Alert:
    """The alert, as one reads it who trusts the centre's certificate alone."""
    request = ExportAlertRequest(campaign_id=campaign_id, **event)
    answer: alerts_pb2.ExportAlertResponse = who.alerts.ExportAlert(request, timeout=20)
    assert answer.signed
    assert not list(schema.broken(etree.fromstring(answer.alert)))
    alert = parse(answer.alert, [own], signed=True)
    assert (answer.name.sender, answer.name.identifier) == (alert.sender, alert.identifier)
    assert [one.identifier for one in answer.references] == [
        one.identifier for one in alert.references
    ]
    return alert


def test_a_signed_alert_is_read_and_a_forged_one_refused(maker: Office) -> None:
    said = read(maker, signed())
    assert said.signature == alerts_pb2.ALERT_SIGNATURE_VALID
    assert said.signed_by == "CN=alerts.example.ae"
    assert [one.language for one in said.plan.texts][:2] == ["ar-AE", "en-AE"]
    assert read(maker, FLOOD).signature == alerts_pb2.ALERT_SIGNATURE_NONE
    for forged in (signed().replace(b"Al Ain", b"Dubai!"), signed(key=OTHER_KEY)):
        refused = read(maker, forged)
        assert refused.signature == alerts_pb2.ALERT_SIGNATURE_REFUSED
        assert refused.problems[0].line
        assert not refused.HasField("plan")


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "swap",
    [
        ("<alert", f'<!DOCTYPE alert [<!ENTITY a0 "x">{BOMB}]><alert'),
        ("<alert", '<!DOCTYPE alert [<!ENTITY f SYSTEM "file:///etc/passwd">]><alert'),
        ("<alert", '<!DOCTYPE alert SYSTEM "http://127.0.0.1:9/cap.dtd"><alert'),
        ("Flood", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'),
        ("Flood", "&f;"),
        ("<info>", "<info>" + "<a>" * 50_000),
        ("Al Ain", "\x00"),
        ("</alert>", ""),
    ],
    ids=["laughs", "file", "dtd", "xinclude", "undeclared", "deep", "nul", "cut"],
)
def test_tricks_are_told_and_followed_nowhere(maker: Office, swap: tuple[str, str]) -> None:
    said = read(maker, changed(swap))
    assert said.problems
    assert not said.HasField("plan")
    assert SECRET not in str(said)
    assert "root:" not in str(said)


def test_an_alert_of_a_mebibyte_is_read_and_no_larger_one(maker: Office) -> None:
    padding = "<!--" + "x" * 1000 + "-->"
    whole = changed(("<info>", "<info>" + padding * 1000))
    whole = whole.replace(b"</alert>", b"<!--%s--></alert>" % (b"y" * (MAX_BYTES - len(whole) - 7)))
    assert len(whole) == MAX_BYTES
    assert read(maker, whole).HasField("plan")
    assert code_of(lambda: read(maker, whole + b"\n")) is grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(lambda: read(maker, b"")) is grpc.StatusCode.INVALID_ARGUMENT


def test_only_who_writes_campaigns_reads_and_exports(rig: Rig, other: Office) -> None:
    assert code_of(lambda: read(other, FLOOD)) is grpc.StatusCode.PERMISSION_DENIED
    request = ExportAlertRequest(campaign_id="3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44")
    assert code_of(lambda: other.alerts.ExportAlert(request)) is grpc.StatusCode.PERMISSION_DENIED
    elsewhere = Office(rig.system, "liaison", Role.COORDINATOR, agency="police")
    assert code_of(lambda: elsewhere.alerts.ExportAlert(request)) is grpc.StatusCode.NOT_FOUND


def test_from_an_alert_to_telephones_and_out_again(
    rig: Rig, maker: Office, other: Office, own: x509.Certificate
) -> None:
    said = read(maker, fixture("saudi-dust-exercise"))
    assert {one.field for one in said.gaps} >= {"plan.audience", "plan.corrections"}
    people = numbers("24", 20)
    made = said.plan
    assert made.drill
    made.audience.CopyFrom(Audience(upload=maker.upload(listed(people)).audience_id))
    made.expires_ms = now_ms() + 600_000
    made.accept_missing = True
    made.corrections.append(CampaignText(language=made.language, template="انتهى التمرين."))
    campaign_id = maker.create(made).campaign_id
    other.approve(maker.rehearsed(campaign_id))
    maker.do("Start", campaign_id)
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
    arabic = next(one.template for one in made.texts if one.language == made.language)
    wait_until(lambda: len(texts(rig, "fast")) == 20)
    assert set(texts(rig, "fast").values()) == {drilled(arabic)}
    alert = exported(maker, campaign_id, own)
    assert (alert.status, alert.msg_type, alert.sender) == (
        *(Status.EXERCISE, MsgType.ALERT),
        SENDER,
    )
    assert {info.language for info in alert.infos} == {one.language for one in made.texts}


def begun(maker: Office, other: Office, place: int, **given: object) -> Campaign:
    """A campaign of a hundred people that was started."""
    audience = maker.upload(listed(numbers(str(place), 100))).audience_id
    wanted = plan(audience, texts=TEXTS, corrections=CORRECTIONS, **given)
    campaign = maker.create(wanted)
    seen = maker.rehearsed(campaign.campaign_id)
    other.approve(seen)
    return maker.do("Start", campaign.campaign_id)


def test_a_recall_updates_the_alert_that_went_out(
    maker: Office, other: Office, own: x509.Certificate
) -> None:
    campaign_id = begun(maker, other, 25).campaign_id
    event = {
        "events": {"ar": "سيول", "en": "Flood"},
        "category": "Met",
        "urgency": "Immediate",
        "severity": "Severe",
        "certainty": "Observed",
    }
    first = exported(maker, campaign_id, own, **event)
    assert first.note
    assert [(info.language, info.event, info.urgency) for info in first.infos] == [
        ("ar", "سيول", "Immediate"),
        ("en", "Flood", "Immediate"),
    ]
    assert [info.description for info in first.infos] == [drilled(one.template) for one in TEXTS]
    maker.do("Recall", campaign_id, reason="closed")
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_RECALLED)
    update = exported(maker, campaign_id, own, **event)
    assert (update.msg_type, update.status) == (MsgType.UPDATE, Status.EXERCISE)
    assert update.references == (first.reference(),)
    assert update.identifier != first.identifier
    assert [info.description for info in update.infos] == [drilled(CORRECTIONS[0].template)]
    assert exported(maker, campaign_id, own, first=True, **event) == first


def test_an_end_cancels_it(maker: Office, other: Office, own: x509.Certificate) -> None:
    campaign_id = begun(maker, other, 26, most_parts_per_second=1.0).campaign_id
    first = exported(maker, campaign_id, own)
    maker.do("Cancel", campaign_id, reason="wrong town")
    maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_CANCELLED)
    cancel = exported(maker, campaign_id, own)
    assert (cancel.msg_type, cancel.references) == (MsgType.CANCEL, (first.reference(),))


def test_what_can_be_no_alert_says_why(maker: Office, other: Office) -> None:
    audience = maker.upload(listed(numbers("27", 5))).audience_id
    draft = maker.create(plan(audience, texts=TEXTS))
    request = ExportAlertRequest(campaign_id=draft.campaign_id)
    code, why = refusal(lambda: maker.alerts.ExportAlert(request))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "start the campaign first" in why
    personal = maker.create(plan(audience)).campaign_id
    other.approve(maker.rehearsed(personal))
    maker.do("Start", personal)
    code, why = refusal(lambda: maker.alerts.ExportAlert(ExportAlertRequest(campaign_id=personal)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "asks for {place}, which differs from person to person" in why
    odd = ExportAlertRequest(campaign_id=personal, urgency="soon", events={"en": ""})
    assert code_of(lambda: maker.alerts.ExportAlert(odd)) is grpc.StatusCode.INVALID_ARGUMENT


def typed(rig: Rig, *words: str, code: int = 0) -> Result:
    """What a coordinator types."""
    env = {
        "MAWJA_BROADCAST": rig.system.target("broadcast"),
        "MAWJA_TOKEN": token(rig.system.keys, MAKER, Role.COORDINATOR),
    }
    done = CliRunner().invoke(app, ["campaign", *words], env=env)
    assert done.exit_code == code, done.output
    return done


def test_the_command_from_an_alert_to_a_draft_and_out(
    rig: Rig, maker: Office, other: Office, own: x509.Certificate, tmp_path: Path
) -> None:
    alert, made = tmp_path / "dust.xml", tmp_path / "plan.yaml"
    alert.write_bytes(fixture("saudi-dust-exercise"))
    told = typed(rig, "import-alert", str(alert), f"--to={made}")
    assert "Nobody signed it." in told.stderr
    assert (
        "is there already" in typed(rig, "import-alert", str(alert), f"--to={made}", code=1).stderr
    )
    audience = maker.upload(listed(numbers("28", 3))).audience_id
    assert "Look at it: no expiry" in made.read_text()
    assert "plan.yaml, line" in typed(rig, "new", str(made), code=1).stderr
    filled = re.sub("(?m)^expires: .*$", "expires: 30m", made.read_text())
    filled = filled.replace("accept_missing: false", "accept_missing: true")
    filled += "corrections:\n  ar-SA: انتهى التمرين\n"
    made.write_text(filled)
    name = json.loads(typed(rig, "new", str(made), f"--audience={audience}", "--json").stdout)
    campaign_id = name["campaign_id"]
    assert "start the campaign first" in typed(rig, "export-alert", campaign_id, code=1).stderr
    other.approve(maker.rehearsed(campaign_id))
    maker.do("Start", campaign_id)
    out = tmp_path / "out.xml"
    done = typed(rig, "export-alert", campaign_id, "--event=ar=غبار", f"--to={out}")
    assert f"alert {campaign_id} of {SENDER}; signed" in done.stderr
    read_back = parse(out.read_bytes(), [own], signed=True)
    assert read_back.status is Status.EXERCISE
    assert {info.event for info in read_back.infos} == {"غبار"}
    assert typed(rig, "export-alert", campaign_id).stdout_bytes.startswith(b"<?xml")
    assert "--urgency" in typed(rig, "export-alert", campaign_id, "--urgency=soon", code=1).stderr
    assert "ar=سيول" in typed(rig, "export-alert", campaign_id, "--event=x", code=1).stderr


def test_the_command_tells_what_is_wrong_with_an_alert(rig: Rig, tmp_path: Path) -> None:
    broken, forged = tmp_path / "broken.xml", tmp_path / "forged.xml"
    broken.write_bytes(changed(("<severity>Severe", "<severity>severe"), ("Flood", " ")))
    told = typed(rig, "import-alert", str(broken), code=1)
    assert "2 faults" in told.stderr
    assert "broken.xml, line 13: alert/info[1]/severity" in told.stderr
    assert not told.stdout
    forged.write_bytes(signed().replace(b"Al Ain", b"Dubai!"))
    assert "trust no part of it" in typed(rig, "import-alert", str(forged), code=1).stderr
    said = json.loads(typed(rig, "import-alert", str(forged), "--json", code=1).stdout)
    assert said["signature"] == "refused"
    forged.write_bytes(signed())
    assert "# Signed by CN=alerts.example.ae" in typed(rig, "import-alert", str(forged)).stdout
    forged.write_bytes(b" " * (MAX_BYTES + 1))
    assert "1048576 bytes at most" in typed(rig, "import-alert", str(forged), code=1).stderr
