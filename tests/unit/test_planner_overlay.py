"""The overlay of a plan: replicas over the base, never a partition count, and it renders."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from services.tools.__main__ import app
from services.tools.planner.overlay import BASE

ROOT = Path(__file__).resolve().parents[2]


def emit(folder: Path, *options: str) -> tuple[Any, dict[str, int]]:
    result = CliRunner().invoke(
        app, ["plan", "--emit", str(folder), "--home", str(folder / "home"), *options]
    )
    assert result.exit_code == 0, result.output
    held = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    return held, {one["name"]: one["count"] for one in held["replicas"]}


def test_it_holds_replicas_over_the_base_and_nothing_else(tmp_path: Path) -> None:
    held, replicas = emit(tmp_path / "wave")
    assert held.keys() == {"apiVersion", "kind", "resources", "replicas"}
    (resource,) = held["resources"]
    assert (tmp_path / "wave" / resource).resolve() == ROOT / "deploy" / "k8s" / "base" == BASE
    deployments = {
        one["metadata"]["name"]
        for path in BASE.glob("*.yaml")
        for one in yaml.safe_load_all(path.read_text("utf-8"))
        if one and one["kind"] == "Deployment"
    }
    # Those take no part in a wave's load.
    assert replicas.keys() == deployments - {"console", "reports"}


@pytest.mark.parametrize("calls", ["1000", "78000", "50000000"])
def test_no_plan_touches_the_partition_count(tmp_path: Path, calls: str) -> None:
    held, replicas = emit(tmp_path, "--calls", calls)
    assert "PARTITIONS" not in yaml.safe_dump(held)
    assert not {"patches", "configMapGenerator", "components"} & held.keys()
    # More replicas than the base's 8 partitions would stand by.
    for room in ("dedup", "outreach", "broadcast"):
        assert 2 <= replicas[room] <= 8


def test_what_the_partitions_do_not_let_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plan", "--emit", str(tmp_path), "--calls", "50000000"])
    assert "8 partitions, and more would only stand by" in " ".join(result.stdout.split())


def test_it_can_stand_on_a_site_of_ones_own(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "kustomization.yaml").write_text("resources: [config.yaml]\n")
    (site / "config.yaml").write_text(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {MAWJA_PARTITIONS: '64'}}"
    )
    held, replicas = emit(tmp_path / "out", "--base", str(site), "--calls", "50000000")
    assert held["resources"] == ["../site"]
    assert replicas["dedup"] > 8


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kustomization.yaml"
    path.write_text("resources: []\n")
    result = CliRunner().invoke(app, ["plan", "--emit", str(tmp_path)])
    assert result.exit_code == 1
    assert "name another folder" in result.output
    assert path.read_text() == "resources: []\n"
    # One of its own it writes again.
    emit(tmp_path / "own")
    emit(tmp_path / "own", "--calls", "100")


def test_a_base_that_is_none_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["plan", "--emit", str(tmp_path / "out"), "--base", str(tmp_path)]
    )
    assert result.exit_code == 1
    assert "--base" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.peers
def test_it_renders_to_valid_resources_with_these_replicas(tmp_path: Path) -> None:
    _, replicas = emit(tmp_path, "--calls", "5000000")
    command = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    rendered = subprocess.run([*command, str(tmp_path)], check=True, capture_output=True, text=True)
    found = [one for one in yaml.safe_load_all(rendered.stdout) if one]
    for one in found:
        kubernetes_validate.validate(one, "1.37", strict=True)
    deployed = {
        one["metadata"]["name"]: one["spec"]["replicas"]
        for one in found
        if one["kind"] == "Deployment"
    }
    assert replicas.items() <= deployed.items()
    configs = {one["metadata"]["name"]: one["data"] for one in found if one["kind"] == "ConfigMap"}
    base = yaml.safe_load_all((BASE / "config.yaml").read_text("utf-8"))
    assert configs == {one["metadata"]["name"]: one["data"] for one in base}
