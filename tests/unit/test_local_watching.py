"""What Prometheus beside a local run is told."""

import shutil
from pathlib import Path

import pytest

from services.local import watching
from services.local.errors import LocalPartError


def test_every_replica_is_a_target_with_its_room() -> None:
    made = watching.configuration(
        {"dedup-1": "127.0.0.1:2", "dedup-0": "127.0.0.1:1"}, Path("/rules")
    )
    assert made["rule_files"] == ["/rules/*.yaml"]
    assert made["scrape_configs"] == [
        {
            "job_name": "mawja",
            "static_configs": [
                {"targets": ["127.0.0.1:1"], "labels": {"room": "dedup", "replica": "dedup-0"}},
                {"targets": ["127.0.0.1:2"], "labels": {"room": "dedup", "replica": "dedup-1"}},
            ],
        }
    ]


def test_without_prometheus_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(LocalPartError, match="apt-get install prometheus"):
        watching.installed()


def test_the_rules_are_where_it_looks_for_them() -> None:
    assert {path.name for path in watching.RULES.glob("*.yaml")} == {
        "rooms.yaml",
        "people.yaml",
        "budget.yaml",
    }
