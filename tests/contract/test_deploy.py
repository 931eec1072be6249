"""The Kubernetes base is valid, restricted, complete, and names only what the code has."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from services.runtime.config import CONSOLE_VARIABLES, LOCAL_ONLY, VARIABLES
from services.runtime.topics import TOPICS
from tests.kubernetes import BASE, OVERLAYS, PORTS, ROOT, Resource, rendered, resources, restricted

CONSOLE = 7090
METRICS = 9100
WEBHOOK = 7080
OPT_OUT = 7085


def plain_files() -> list[Path]:
    return sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")


def one(kind: str, name: str) -> Resource:
    found = [
        held
        for held in resources(*plain_files())
        if held["kind"] == kind and held["metadata"]["name"] == name
    ]
    assert len(found) == 1, f"{len(found)} {kind} called {name}"
    return found[0]


def pod_specs() -> Iterator[tuple[str, Resource]]:
    for held in resources(*plain_files()):
        if "template" in held.get("spec", {}):
            yield held["metadata"]["name"], held["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", plain_files(), ids=lambda path: path.name)
def test_every_resource_is_valid_by_the_kubernetes_schema(path: Path) -> None:
    found = list(resources(path))
    assert found
    for held in found:
        kubernetes_validate.validate(held, "1.37", strict=True)


def test_the_schema_check_refuses_a_misspelt_field() -> None:
    wrong = one("Deployment", "intake")
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullpolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_the_kustomization_lists_every_file_once() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted(listed) == [path.name for path in plain_files()]


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def test_an_overlay_reaches_the_base_and_only_what_exists(overlay: Path) -> None:
    held = yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))
    targets = {(overlay / entry).resolve() for entry in held["resources"]}
    assert BASE in targets
    assert all(target.exists() for target in targets)
    deployments = {r["metadata"]["name"] for r in resources(*plain_files())}
    assert {entry["name"] for entry in held.get("replicas", [])} <= deployments


@pytest.mark.peers
@pytest.mark.parametrize(
    "folder", [BASE, *sorted(OVERLAYS.iterdir())], ids=lambda path: str(path.relative_to(ROOT))
)
def test_it_renders_to_every_service(folder: Path) -> None:
    assert {held["metadata"]["name"] for held in rendered(folder)} >= {*PORTS, "console"}


@pytest.mark.parametrize(("room", "port"), [*PORTS.items(), ("console", CONSOLE)])
def test_a_service_has_all_its_parts_and_they_agree(room: str, port: int) -> None:
    deployment = one("Deployment", room)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    ports = {entry["name"]: entry["containerPort"] for entry in container["ports"]}
    expected = {"http" if room == "console" else "grpc": port, "metrics": METRICS}
    if room == "intake":
        expected["webhook"] = WEBHOOK
    if room == "broadcast":
        expected["opt-out"] = OPT_OUT
    assert ports == expected

    service = one("Service", room)["spec"]
    assert service["clusterIP"] == "None", "gRPC clients can only balance over a headless service"
    assert {entry["targetPort"] for entry in service["ports"]} == ports.keys()
    assert {entry["name"]: entry["port"] for entry in service["ports"]} == ports

    labels = pod["metadata"]["labels"]
    for selector in (
        service["selector"],
        deployment["spec"]["selector"]["matchLabels"],
        one("PodDisruptionBudget", room)["spec"]["selector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in pod["spec"]["topologySpreadConstraints"]),
    ):
        assert selector.items() <= labels.items()
    assert pod["spec"]["serviceAccountName"] == one("ServiceAccount", room)["metadata"]["name"]

    spread = {one["topologyKey"] for one in pod["spec"]["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    if room == "console":
        assert container["livenessProbe"]["httpGet"] == {"port": "http", "path": "/live"}
        assert container["readinessProbe"]["httpGet"] == {"port": "http", "path": "/ready"}
        return
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["grpc"]["port"] == port
    # A liveness probe that asked for the dependencies would restart everything at once when
    # Kafka is away; it asks for the process alone.
    assert container["livenessProbe"]["grpc"]["service"] == "live"
    assert container["readinessProbe"]["grpc"].get("service", "") == ""


@pytest.mark.parametrize(
    ("name", "pod"), [pytest.param(name, pod, id=name) for name, pod in pod_specs()]
)
def test_a_pod_fits_the_restricted_standard(name: str, pod: Resource) -> None:
    restricted(name, pod, {"secret", "emptyDir"})


@pytest.mark.parametrize("room", PORTS)
def test_a_service_is_told_every_setting_it_must_have_and_none_unknown(room: str) -> None:
    (container,) = one("Deployment", room)["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    for source in container["envFrom"]:
        given |= one("ConfigMap", source["configMapRef"]["name"])["data"]
    known = {variable.name for variable in VARIABLES} - LOCAL_ONLY
    assert given.keys() <= known
    assert given.keys() >= {variable.name for variable in VARIABLES if variable.default is None}
    # The defaults listen on loopback, where no probe and no caller reaches a pod.
    assert given["MAWJA_LISTEN"] == f"0.0.0.0:{PORTS[room]}"
    assert given["MAWJA_METRICS"] == f"0.0.0.0:{METRICS}"
    assert given.get("MAWJA_WEBHOOK") == (f"0.0.0.0:{WEBHOOK}" if room == "intake" else None)
    assert given.get("MAWJA_OPT_OUT") == (f"0.0.0.0:{OPT_OUT}" if room == "broadcast" else None)


def test_the_console_is_told_what_it_must_have_and_nothing_unknown() -> None:
    (container,) = one("Deployment", "console")["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    for source in container["envFrom"]:
        given |= one("ConfigMap", source["configMapRef"]["name"])["data"]
    shared = {"MAWJA_REDIS_URL", "MAWJA_KEYS", "MAWJA_METRICS"}
    assert given.keys() <= {variable.name for variable in CONSOLE_VARIABLES} | shared
    assert given.keys() >= shared | {v.name for v in CONSOLE_VARIABLES if v.default is None}
    assert given["MAWJA_CONSOLE"] == f"0.0.0.0:{CONSOLE}"
    for room, port in PORTS.items():
        assert given[f"MAWJA_{room.upper()}"] == f"dns:///{room}:{port}"


@pytest.mark.parametrize("room", PORTS)
def test_every_file_a_service_is_told_of_is_mounted(room: str) -> None:
    pod = one("Deployment", room)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}
    given = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    given |= one("ConfigMap", "mawja")["data"]
    paths = [value for value in given.values() if value.startswith("/")]
    assert paths
    for path in paths:
        inside = any(path == mount or path.startswith(f"{mount}/") for mount in mounts)
        # The key ring is of three Secrets, since one has no folders.
        assert inside or any(mount.startswith(f"{path}/") for mount in mounts), path


def test_a_room_has_the_whole_key_ring_and_only_the_console_what_signs() -> None:
    for room in PORTS:
        pod = one("Deployment", room)["spec"]["template"]["spec"]
        paths = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        ring = "/etc/mawja/keys"
        assert {f"{ring}/person.key", f"{ring}/months", f"{ring}/tokens"} <= paths
        secrets = {volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}
        assert "mawja-console-tokens" not in secrets


def test_each_container_starts_a_module_that_exists() -> None:
    for name, pod in pod_specs():
        for container in pod["containers"]:
            (module,) = container["args"]
            spec = importlib.util.find_spec(module)
            assert spec is not None, f"{name} starts {module}, which is not there"
            if spec.submodule_search_locations is not None:
                assert importlib.util.find_spec(f"{module}.__main__"), f"{module} can't be started"


def test_one_image_with_a_fixed_tag() -> None:
    images = {c["image"] for _, pod in pod_specs() for c in pod["containers"]}
    assert images == {"mawja"}
    (tagged,) = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["images"]
    assert tagged["name"] == "mawja"
    assert re.fullmatch(r"\d+\.\d+\.\d+", tagged["newTag"])
    base = re.search(r"^ARG BASE=\S+:(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.M)
    assert base is not None
    assert base[1] != "latest"


def test_the_dockerfile_exposes_the_ports_and_copies_what_is_sent_to_it() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    exposed = re.search(r"^EXPOSE (.+)$", text, re.M)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == {
        *PORTS.values(),
        METRICS,
        WEBHOOK,
        OPT_OUT,
        CONSOLE,
    }
    sent = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", text, re.M))
    assert copied == sent
    assert all((ROOT / path).exists() for path in copied)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.M), "the image must not run as root"


def test_skaffold_builds_that_image_and_forwards_those_ports() -> None:
    held = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))
    (artifact,) = held["build"]["artifacts"]
    assert artifact["image"] == "mawja"
    assert (ROOT / artifact["docker"]["dockerfile"]).exists()
    # With a profile and without one: it leads to an overlay, and forwards every room.
    assert {profile["name"] for profile in held["profiles"]} == {p.name for p in OVERLAYS.iterdir()}
    for asked in (held, *held["profiles"]):
        (path,) = asked["manifests"]["kustomize"]["paths"]
        (namespace,) = resources(ROOT / path / "namespace.yaml")
        forwarded = asked.get("portForward", held["portForward"])
        ports = {entry["resourceName"]: entry["port"] for entry in forwarded}
        assert ports == {**PORTS, "console": CONSOLE}
        assert {entry["namespace"] for entry in forwarded} == {namespace["metadata"]["name"]}
    (tests,) = held["test"]
    assert (ROOT / tests["custom"][0]["command"].split()[0]).exists()


def test_the_table_of_services_is_the_codes() -> None:
    """docs/kubernetes.md: each service with its port and all the topics that it writes."""
    text = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:]] for line in text.splitlines()]
    rows = {row[0].strip("`"): row for row in cells if len(row) > 3 and row[1][:1].isdigit()}
    assert {room: int(row[1][:4]) for room, row in rows.items()} == {**PORTS, "console": CONSOLE}
    for room, row in rows.items():
        said = {f"{room}.{name}.v1" for name in row[2].split()}
        assert said == {topic.name for topic in TOPICS if topic.owner == room}, room
