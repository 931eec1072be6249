"""An API server, its etcd and the controllers that make pods, on loopback: a cluster without nodes.

What is given to it is defaulted, validated, admitted and stored as by any other, and Deployments
become ReplicaSets and Pods, which wait for a node for ever. What a kubelet, an operator or a
network does is not here.
"""

import json
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from services.local.child import Child
from services.local.ports import LOOPBACK, free_ports
from tests.certificates import HERE, Authority
from tests.processes import until

_READY_S = 120.0
_CONTROLLERS = (
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "statefulset-controller",
)


class Refused(Exception):
    """kubectl ended with an error; the message is the command and what it said."""


class Cluster:
    """Runs while the context is entered; everything it writes is in `home`."""

    def __init__(self, programs: Mapping[str, Path], home: Path) -> None:
        home.mkdir(parents=True)
        self._home, self._programs = home, programs
        self._etcd, self._peer, self._port = free_ports(3)
        self._token = secrets.token_hex(16)
        self.warnings: list[str] = []
        """What the API server warned of, in the order of the commands."""
        self._authority = Authority(home, "authority")
        self._children = [self._child("etcd"), self._child("kube-apiserver")]
        self._children.append(self._child("kube-controller-manager"))

    def __enter__(self) -> Self:
        self._files()
        try:
            self._children[0].start()
            self._children[1].start()
            self._wait_ready()
            self._children[2].start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What `kubectl` answers; warnings are kept. Raises Refused."""
        return self.shell(shlex.join(("kubectl", *arguments)), given=given)

    def shell(self, line: str, cwd: Path | None = None, given: str | None = None) -> str:
        """The same for a line as a person types it, in `cwd`."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        held = {"KUBECONFIG": str(self._home / "kubeconfig"), "KUBERC": "off"}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=cwd or self._home,
            env={**kept, **held, "HOME": str(self._home)},
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise Refused(f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        said = done.stderr.splitlines()
        self.warnings += [line for line in said if line.startswith("Warning:")]
        return done.stdout + "\n".join(line for line in said if not line.startswith("Warning:"))

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get` of these arguments finds. Raises Refused."""
        found: list[dict[str, Any]]
        found = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return found

    def _child(self, name: str) -> Child:
        arguments = {
            "etcd": self._etcd_arguments,
            "kube-apiserver": self._server_arguments,
            "kube-controller-manager": self._controller_arguments,
        }[name]()
        command = [str(self._programs[name]), *(f"--{k}={v}" for k, v in arguments.items())]
        return Child(name, command, log=self._home / f"{name}.log", cwd=self._home)

    def _etcd_arguments(self) -> dict[str, str]:
        clients, peers = f"http://{LOOPBACK}:{self._etcd}", f"http://{LOOPBACK}:{self._peer}"
        return {
            "data-dir": str(self._home / "etcd"),
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            # Lost with the folder: nothing is worth a wait for the disk.
            "unsafe-no-fsync": "true",
        }

    def _server_arguments(self) -> dict[str, str]:
        certificate, key = self._authority.issue("server", HERE)
        signer, signing_key = self._authority.issue("accounts")
        return {
            "etcd-servers": f"http://{LOOPBACK}:{self._etcd}",
            "bind-address": LOOPBACK,
            "advertise-address": LOOPBACK,
            "endpoint-reconciler-type": "none",
            "secure-port": str(self._port),
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "token-auth-file": str(self._home / "tokens.csv"),
            "authorization-mode": "RBAC",
            "service-account-issuer": f"https://{LOOPBACK}:{self._port}",
            "service-account-key-file": str(signer),
            "service-account-signing-key-file": str(signing_key),
            # As most clusters: it is the namespace that must refuse.
            "allow-privileged": "true",
            "service-cluster-ip-range": "10.0.0.0/24",
        }

    def _controller_arguments(self) -> dict[str, str]:
        return {
            "kubeconfig": str(self._home / "kubeconfig"),
            "controllers": ",".join(_CONTROLLERS),
            "leader-elect": "false",
            "secure-port": "0",
        }

    def _files(self) -> None:
        (self._home / "tokens.csv").write_text(f'{self._token},person,1,"system:masters"\n')
        (self._home / "kubeconfig").touch(mode=0o600)
        (self._home / "kubeconfig").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [
                        {"name": "here", "context": {"cluster": "here", "user": "person"}}
                    ],
                    "clusters": [
                        {
                            "name": "here",
                            "cluster": {
                                "server": f"https://{LOOPBACK}:{self._port}",
                                "certificate-authority": str(self._authority.file),
                            },
                        }
                    ],
                    "users": [{"name": "person", "user": {"token": self._token}}],
                }
            )
        )

    def _wait_ready(self) -> None:
        """Raises Refused with the last words of what has ended, or of the server."""
        began_s = time.monotonic()

        def ready() -> bool:
            for child in self._children[:2]:
                if child.exit_code is not None:
                    raise Refused(f"{child.name} has ended: {child.log_tail()}")
            try:
                return self.kubectl("get", "--raw=/readyz") == "ok"
            except Refused:
                return False

        if not until(ready, _READY_S):
            waited_s = time.monotonic() - began_s
            raise Refused(f"not ready after {waited_s:.0f} s: {self._children[1].log_tail()}")

    def _stop(self) -> None:
        for child in reversed(self._children):
            child.stop()
