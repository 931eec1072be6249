"""What a coordinator is told of an alert: the plan, who signed it, all that is wrong with it."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from mawja.broadcast.v1 import alerts_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Audience, CampaignText

from services.broadcast.campaigns.alert_server import AlertServicer, told
from services.broadcast.campaigns.plans import problems
from services.broadcast.campaigns.wiring import alerts_of
from services.broadcast.cap.values import read_moment
from services.runtime import rpc
from services.runtime.errors import ConfigError, NotInState
from tests.cap_alerts import SECRET, changed, fixture
from tests.cap_signatures import FLOOD, OTHER, TRUSTED, signed

SENT, _ = read_moment("2026-04-17T05:30:00+04:00")
SIGNED = signed()


def test_a_valid_alert_suggests_a_plan_that_lacks_only_people_and_corrections() -> None:
    said = told(FLOOD, (), "ncema", SENT)
    assert not said.problems
    assert said.signature == alerts_pb2.ALERT_SIGNATURE_NONE
    assert (said.name.sender, said.name.identifier) == ("alerts@example.ae", "AE-2026-0417-003")
    assert (said.name.sent_ms, said.kind) == (SENT, alerts_pb2.ALERT_KIND_ALERT)
    assert said.agency == "الهيئة الوطنية لإدارة الطوارئ"
    assert said.places[0].names["ar-AE"] == "مدينة العين"
    plan = said.plan
    assert (plan.kind, plan.drill) == (events_pb2.CAMPAIGN_KIND_EMERGENCY, False)
    assert (plan.language, plan.agency) == ("ar-AE", "ncema")
    assert {one.field for one in said.gaps} == {"plan.audience", "plan.corrections"}
    plan.audience.CopyFrom(Audience(upload="3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"))
    plan.corrections.append(CampaignText(language="ar-AE", template="انتهى."))
    assert not rpc.violations(plan)
    assert not problems(plan, SENT)


def test_an_alert_that_is_over_says_so() -> None:
    said = told(FLOOD, (), "", SENT + 30 * 24 * 3_600_000)
    [rule] = [one.rule for one in said.gaps if one.field == "plan.expires_ms"]
    assert "after now" in rule


def test_who_signed_is_told_by_the_certificate_that_is_trusted() -> None:
    said = told(SIGNED, (OTHER, TRUSTED), "", SENT)
    assert said.signature == alerts_pb2.ALERT_SIGNATURE_VALID
    assert said.signed_by == "CN=alerts.example.ae"
    assert said.certificate_sha256 == TRUSTED.fingerprint(SHA256())
    assert said.HasField("plan")


def test_who_trusts_nobody_is_told_that_nothing_was_checked() -> None:
    said = told(SIGNED, (), "", SENT)
    assert said.signature == alerts_pb2.ALERT_SIGNATURE_UNCHECKED
    assert [one.remark for one in said.remarks] == ["signature not checked"]
    assert not said.signed_by


def test_of_a_forged_alert_nothing_is_taken() -> None:
    for forged in (SIGNED.replace("سيول".encode(), "سيوف".encode()), signed(FLOOD)):
        said = told(forged, (OTHER,), "", SENT)
        assert said.signature == alerts_pb2.ALERT_SIGNATURE_REFUSED
        [problem] = said.problems
        assert problem.path == "alert/Signature"
        assert problem.line > 1
        assert not said.HasField("plan")
        assert not said.HasField("name")


def test_every_problem_has_its_path_and_line_and_nothing_that_stands_there() -> None:
    broken = changed(
        ("<event>Flood</event>", f"<event>  </event><x>{SECRET}</x>"),
        ("24.1,55.6 24.1,55.9", "124.1,55.6 24.1,55.9"),
        ("<severity>Severe", "<severity>severe"),
    )
    said = told(broken, (), "", SENT)
    assert [(one.path, one.line) for one in said.problems] == [
        ("alert/info[1]/event", 11),
        ("alert/info[1]/x", 11),
        ("alert/info[1]/severity", 13),
    ]
    assert said.signature == alerts_pb2.ALERT_SIGNATURE_UNSPECIFIED
    assert not said.HasField("plan")
    assert SECRET not in str(said)


def test_what_nobody_is_told_is_no_campaign() -> None:
    said = told(
        changed(
            ("<msgType>Alert</msgType>", "<msgType>Ack</msgType>"),
            (
                "<scope>Public</scope>",
                "<scope>Public</scope><references>a,b,2026-04-17T05:30:00+04:00</references>",
            ),
        ),
        (),
        "",
        SENT,
    )
    assert [one.path for one in said.problems] == ["alert/msgType"]
    assert not said.HasField("plan")


def test_an_exercise_is_a_drill_and_an_update_says_of_what() -> None:
    assert told(fixture("saudi-dust-exercise"), (), "", SENT).plan.drill
    update = told(fixture("oman-cyclone-update"), (), "", SENT)
    assert update.kind == alerts_pb2.ALERT_KIND_UPDATE
    assert update.references[0].identifier
    cancel = told(fixture("oman-cyclone-cancel"), (), "", SENT)
    assert cancel.kind == alerts_pb2.ALERT_KIND_CANCEL


def test_a_long_headline_is_cut_to_what_a_name_may_be() -> None:
    said = told(changed((f"Call {SECRET}", "سيول في كل الأودية " * 12)), (), "", SENT)
    assert 150 < len(said.plan.name.encode()) <= 200
    assert said.plan.name.endswith("…")
    assert "plan.name" not in {one.field for one in said.gaps}


@pytest.mark.parametrize("word", ["سيل ", "a b ", "{"])
def test_a_text_of_a_mebibyte_is_a_gap_and_costs_no_more_than_reading_it(word: str) -> None:
    alert = changed((f"Call {SECRET}", word * (1_000_000 // len(word.encode()))))
    began = time.process_time()
    said = told(alert, (), "", SENT)
    assert time.process_time() - began < 3
    [rule] = [one.rule for one in said.gaps if one.field == "plan.texts.template"]
    assert "4096" in rule


def test_a_language_or_text_that_no_campaign_takes_is_a_gap() -> None:
    language = "<info><language>x-dialect</language>"
    said = told(changed(("<info>", language)), (), "", SENT)
    assert any(one.field.startswith("plan.texts") for one in said.gaps)


async def test_a_centre_without_a_name_exports_nothing() -> None:
    nowhere: Any = None
    servicer = AlertServicer(nowhere, "", (), None)
    with pytest.raises(NotInState, match="MAWJA_CAP_SENDER"):
        await servicer.ExportAlert(alerts_pb2.ExportAlertRequest(), nowhere)


def test_a_name_that_no_alert_can_bear_stops_the_service() -> None:
    settings: Any = SimpleNamespace(cap_sender="two words", cap_trusted=None, cap_signing=None)
    nowhere: Any = None
    with pytest.raises(ConfigError, match="MAWJA_CAP_SENDER must have no blanks"):
        alerts_of(settings, nowhere)
