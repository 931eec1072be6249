"""What an overlay renders to is valid, restricted, fixed, and names only what is there."""

import importlib.util
import itertools
import re
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest

from services.local.system import ROOMS
from services.runtime.config import CONSOLE_VARIABLES, LOCAL_ONLY, VARIABLES
from services.runtime.topics import BY_NAME
from tests.kubernetes import OVERLAYS, ROOT, Resource, pod_of, rendered, restricted, validate

pytestmark = pytest.mark.peers

# Made by Strimzi's operator, in the namespace of its Kafka.
_BY_STRIMZI = {"mawja-cluster-ca-cert"}
# Made by a site: deploy/k8s/base/config.yaml and components/redis/redis.yaml say what is in each.
_BY_SITE = {
    "mawja-carriers",
    "mawja-connections",
    "mawja-console",
    "mawja-console-tokens",
    "mawja-keys",
    "mawja-months",
    "mawja-redis",
    "mawja-tokens",
    "mawja-webhooks",
    *(f"tls-{name}" for name in ("console", "operator", "reports", *ROOMS)),
}
_NAMES = {overlay.name for overlay in OVERLAYS.iterdir()}


@pytest.fixture(params=sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def overlay(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def of(folder: Path, kind: str) -> dict[str, Resource]:
    return {held["metadata"]["name"]: held for held in rendered(folder) if held["kind"] == kind}


def pods(folder: Path) -> list[tuple[str, Resource]]:
    found = [(held["metadata"]["name"], pod_of(held)) for held in rendered(folder)]
    return [(name, pod) for name, pod in found if pod is not None]


def test_there_are_the_three_overlays() -> None:
    assert {"local", "surge", "production"} == _NAMES


def test_all_is_valid_by_the_schemas(overlay: Path) -> None:
    for held in rendered(overlay):
        validate(held)


@pytest.mark.parametrize("kind", ["ScaledObject", "KafkaTopic", "KafkaUser", "Kafka", "PodMonitor"])
def test_the_schema_check_refuses_a_misspelt_field(kind: str) -> None:
    held = deepcopy(next(iter(of(OVERLAYS / "production", kind).values())))
    held["spec"]["replicass"] = 3
    with pytest.raises(jsonschema.ValidationError, match="replicass"):
        validate(held)


def test_everything_is_in_one_namespace_that_refuses_what_is_not_restricted(overlay: Path) -> None:
    (namespace,) = of(overlay, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for held in rendered(overlay):
        if held["kind"] != "Namespace":
            assert held["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_pods_are_restricted_and_have_their_limits(overlay: Path) -> None:
    for name, pod in pods(overlay):
        restricted(name, pod, {"secret", "emptyDir", "projected", "configMap"})


def test_images_are_fixed_and_no_secret_is_in_the_files(overlay: Path) -> None:
    for name, pod in pods(overlay):
        for container in pod["containers"]:
            assert re.search(r":\d[\w.-]+$", container["image"]), f"{name}: {container['image']}"
    ours = {
        container["image"]
        for _, pod in pods(overlay)
        for container in pod["containers"]
        if container["image"].startswith("mawja")
    }
    assert len(ours) == 1, "all of a release"
    assert not of(overlay, "Secret")


def test_modules_variables_and_mounts_are_those_of_the_code(overlay: Path) -> None:
    known = {held.name for held in (*VARIABLES, *CONSOLE_VARIABLES)} - LOCAL_ONLY
    configs = of(overlay, "ConfigMap")
    for name, pod in pods(overlay):
        for container in pod["containers"]:
            if not container["image"].startswith("mawja:"):
                continue
            (module,) = container["args"]
            assert importlib.util.find_spec(module) is not None, f"{name} starts {module}"
            given = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
            for source in container["envFrom"]:
                given |= configs[source["configMapRef"]["name"]]["data"]
            assert given.keys() <= known, name
            if "volumeMounts" not in container:
                continue
            mounts = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
            for path in (Path(value) for value in given.values() if value.startswith("/")):
                held = any(m == path or path in m.parents or m in path.parents for m in mounts)
                assert held, f"{name}: nothing is mounted at {path}"


def test_what_is_named_exists(overlay: Path) -> None:
    """Secrets and ConfigMaps that are mounted, service accounts, ports, topics, targets."""
    users, accounts = of(overlay, "KafkaUser"), of(overlay, "ServiceAccount")
    for name, pod in pods(overlay):
        assert pod["serviceAccountName"] in accounts
        sources = [volume for volume in pod.get("volumes", []) if "projected" not in volume]
        projected = [
            volume["projected"]["sources"]
            for volume in pod.get("volumes", [])
            if "projected" in volume
        ]
        for source in [*sources, *itertools.chain(*projected)]:
            if "secret" in source:
                secret = source["secret"].get("secretName") or source["secret"]["name"]
                assert secret in _BY_SITE | _BY_STRIMZI | users.keys(), f"{name}: {secret}"
            if "configMap" in source:
                assert source["configMap"]["name"] in of(overlay, "ConfigMap")
        for container in pod["containers"]:
            for entry in container.get("env", []):
                if "valueFrom" in entry:
                    assert entry["valueFrom"]["secretKeyRef"]["name"] in _BY_SITE
    for topic, held in of(overlay, "KafkaTopic").items():
        assert topic in BY_NAME
        assert held["spec"]["replicas"] == 3


def test_keda_finds_kafka_from_the_namespace_that_it_is_in(overlay: Path) -> None:
    for name, held in of(overlay, "ScaledObject").items():
        (namespace,) = of(overlay, "Namespace")
        for trigger in held["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                asked = trigger["metadata"]["bootstrapServers"]
                assert asked == f"mawja-kafka-bootstrap.{namespace}.svc:9093", name


def test_what_kafkas_operator_makes_is_restricted_too(overlay: Path) -> None:
    templates = [held["spec"]["template"] for held in of(overlay, "KafkaNodePool").values()]
    templates += [
        held["spec"]["entityOperator"]["template"] for held in of(overlay, "Kafka").values()
    ]
    for template in templates:
        made = dict(template)
        pod = made.pop("pod")["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert len(made) == 2
        for container in made.values():
            alone = container["securityContext"]
            assert alone["allowPrivilegeEscalation"] is False
            assert alone["capabilities"] == {"drop": ["ALL"]}


def test_services_lead_to_ports_that_are_there(overlay: Path) -> None:
    makers = [held for held in rendered(overlay) if pod_of(held) is not None]
    for name, service in of(overlay, "Service").items():
        selector = service["spec"]["selector"].items()
        (chosen,) = [
            held
            for held in makers
            if selector <= held["spec"]["template"]["metadata"]["labels"].items()
        ]
        containers = chosen["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for one in containers for port in one.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name


@pytest.mark.parametrize("name", ["surge", "production"])
def test_services_have_certificates_and_are_probed_where_none_is_asked_for(name: str) -> None:
    deployed = of(OVERLAYS / name, "Deployment")
    for room in (*ROOMS, "reports", "console"):
        pod = pod_of(deployed[room])
        assert pod is not None
        (container,) = pod["containers"]
        given = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert given["MAWJA_TLS"] == "/etc/mawja/tls"
        (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == given["MAWJA_TLS"]]
        # A file that is mounted by itself is never renewed.
        assert "subPath" not in mount
        (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
        assert volume["secret"] == {"secretName": f"tls-{room}"}
        if room == "console":
            continue
        port = int(given["MAWJA_HEALTH"].rpartition(":")[2])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["grpc"]["port"] == port


@pytest.mark.parametrize("name", ["surge", "production"])
def test_a_scaled_deployment_has_no_number_of_its_own_and_partitions_as_its_ceiling(
    name: str,
) -> None:
    folder = OVERLAYS / name
    settings = of(folder, "ConfigMap")["mawja"]["data"]
    scaled = of(folder, "ScaledObject")
    assert scaled.keys() == {"intake", "dedup", "outreach", "broadcast"}
    for target, held in scaled.items():
        assert held["spec"]["scaleTargetRef"]["name"] == target
        assert "replicas" not in of(folder, "Deployment")[target]["spec"]
        assert held["spec"]["maxReplicaCount"] == int(settings["MAWJA_PARTITIONS"])
    for held in of(folder, "KafkaTopic").values():
        assert held["spec"]["partitions"] == int(settings["MAWJA_PARTITIONS"])


def test_kafka_has_three_brokers_that_keep_what_was_acknowledged() -> None:
    folder = OVERLAYS / "production"
    (pool,) = of(folder, "KafkaNodePool").values()
    (kafka,) = of(folder, "Kafka").values()
    config = kafka["spec"]["kafka"]["config"]
    assert pool["spec"]["replicas"] == 3
    assert config["min.insync.replicas"] == 2
    assert config["auto.create.topics.enable"] is False
    assert config["unclean.leader.election.enable"] is False
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    assert listener["tls"] is True
    assert listener["authentication"] == {"type": "tls"}
    assert of(folder, "KafkaTopic").keys() == BY_NAME.keys()


def test_every_overlay_is_a_profile_of_skaffold() -> None:
    text = (ROOT / "skaffold.yaml").read_text("utf-8")
    for name in _NAMES:
        assert f"deploy/k8s/overlays/{name}" in text
