"""What goes to the API server of `make deploy-check`: definitions, commands, its own module."""

from pathlib import Path

import pytest

from tests.apiserver import steps
from tests.apiserver.definitions import of_strimzi, structural
from tests.apiserver.programs import go_mod
from tests.runbooks.pages import FOLDER


def test_a_definition_refers_to_nothing_and_leaves_unknown_fields_to_the_server() -> None:
    shared = {"io.Acl": {"type": "object", "additionalProperties": False, "properties": {"a": {}}}}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "acls": {"type": "array", "items": {"$ref": "#/definitions/io.Acl"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "size": {"type": ["string", "integer"]},
            "role": {"enum": ["a", "b"]},
        },
    }
    assert structural(schema, shared) == {
        "type": "object",
        "properties": {
            "acls": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": {"x-kubernetes-preserve-unknown-fields": True}},
                },
            },
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "size": {"x-kubernetes-int-or-string": True},
            "role": {"type": "string", "enum": ["a", "b"]},
        },
    }


def test_strimzis_kinds_have_a_definition_each() -> None:
    made = {held["spec"]["names"]["kind"]: held for held in of_strimzi()}
    assert made.keys() == {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}
    (version,) = made["KafkaTopic"]["spec"]["versions"]
    outer = version["schema"]["openAPIV3Schema"]["properties"]
    assert outer.keys() == {"spec", "status"}
    assert outer["spec"]["properties"]["partitions"] == {"type": "integer"}


def test_kubernetes_parts_are_taken_as_modules_of_the_same_version() -> None:
    theirs = "go 1.26.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n"
    lines = go_mod(theirs).splitlines()
    (version,) = (one.split()[-1] for one in lines if one.startswith("require k8s.io/kubernetes"))
    assert "go 1.26.0" in lines
    assert f"replace k8s.io/api => k8s.io/api v0.{version.removeprefix('v1.')}" in lines


def test_commands_are_found_in_blocks_and_in_prose_over_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Do `kubectl -n NAMESPACE scale\n  deployment/ROOM --replicas=N`, `kubectl apply`.\n"
        "```\nkubectl create x\nskaffold run\n```\n```sh\nkubectl of make runbooks\n```\n"
    )
    assert list(steps.commands(page)) == [
        "kubectl create x",
        "kubectl -n NAMESPACE scale deployment/ROOM --replicas=N",
    ]


@pytest.mark.parametrize("line", steps.NOT_HERE)
def test_what_is_not_typed_stands_in_a_page(line: str) -> None:
    pages = (steps.SECRETS, *FOLDER.glob("*.md"))
    assert line in {found for path in pages for found in steps.commands(path)}


def test_every_name_of_a_command_is_known() -> None:
    known = {"NAMESPACE", "ROOM", "N", "REDIS", "OLD", "NEW", "POD", "IMAGE"}
    for page, line in steps.pages():
        left = steps.filled(line, dict.fromkeys(known, "x"))
        assert left == left.lower(), f"{page}: {line}"
