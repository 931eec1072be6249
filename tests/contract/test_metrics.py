"""Prometheus itself accepts what the services expose."""

import shutil
import subprocess

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from services.runtime import metrics


def check(exposed: bytes) -> subprocess.CompletedProcess[str]:
    promtool = shutil.which("promtool")
    assert promtool is not None, "apt-get install prometheus brings promtool"
    return subprocess.run(
        [promtool, "check", "metrics"],
        input=exposed.decode(),
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.peers
def test_prometheus_accepts_every_metric() -> None:
    listed = [held for held in vars(metrics).values() if isinstance(held, MetricWrapperBase)]
    assert listed
    for metric in listed:
        if metric._labelnames:
            metric.labels(*("x" for _ in metric._labelnames))
    checked = check(generate_latest(REGISTRY))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.peers
def test_prometheus_refuses_a_counter_without_its_unit() -> None:
    assert check(b"# TYPE mawja_odd counter\nmawja_odd 1\n").returncode != 0
