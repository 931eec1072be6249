"""The Deployments of an overlay as pods on this machine's own network.

What differs from a cluster is written here and nowhere else: one replica of each, addresses on
loopback with a port for each pod (they share one network), and what podman 4.3 does otherwise than
a cluster: a folder for each Secret (it would mount base64), variables one by one (in it a ConfigMap
wins over `env`), no probes. Image, command, user, rights, read-only root, limits, mounts and every
other setting are the overlay's.
"""

import json
import shutil
import subprocess
import time
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import yaml
from grpc_health.v1 import health_pb2

from services.local.ports import LOOPBACK, free_ports
from services.local.system import Address, System, make_keys
from services.runtime import topics
from tests.kubernetes import OVERLAYS, Resource, pod_of, rendered

_READY_S = 90.0
_ADDRESSES = {
    "MAWJA_LISTEN": "grpc",
    "MAWJA_METRICS": "metrics",
    "MAWJA_WEBHOOK": "webhook",
    "MAWJA_OPT_OUT": "webhook",
    "MAWJA_CONSOLE": "webhook",
}


def podman(*arguments: str) -> str:
    """What podman says. Raises CalledProcessError with its words on stderr."""
    return subprocess.run(
        ["podman", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@dataclass(slots=True)
class Pods(System):
    """The overlay `local` in pods made of `image`, on top of `parts`."""

    image: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    held: dict[str, Address] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        """What is given to podman."""
        return self.parts.home / "pods.yaml"

    def start(self, partitions: int = 8) -> None:
        """Makes keys and topics, plays the pods, and waits until all of them serve."""
        make_keys(self.keys)
        topics.ensure(self.parts.kafka, partitions, self.parts.brokers)
        for room in self.rooms:
            self.held[room] = Address(*free_ports(3))
        self.manifest.write_text(yaml.safe_dump_all(self._resources(), sort_keys=False))
        podman("kube", "play", "--network", "host", str(self.manifest))
        self.wait_ready()

    def _resources(self) -> list[Resource]:
        self._secrets()
        overlay = [deepcopy(held) for held in rendered(OVERLAYS / "local")]
        configs = {
            held["metadata"]["name"]: held["data"] | self._elsewhere(held["data"])
            for held in overlay
            if held["kind"] == "ConfigMap"
        }
        return [
            self._here(held["metadata"]["name"], held, configs)
            for held in overlay
            if held["kind"] == "Deployment" and held["metadata"]["name"] in self.rooms
        ]

    def _elsewhere(self, said: dict[str, str]) -> dict[str, str]:
        rooms = {f"MAWJA_{room.upper()}": a.grpc for room, a in self.held.items()}
        addresses = {name: f"{LOOPBACK}:{port}" for name, port in rooms.items()}
        addresses["MAWJA_KAFKA"] = self.parts.kafka
        return {name: value for name, value in addresses.items() if name in said}

    def _here(self, room: str, resource: Resource, configs: dict[str, dict[str, str]]) -> Resource:
        del resource["metadata"]["namespace"]
        resource["spec"]["replicas"] = 1
        pod = pod_of(resource)
        assert pod is not None
        (container,) = pod["containers"]
        container["image"] = self.image
        # Each pod has its ports published by its own address on the shared network.
        del container["ports"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            # podman knows no gRPC probe, and runs others by a shell, which the image has not:
            # the same is asked from here, before the surge and after it.
            del container[probe]
        address = self.held[room]
        env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        for source in container.pop("envFrom"):
            env |= configs[source["configMapRef"]["name"]]
        env |= {
            name: f"{LOOPBACK}:{getattr(address, port)}"
            for name, port in _ADDRESSES.items()
            if name in env
        }
        env |= {"MAWJA_REDIS_URL": self.parts.redis_url, **self.settings}
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
        for mount in container["volumeMounts"]:
            mount.pop("subPath", None)
        container["volumeMounts"].append({"name": "site", "mountPath": "/etc/mawja/site"})
        for volume in pod["volumes"]:
            if "secret" in volume:
                folder = self.parts.home / "secrets" / volume.pop("secret")["secretName"]
                # Its one file is what the manifest mounts by `subPath`.
                path = folder / "person.key" if volume["name"] == "keys" else folder
                volume["hostPath"] = {"path": str(path)}
        pod["volumes"].append({"name": "site", "hostPath": {"path": str(self.parts.home / "site")}})
        return resource

    def _secrets(self) -> None:
        home, keys = self.parts.home, self.keys
        held = {
            "mawja-keys": [keys / "person.key"],
            "mawja-months": list((keys / "months").iterdir()),
            "mawja-tokens": list((keys / "tokens").glob("*.public.pem")),
            "mawja-webhooks": list((keys / "webhooks").glob("*.secret")),
            "mawja-console-tokens": list((keys / "tokens").iterdir()),
            "mawja-carriers": [home / "carriers.yaml", home / "local.password"],
            "mawja-console": [home / "users.yaml"],
        }
        for name, files in held.items():
            folder = home / "secrets" / name
            folder.mkdir(parents=True, exist_ok=True)
            for path in files:
                if path.exists():
                    shutil.copyfile(path, folder / path.name)
                    # Who runs in a pod is not who made the keys.
                    (folder / path.name).chmod(0o644)

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Waits until every pod serves. Raises AssertionError with the last words of one that does
        not."""
        deadline = time.monotonic() + timeout_s
        for room in self.rooms:
            while not self.serves(room):
                if time.monotonic() > deadline or not self.pids().get(room):
                    said = podman("logs", "--tail", "5", f"{room}-pod-0-{room}")
                    raise AssertionError(f"{room} does not serve: {said}")
                time.sleep(0.2)

    def serves(self, room: str) -> bool:
        """The answer of its readiness probe, and of its liveness probe before it."""
        with grpc.insecure_channel(f"{LOOPBACK}:{self.held[room].grpc}") as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answers = [
                    check(health_pb2.HealthCheckRequest(service=name), timeout=2)
                    for name in ("live", "")
                ]
            except grpc.RpcError:
                return False
        return all(answer.status == health_pb2.HealthCheckResponse.SERVING for answer in answers)

    def pids(self) -> dict[str, int]:
        """The process of each pod that runs and was never started again."""
        found = {}
        told = podman("container", "inspect", *(f"{room}-pod-0-{room}" for room in self.rooms))
        for room, held in zip(self.rooms, json.loads(told), strict=True):
            if held["State"]["Running"] and not held["RestartCount"]:
                found[room] = int(held["State"]["Pid"])
        return found

    def target(self, room: str) -> str:
        """The gRPC target of a room."""
        return f"ipv4:{LOOPBACK}:{self.held[room].grpc}"

    def metrics_urls(self) -> dict[str, str]:
        """The /metrics address of every pod, by name."""
        return {room: f"http://{LOOPBACK}:{a.metrics}/metrics" for room, a in self.held.items()}

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of every process, MB."""
        found = {name: size / 1e6 for name, size in self.parts.rss_bytes().items()}
        for room, pid in self.pids().items():
            found[room] = psutil.Process(pid).memory_info().rss / 1e6
        return {name: round(size, 1) for name, size in found.items()}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time of each pod."""
        return {
            room: round(sum(psutil.Process(pid).cpu_times()[:2]), 1)
            for room, pid in self.pids().items()
        }

    def stop(self) -> None:
        """Ends the pods, in order, and takes away what was made for them."""
        if not self.manifest.exists():
            return
        pods = [f"{room}-pod-0" for room in self.held]
        subprocess.run(
            ["podman", "pod", "rm", "--force", "--time", "45", "--ignore", *pods],
            check=False,
            capture_output=True,
        )
