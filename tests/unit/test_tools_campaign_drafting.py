"""The plan file that an alert suggests: it reads back as it is, and says what is to fill in."""

from datetime import timedelta, timezone

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import alerts_pb2, events_pb2
from mawja.broadcast.v1.alerts_pb2 import AlertName, AlertPlace, AlertProblem, ReadAlertResponse
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan, CampaignText

from services.broadcast.campaigns.alert_server import told
from services.broadcast.cap.model import Alert, MsgType
from services.broadcast.cap.values import read_moment
from services.broadcast.cap.writing import write
from services.runtime.errors import ConfigError
from services.tools.campaigns.drafting import faults, plan_file
from services.tools.campaigns.plan import read
from tests.cap_alerts import ALERTS, SECRET, changed, fixture, names
from tests.cap_signatures import FLOOD, TRUSTED, signed

LIST = "3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44"
GULF = timezone(timedelta(hours=4))
NOW, _ = read_moment("2026-04-17T05:30:00+04:00")


def back(text: str) -> CampaignPlan:
    """The plan of a file, without its audience."""
    plan = read(text, "plan.yaml", NOW, audience=LIST, zone=GULF).plan
    plan.ClearField("audience")
    return plan


@pytest.mark.parametrize("name", [name for name in names() if name != "oman-cyclone-cancel"])
def test_every_alert_becomes_a_file_that_is_its_plan(name: str) -> None:
    said = told(fixture(name), (), "", NOW)
    assert back(plan_file(said, GULF)) == said.plan


def test_what_is_left_to_fill_in_stands_where_it_belongs() -> None:
    written = plan_file(told(FLOOD, (), "", NOW + 30 * 24 * 3_600_000), GULF)
    lines = [line for line in written.splitlines() if line]
    sent = "sent 2026-04-17 05:30 UTC+04:00"
    assert lines[0] == f"# From alert AE-2026-0417-003 of alerts@example.ae, {sent}."
    assert "Nobody signed it." in lines[1]
    assert any("It holds for" in line and "مدينة العين" in line for line in lines)
    assert any(line.startswith("# TO DO: who is meant") for line in lines)
    assert any(line.startswith("# TO DO: what a recall would say") for line in lines)
    over = lines.index("expires: 2026-04-17T18:00:00+04:00")
    assert "must be after now" in lines[over - 1]
    with pytest.raises(ConfigError, match="audience: is missing"):
        read(written, "plan.yaml", NOW)


def test_an_alert_without_words_leaves_them_to_be_written() -> None:
    written = plan_file(told(fixture("oman-cyclone-cancel"), (), "", NOW), GULF)
    assert "# It cancels alert " in written
    assert "# TO DO: what is said" in written
    with pytest.raises(ConfigError, match="texts"):
        read(f"{written}\nlanguage: ar\n", "plan.yaml", NOW, audience=LIST)


def test_it_says_who_signed() -> None:
    said = plan_file(told(signed(), (TRUSTED,), "", NOW))
    assert "# Signed by CN=alerts.example.ae, whom the service trusts." in said
    assert "nobody checked" in plan_file(told(signed(), (), "", NOW))


_ANY = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffe\uffff\r")
    | st.sampled_from(["\n", "\t", " ", "\x85", "\u2028", "\ufeff", "#", ":", '"', "'", "-", "|"]),
    max_size=30,
)


@given(name=_ANY, text=_ANY, other=_ANY)
def test_whatever_stands_in_an_alert_moves_nothing_in_the_file(
    name: str, text: str, other: str
) -> None:
    texts = [
        CampaignText(language=language, template=template)
        for language, template in (("no", text.rstrip("\n")), ("ar", other.rstrip("\n")))
        if template.strip()
    ]
    plan = CampaignPlan(
        name=name or "x",
        kind=events_pb2.CAMPAIGN_KIND_EMERGENCY,
        drill=True,
        texts=texts or [CampaignText(language="ar", template="x")],
        language="ar",
        expires_ms=NOW + 1,
    )
    said = ReadAlertResponse(
        plan=plan,
        agency=other,
        name=AlertName(sender=text, identifier=name, sent_ms=NOW),
        places=[AlertPlace(names={"ar": f"{text}\ndrill: false"})],
        kind=alerts_pb2.ALERT_KIND_CANCEL,
    )
    written = plan_file(said, GULF)
    assert back(written) == plan
    assert yaml.safe_load(written)["drill"] is True


def test_faults_are_told_by_line_and_element() -> None:
    said = told(changed(("<severity>Severe", "<severity>severe")), (), "", NOW)
    [fault] = faults(said, "flood.xml")
    assert fault.startswith("flood.xml, line 13: alert/info[1]/severity: must be exactly one of")
    assert SECRET not in fault
    nowhere = ReadAlertResponse(problems=[AlertProblem(path="alert", rule="is missing")])
    assert faults(nowhere, "a") == ["a: alert: is missing"]


@given(alert=ALERTS)
def test_any_alert_is_told_of_and_its_file_is_its_plan(alert: Alert) -> None:
    said = told(write(alert), (), "ncema", NOW)
    assert bool(said.problems) != said.HasField("plan")
    if said.problems:
        assert alert.msg_type in (MsgType.ACK, MsgType.ERROR)
        return
    written = plan_file(said, GULF)
    assert "\n# TO DO: who is meant" in written
    languages = {text.language for text in said.plan.texts}
    if languages and "x-dialect" not in languages:
        assert back(written) == said.plan
