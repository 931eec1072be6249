"""What watches the services speaks of metrics that exist, and every alert has its page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.monitoring import boards, generate

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "runbooks"
_NAME = re.compile(r"\b(?:mawja_[a-z0-9_]+|mawja:[a-z0-9_:]+)\b")
ALERTS = {rule["alert"]: rule for rule in generate.rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in generate.rules() if "record" in rule}


def page_of(alert: str) -> str:
    """E.g. CarrierAway → carrier-away.md."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower() + ".md"


def known() -> set[str]:
    return RECORDED.union(*(generate.series_of(metric) for metric in generate.listed()))


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    assert found is not None, "apt-get install prometheus brings promtool"
    return subprocess.run([found, *words], capture_output=True, text=True, check=False)


def test_what_is_made_from_metrics_and_rules_is_committed() -> None:
    for path, text in generate.files().items():
        assert path.read_text("utf-8") == text, "run `make monitoring`"


def test_every_metric_says_why_it_is_watched() -> None:
    metrics = generate.listed()
    assert len(metrics) > 40
    assert len({generate.name_of(metric) for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric._documentation.endswith("."), generate.name_of(metric)


def test_rules_and_dashboards_speak_of_metrics_that_exist() -> None:
    told = [rule["expr"] for rule in generate.rules()] + boards.expressions()
    for expression in told:
        names = set(_NAME.findall(expression))
        assert names, expression
        assert names <= known(), f"unknown in {expression}: {names - known()}"


def test_labels_in_rules_are_the_metrics_own() -> None:
    ours = {
        label: {
            s for m in generate.listed() if label in m._labelnames for s in generate.series_of(m)
        }
        for m in generate.listed()
        for label in m._labelnames
    }
    added = {"room", "instance", "job", "le"}
    for expression in [rule["expr"] for rule in generate.rules()] + boards.expressions():
        for name, inside in re.findall(r"(mawja_[a-z0-9_]+)\{([^}]*)\}", expression):
            for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", inside):
                assert label in added or name in ours.get(label, set()), (name, label)


def test_each_alert_has_its_page_and_each_page_of_an_alert_its_alert() -> None:
    pages = {
        path.name
        for path in RUNBOOKS.glob("*.md")
        if re.search(r"^alert: ", path.read_text("utf-8"), re.M)
    }
    assert pages == {page_of(alert) for alert in ALERTS}
    for alert, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"runbooks/{page_of(alert)}"
        text = (RUNBOOKS / page_of(alert)).read_text("utf-8")
        assert f"\nalert: {alert}\n" in text


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_a_page_says_all_that_somebody_woken_needs(alert: str) -> None:
    text = (RUNBOOKS / page_of(alert)).read_text("utf-8")
    for heading in ("What people feel", "See it", "Do now", "It worked when", "Undo", "Wake"):
        assert f"**{heading}" in text, f"{page_of(alert)} has no **{heading}**"


def test_every_runbook_is_in_the_list() -> None:
    listed = (RUNBOOKS / "README.md").read_text("utf-8")
    for path in RUNBOOKS.glob("*.md"):
        assert path.name == "README.md" or f"({path.name})" in listed, path.name


def test_dashboards_have_an_id_and_a_letter_for_everything() -> None:
    for path in (FOLDER / "dashboards").glob("*.json"):
        panels = json.loads(path.read_text("utf-8"))["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            letters = [target["refId"] for target in panel.get("targets", [])]
            assert len(set(letters)) == len(letters)
            assert "" not in letters


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    told = "".join(path.read_text("utf-8") for path in (FOLDER / "tests").glob("*.yaml"))
    for alert in ALERTS:
        fires = f'ALERTS{{alertname="{alert}",alertstate="firing",severity='
        assert fires in re.sub(r"\s+", "", told), f"no test in which {alert} fires"


@pytest.mark.peers
def test_prometheus_takes_the_rules_and_they_do_as_their_tests_say() -> None:
    checked = promtool("check", "rules", *map(str, sorted((FOLDER / "rules").glob("*.yaml"))))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", *map(str, sorted((FOLDER / "tests").glob("*.yaml"))))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_cluster_names_rooms_and_the_job_as_the_rules_do() -> None:
    path = ROOT / "deploy" / "k8s" / "components" / "monitoring" / "pods.yaml"
    spec = yaml.safe_load(path.read_text("utf-8"))["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    named = {one["targetLabel"]: one for one in endpoint["relabelings"]}
    assert named["room"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    assert named["job"]["replacement"] == "mawja"
    told = {job for rule in generate.rules() for job in re.findall(r'job="(\w+)"', rule["expr"])}
    assert told == {"mawja"}
    (chosen,) = spec["selector"]["matchExpressions"]
    base = ROOT / "deploy" / "k8s" / "base"
    scraped = {p.stem for p in base.glob("*.yaml") if "name: metrics" in p.read_text("utf-8")}
    assert set(chosen["values"]) == scraped
