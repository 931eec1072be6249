"""etcd, the API server and the controllers: built by Go from their modules, kept in Mawja's cache.

Kubernetes's module is made to be built in its own repository: it replaces its parts (k8s.io/api and
thirty others) by folders of it. As modules of their own they have the same version with 0 for 1, so
a module of two lines and those replacements builds it anywhere. Go checks what it fetches by its
checksum database.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes import VERSION
from tests.peers.install import NotThere, once, run
from tests.schemas.make import module

KUBERNETES = f"v{VERSION}.2"
ETCD = "v3.7.0"
_PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
_SAYS = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}"
_WITHIN_S = 3600
_WAYS = {"GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off"}


def programs() -> Mapping[str, Path]:
    """Where each of them is; built when it is not yet (16 minutes on two cores, 3.5 GB of Go's
    cache meanwhile, 240 MB kept). Raises NotThere."""
    if shutil.which("go") is None:
        raise NotThere(
            "an API server is built by Go: install 1.21 or newer, which fetches the one it wants"
        )
    folder = once(f"kubernetes-{KUBERNETES}", _build)
    return {name: folder / name for name in _PROGRAMS}


def go_mod(theirs: str) -> str:
    """The module that builds all of them, from Kubernetes's own go.mod."""
    parts = re.findall(r"^\s*(\S+) => \./staging/", theirs, re.M)
    version = KUBERNETES.replace("v1.", "v0.", 1)
    return "\n".join(
        (
            "module apiserver",
            *re.findall(r"^(?:go|godebug) .*$", theirs, re.M),
            f"require k8s.io/kubernetes {KUBERNETES}",
            f"require go.etcd.io/etcd/server/v3 {ETCD}",
            *(f"replace {part} => {part} {version}" for part in parts),
            "",
        )
    )


def _build(folder: Path) -> None:
    theirs = module(f"k8s.io/kubernetes@{KUBERNETES}")
    (folder / "go.mod").write_text(go_mod((theirs / "go.mod").read_text("utf-8")), "utf-8")
    shutil.copy(theirs / "go.sum", folder)
    for name, package in _PROGRAMS.items():
        print(f"building {name}", flush=True)
        flags = ("-trimpath", f"-ldflags=-s -w {_SAYS}", "-o", name)
        run("nice", "go", "build", *flags, package, cwd=folder, env=_WAYS, within_s=_WITHIN_S)
