"""`python -m tests.schemas.files FOLDER`: the schemas as the files that kubeconform looks for."""

import json
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate

from tests.schemas.make import FILE

VERSION = "v1.37.0-local-strict"
_SHARED = "_definitions.json"
# As kubernetes_validate names what deploy/k8s has of Kubernetes's own.
_KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
)


def whole(schema: Any, shared: dict[str, Any]) -> dict[str, Any]:
    """A schema that refers to `shared`, and what it refers to, in one."""
    found: dict[str, Any] = {}

    def taken(part: Any) -> Any:
        if isinstance(part, list):
            return [taken(one) for one in part]
        if not isinstance(part, dict):
            return part
        made = {key: taken(value) for key, value in part.items() if key != "$id"}
        refers = made.get("$ref")
        if isinstance(refers, str):
            name = refers.rpartition("/")[2]
            made["$ref"] = f"#/$defs/{name}"
            if name not in found:
                found[name] = {}
                found[name] = taken(shared[name])
        return made

    made: dict[str, Any] = taken(schema)
    return {**made, "$defs": found}


def main(folder: Path) -> None:
    """Writes GROUP_kind_version.json for custom resources, and kubernetes/ with the others."""
    (folder / "kubernetes").mkdir(parents=True)
    held = json.loads(FILE.read_text("utf-8"))
    definitions = held.pop("definitions")
    for name, schema in held.items():
        group, version, kind = name.split("/")
        path = folder / f"{group}_{kind.lower()}_{version}.json"
        path.write_text(json.dumps({**schema, "definitions": definitions}), "utf-8")
    package = Path(str(kubernetes_validate.__file__)).parent / "kubernetes-json-schema" / VERSION
    shared = json.loads((package / _SHARED).read_text("utf-8"))["$defs"]
    for kind in _KINDS:
        schema = json.loads((package / f"{kind}.json").read_text("utf-8"))
        path = folder / "kubernetes" / f"{kind}.json"
        path.write_text(json.dumps(whole(schema, shared)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
