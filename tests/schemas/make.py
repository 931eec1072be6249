"""Makes crds.json: strict JSON schemas of the custom resources that deploy/k8s uses.

KEDA's and the Prometheus operator's come from the definitions in their Go modules; Strimzi's from
its own model classes, since its definitions are in no package. Needs Go, Maven and a JDK of 17 or
newer:  python -m tests.schemas.make
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.peers.install import run

FILE = Path(__file__).with_name("crds.json")
STRIMZI = "0.51.0"
_MODULES = {
    "github.com/kedacore/keda/v2@v2.17.2": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
_CLASSES = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
_POM = f"""<project><modelVersion>4.0.0</modelVersion>
<groupId>mawja</groupId><artifactId>schemas</artifactId><version>1</version><dependencies>
<dependency><groupId>io.strimzi</groupId><artifactId>api</artifactId><version>{STRIMZI}</version>
</dependency></dependencies></project>"""


def strict(schema: Any) -> Any:
    """The schema without its prose, refusing fields that it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: strict(one) for name, one in value.items()}
        elif key == "pattern":
            # Go's expressions may say what they ignore anywhere, Python's only at the beginning.
            made[key] = "(?i)" * ("(?i)" in value) + value.replace("(?i)", "")
        elif key != "description" and key != "format" and not key.startswith("x-kubernetes"):
            made[key] = strict(value)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in made and "additionalProperties" not in made and not open_ended:
        made["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made


def module(version: str) -> Path:
    """The folder of a Go module `name@version`, fetched when it is not there. Raises NotThere."""
    with tempfile.TemporaryDirectory() as folder:
        # Outside of any module of the machine's.
        told = run("go", "mod", "download", "-json", version, cwd=Path(folder))
    return Path(json.loads(told)["Dir"])


def definitions() -> Iterator[dict[str, Any]]:
    """The custom resource definitions in Go modules, whole. Raises NotThere."""
    for version, paths in _MODULES.items():
        folder = module(version)
        yield from (yaml.safe_load((folder / path).read_text("utf-8")) for path in paths)


def of_definitions() -> dict[str, Any]:
    """Schemas by "apiVersion/kind" from the custom resource definitions in Go modules."""
    found = {}
    for definition in definitions():
        spec = definition["spec"]
        for version in spec["versions"]:
            name = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[name] = schema
    return found


def of_strimzi() -> dict[str, Any]:
    """Schemas by "apiVersion/kind" from Strimzi's classes; each refers to the definitions."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pom.xml").write_text(_POM, "utf-8")
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
            cwd=folder,
            check=True,
        )
        told = subprocess.run(
            ["java", "-cp", f"{folder}/jars/*", str(FILE.with_name("Strimzi.java"))]
            + [f"io.strimzi.api.kafka.model.{name}" for name in _CLASSES],
            check=True,
            capture_output=True,
        )
    held = json.loads(told.stdout)
    found = {f"kafka.strimzi.io/v1/{kind}": one for kind, one in held["kinds"].items()}
    return {**found, "definitions": held["definitions"]}


if __name__ == "__main__":
    made = {**of_definitions(), **of_strimzi()}
    FILE.write_text(json.dumps(made, sort_keys=True, separators=(",", ":")) + "\n", "utf-8")
    print(f"{FILE.name}: {len(made) - 1} kinds, {FILE.stat().st_size} bytes")
