"""`python -m services.tools.manifests [--check]`: writes what deploy/ has from the tables in code.

Kafka's topics and who may write them stand in `services.runtime.topics`; the rules of alerts in
deploy/monitoring/rules. The Kubernetes resources of both are made from these, and `--check` says
which file is no longer what it would be made to.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from services.runtime.topics import BY_PEOPLE, TOPICS, Topic, topic_config

ROOT = Path(__file__).resolve().parents[2]
STRIMZI = "deploy/k8s/components/kafka-strimzi"
RULES = "deploy/monitoring/rules"
PARTITIONS = 8
REPLICATION = 3
CLUSTER = "mawja"
_MARK = "# Made by `python -m services.tools.manifests`; do not edit.\n"
_READ = ("Describe", "DescribeConfigs", "Read")
_API = "kafka.strimzi.io/v1"


def kafka_topic(topic: Topic) -> dict[str, Any]:
    """The topic as Strimzi makes it."""
    return {
        "apiVersion": _API,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "partitions": PARTITIONS,
            "replicas": REPLICATION,
            "config": {
                name: _typed(value) for name, value in topic_config(topic, REPLICATION).items()
            },
        },
    }


def _typed(value: str) -> str | int | bool:
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() else value


def kafka_user(name: str, writes: list[str], groups: list[str], reads: bool) -> dict[str, Any]:
    """Who shows the certificate of `name`: reads all topics, or only asks about them, writes
    `writes`, and works in the groups whose names begin with one of `groups`."""
    acls: list[dict[str, Any]] = [
        _rule("topic", "*", "literal", list(_READ) if reads else ["Describe", "DescribeConfigs"])
    ]
    acls += [_rule("topic", topic, "literal", ["Write"]) for topic in writes]
    acls += [
        _rule("group", group, "prefix" if group != "*" else "literal", does)
        for group, does in (
            (group, ["Describe", "Read"] if reads else ["Describe"]) for group in groups
        )
    ]
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "authentication": {"type": "tls"},
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def _rule(kind: str, name: str, pattern: str, operations: list[str]) -> dict[str, Any]:
    resource = {"type": kind, "name": name, "patternType": pattern}
    return {"type": "allow", "resource": resource, "operations": operations}


def kafka_users() -> list[dict[str, Any]]:
    """One for each room, which writes its own topics; one for what makes reports, which writes
    nothing; one for the `mawja` command, which writes to what people append to alone; one for KEDA,
    which reads no record."""
    rooms = sorted({topic.owner for topic in TOPICS})
    found = [
        kafka_user(
            f"kafka-{room}", [topic.name for topic in TOPICS if topic.owner == room], [room], True
        )
        for room in rooms
    ]
    found.append(kafka_user("kafka-reports", [], ["reports"], True))
    by_people = sorted(topic.name for topic in BY_PEOPLE)
    found.append(kafka_user("kafka-operator", by_people, ["*"], True))
    found.append(kafka_user("kafka-keda", [], ["*"], False))
    return found


def prometheus_rule(folder: Path) -> list[dict[str, Any]]:
    """The rules of deploy/monitoring as the Prometheus operator's resource; none while there is no
    rule."""
    groups = [
        group
        for path in sorted(folder.glob("*.yaml"))
        if not path.stem.endswith(("_test", ".test"))
        for group in yaml.safe_load(path.read_text("utf-8")).get("groups", ())
    ]
    meta = {"name": "mawja", "labels": {"app.kubernetes.io/name": "mawja"}}
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": meta,
            "spec": {"groups": groups},
        }
    ]


def monitoring(root: Path) -> dict[str, Any]:
    """The kustomization that makes a ConfigMap of the dashboards."""
    boards = sorted((root / "deploy/monitoring/dashboards").glob("*.json"))
    held: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["prometheusrule.yaml"],
    }
    if boards:
        held["configMapGenerator"] = [
            {
                "name": "mawja-dashboards",
                "files": [f"dashboards/{path.name}" for path in boards],
                "options": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
            }
        ]
    return held


def made(root: Path = ROOT) -> dict[str, str]:
    """The text of each file, by its path from `root`."""
    return {
        f"{STRIMZI}/topics.yaml": _text(list(map(kafka_topic, TOPICS))),
        f"{STRIMZI}/users.yaml": _text(kafka_users()),
        "deploy/monitoring/prometheusrule.yaml": _text(prometheus_rule(root / RULES)),
        "deploy/monitoring/kustomization.yaml": _text([monitoring(root)]),
    }


def _text(held: list[dict[str, Any]]) -> str:
    dumped = yaml.safe_dump_all(held, sort_keys=False, allow_unicode=True, width=100)
    return _MARK + dumped


def main() -> int:
    """Writes, or with --check compares; 1 when a file differs."""
    parser = argparse.ArgumentParser(prog="python -m services.tools.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    checking = parser.parse_args().check
    stale = []
    for name, text in made().items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not checking:
                path.write_text(text, "utf-8")
    if checking and stale:
        print(f"{', '.join(stale)}: run `python -m services.tools.manifests`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
