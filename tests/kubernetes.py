"""Kubernetes manifests as the tests see them: rendered by kustomize, checked strictly."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "deploy" / "k8s"
BASE = K8S / "base"
COMPONENTS = K8S / "components"
OVERLAYS = K8S / "overlays"
VERSION = "1.37"
OPERATORS = ("keda.sh/", "kafka.strimzi.io/", "monitoring.coreos.com/")
PORTS = {
    "intake": 7001,
    "dedup": 7002,
    "wave": 7003,
    "outreach": 7004,
    "broadcast": 7005,
    "reports": 7006,
}
"""Where each service answers to gRPC."""

Resource = dict[str, Any]


def resources(*paths: Path) -> Iterator[Resource]:
    """Every resource of these files."""
    for path in paths:
        yield from (held for held in yaml.safe_load_all(path.read_text("utf-8")) if held)


@cache
def rendered(folder: Path) -> tuple[Resource, ...]:
    """Every resource of a kustomization; not to be changed. Needs kubectl or kustomize."""
    command = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    told = subprocess.run([*command, str(folder)], check=True, capture_output=True, text=True)
    return tuple(held for held in yaml.safe_load_all(told.stdout) if held)


def validate(held: Resource) -> None:
    """Raises ValidationError (of jsonschema or kubernetes_validate) when a field is unknown or of
    another type than Kubernetes, KEDA, Strimzi or Prometheus's operator take."""
    if held["apiVersion"].startswith(OPERATORS):
        schemas = _schemas()
        schema = schemas[f"{held['apiVersion']}/{held['kind']}"]
        jsonschema.validate(held, {**schema, "definitions": schemas["definitions"]})
    else:
        kubernetes_validate.validate(held, VERSION, strict=True)


@cache
def _schemas() -> dict[str, Any]:
    path = Path(__file__).with_name("schemas") / "crds.json"
    made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return made


def pod_of(held: Resource) -> Resource | None:
    """The pod's spec of what makes pods."""
    spec: Resource | None = held.get("spec", {}).get("template", {}).get("spec")
    return spec if held["kind"] in {"Deployment", "StatefulSet", "Job"} else None


def restricted(name: str, pod: Resource, volumes: set[str]) -> None:
    """The pod of `name` fits the restricted standard, has its limits and mounts these kinds of
    volumes only."""
    assert pod["securityContext"]["runAsNonRoot"] is True, name
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for volume in pod.get("volumes", []):
        assert volume.keys() <= {"name", *volumes}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
