"""The custom resource definitions that an API server holds deploy/ against.

KEDA's and the Prometheus operator's are their own, whole. Strimzi's are in no package: they are
made of the schemas of its classes (tests/schemas), without the limits that its own say beyond types
and names.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.schemas.make import FILE, definitions

_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


def all_of_them() -> list[dict[str, Any]]:
    """Every definition. Raises NotThere when Go can't fetch the modules."""
    return [*definitions(), *of_strimzi()]


def of_strimzi() -> Iterator[dict[str, Any]]:
    """Strimzi's, of the schemas in crds.json."""
    held = json.loads(FILE.read_text("utf-8"))
    shared = held.pop("definitions")
    for name, schema in held.items():
        group, version, kind = name.split("/")
        if group != "kafka.strimzi.io":
            continue
        made = structural(schema, shared)
        for outer in ("apiVersion", "kind", "metadata"):
            made["properties"].pop(outer)
        made["properties"]["status"] = {"type": "object", **_ANYTHING}
        made["required"] = ["spec"]
        plural = f"{kind.lower()}s"
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": version,
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": made},
                        "subresources": {"status": {}},
                    }
                ],
            },
        }


def structural(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The schema as definitions take one: nothing referred to, and no `additionalProperties` beside
    properties (an API server refuses unknown fields by itself)."""
    if "$ref" in schema:
        return structural(shared[schema["$ref"].rpartition("/")[2]], shared)
    if not schema:
        return dict(_ANYTHING)
    if isinstance(schema.get("type"), list):
        return {"x-kubernetes-int-or-string": True}
    made = {key: held for key, held in schema.items() if key in {"type", "enum", "required"}}
    if "enum" in schema:
        made["type"] = "string"
    if "items" in schema:
        made["items"] = structural(schema["items"], shared)
    if "properties" in schema:
        held = schema["properties"].items()
        made["properties"] = {name: structural(one, shared) for name, one in held}
    elif isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = structural(schema["additionalProperties"], shared)
    return made
