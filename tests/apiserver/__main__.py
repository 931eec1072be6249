"""Gives deploy/ to an API server: `python -m tests.apiserver`. Exit code 1 when one is refused.

Each overlay goes to a cluster of its own without nodes: asked about first (`--dry-run=server`),
applied as docs/kubernetes.md says, and applying it once more must change nothing. Every pod that
it asks for must be admitted by the namespace's Pod Security, and nothing may be warned of. Then the
kubectl commands of docs/kubernetes.md and the runbooks are typed at production's.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from services.local.errors import LocalPartError
from tests.apiserver import steps
from tests.apiserver.cluster import Cluster, Refused
from tests.apiserver.definitions import all_of_them
from tests.apiserver.programs import KUBERNETES, programs
from tests.kubernetes import OVERLAYS, ROOT, Resource, pod_of, rendered
from tests.peers.install import NotThere
from tests.processes import until

_MADE_S = 60.0
_PRIVILEGED: Resource = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged"},
    "spec": {
        "containers": [{"name": "one", "image": "one:1", "securityContext": {"privileged": True}}]
    },
}


class Taking:
    """An overlay and the cluster it is given to. Each step raises Refused."""

    def __init__(self, cluster: Cluster, overlay: Path) -> None:
        self._cluster, self._overlay = cluster, overlay
        self._resources = rendered(overlay)
        (self._space,) = [held for held in self._resources if held["kind"] == "Namespace"]
        self.namespace: str = self._space["metadata"]["name"]

    def definitions(self, definitions: list[Resource]) -> None:
        """Makes the custom resources known."""
        self._give("apply", definitions, "--server-side")

        def served() -> bool:
            # `kubectl wait` takes one that has no conditions yet for an error.
            return all(
                any(one["type"] == "Established" for one in held["status"].get("conditions") or ())
                for held in self._cluster.get("crd")
            )

        if not until(served, _MADE_S):
            raise Refused(f"definitions are not served after {_MADE_S:.0f} s")

    def apply(self) -> None:
        """Asks, applies, and asks what applying again would change."""
        cluster, overlay = self._cluster, str(self._overlay)
        # What is only asked about is in no namespace that is only asked about.
        self._give("apply", [self._space])
        cluster.kubectl("apply", "--dry-run=server", "-k", overlay)
        cluster.kubectl("apply", "-k", overlay)
        # An error that says what differs, where applying once more would change something.
        cluster.kubectl("diff", "-k", overlay)

    def pods(self) -> int:
        """How many pods were made: all that are asked for."""
        makers = [held for held in self._resources if pod_of(held) is not None]
        asked = {held["metadata"]["name"]: held["spec"].get("replicas", 1) for held in makers}
        wanted = {name: count for name, count in asked.items() if count}
        found: dict[str, int] = {}

        def made() -> bool:
            found.clear()
            for held in self._cluster.get("-n", self.namespace, "pods"):
                owner = held["metadata"]["labels"]["app.kubernetes.io/name"]
                found[owner] = found.get(owner, 0) + 1
            return found == wanted

        if not until(made, _MADE_S):
            said = {
                held["message"]
                for held in self._cluster.get("-n", self.namespace, "events")
                if held["type"] == "Warning"
            }
            raise Refused(f"pods: {found} instead of {wanted}; {sorted(said)}")
        return sum(found.values())

    def refusals(self) -> None:
        """That it refuses at all: a privileged pod, and a field that there is not."""
        topic = next((one for one in self._resources if one["kind"] == "KafkaTopic"), None)
        wrong = [(_PRIVILEGED, "violates PodSecurity")]
        if topic is not None:
            misspelt = {**topic, "spec": {**topic["spec"], "partitionss": 8}}
            wrong.append((misspelt, 'unknown field "spec.partitionss"'))
        for held, why in wrong:
            try:
                self._give("apply", [held], "--dry-run=server", "-n", self.namespace)
            except Refused as refused:
                if why in str(refused):
                    continue
                raise
            raise Refused(f"{held['kind']} {held['metadata']['name']} was taken, and must not be")

    def type(self, home: Path) -> int:
        """Types the commands of the pages, in a folder with a key ring; how many there were."""
        self._ring(home)
        (home / "deploy").symlink_to(ROOT / "deploy")
        # What a page rolls back was rolled out before.
        image = ("deployment/console", "console=mawja:0.0.9")
        self._cluster.kubectl("-n", self.namespace, "set", "image", *image)
        typed = 0
        for page, line in steps.pages():
            values = {"NAMESPACE": self.namespace, "ROOM": "dedup", "N": "3", "REDIS": "redis-0"}
            values |= {"OLD": "prod", "NEW": "next", "IMAGE": "mawja:0.0.9"}
            if "POD" in line:
                values["POD"] = self._pod_of("dedup")
            said = self._cluster.shell(steps.filled(line, values), cwd=home)
            if "No resources found" in said:
                raise Refused(f"{page}: `{line}` found nothing to work on")
            typed += 1
        return typed

    def _ring(self, home: Path) -> None:
        for path in steps.RING:
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text("nobody reads it here")

    def _pod_of(self, room: str) -> str:
        """The one pod of a room, once nothing takes others away or makes more."""
        select = ("-n", self.namespace, "-l", f"app.kubernetes.io/name={room}")
        self._cluster.kubectl("-n", self.namespace, "scale", f"deployment/{room}", "--replicas=1")
        found: list[str] = []

        def alone() -> bool:
            pods = self._cluster.get("pods", *select)
            named = ("-n", self.namespace, "--field-selector", f"metadata.name={room}")
            (held,) = self._cluster.get("deployments", *named)
            seen, status = held["metadata"]["generation"], held["status"]
            found[:] = [one["metadata"]["name"] for one in pods]
            settled = bool(status.get("observedGeneration") == seen)
            return settled and len(found) == 1 and status.get("updatedReplicas") == len(found)

        if not until(alone, _MADE_S):
            raise Refused(f"{room} has the pods {found} instead of one")
        return found[0]

    def _give(self, verb: str, held: list[Resource], *options: str) -> None:
        text = yaml.safe_dump_all(held)
        self._cluster.kubectl(verb, *options, "-f", "-", given=text)


def take(built: Mapping[str, Path], overlay: Path, definitions: list[Resource], home: Path) -> str:
    """What became of an overlay, in a line. Raises Refused."""
    began_s = time.monotonic()
    with Cluster(built, home / "cluster") as cluster:
        taking = Taking(cluster, overlay)
        taking.definitions(definitions)
        taking.apply()
        told = f"{overlay.name}: {len(rendered(overlay))} resources taken"
        told += f", {taking.pods()} pods made"
        taking.refusals()
        if overlay.name == "production":
            told += f", {taking.type(home / 'ring')} commands of the pages typed"
        if cluster.warnings:
            raise Refused("\n".join(cluster.warnings))
    return f"{told}, {time.monotonic() - began_s:.0f} s"


def main() -> int:
    """Does it; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.apiserver", description=__doc__)
    parser.add_argument("--overlay", help="this one alone")
    asked = parser.parse_args()
    try:
        built = programs()
        definitions = all_of_them()
        print(f"Kubernetes {KUBERNETES}")
        with tempfile.TemporaryDirectory() as folder:
            for overlay in sorted(OVERLAYS.iterdir()):
                if asked.overlay in (None, overlay.name):
                    print(
                        take(built, overlay, definitions, Path(folder) / overlay.name), flush=True
                    )
    except (NotThere, LocalPartError, Refused) as error:
        print(error, file=sys.stderr)
        return 1
    for line, why in steps.NOT_HERE.items():
        print(f"not typed: `{line}` ({why})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
