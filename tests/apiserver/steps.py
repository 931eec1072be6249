"""The kubectl commands of the runbooks and docs/kubernetes.md, to be typed at a cluster."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.kubernetes import ROOT
from tests.runbooks.pages import FOLDER

SECRETS = ROOT / "docs" / "kubernetes.md"
NOT_HERE = {
    "kubectl apply -k deploy/k8s/overlays/production": "done before",
    "kubectl apply -f deploy/k8s/overlays/production/namespace.yaml": "done before",
    "kubectl -n NAMESPACE get certificate,kafkauser": "the one is cert-manager's, which "
    "is not here",
    "kubectl -n NAMESPACE exec -it deployment/operator -- python -m services.tools ledger": "no "
    "node is here that could start it",
    "kubectl -n NAMESPACE get pods -l strimzi.io/kind=Kafka": "Strimzi makes them",
}
"""What is not typed, and why."""

RING = (
    "person.key",
    "months/2026-11.key",
    "webhooks/whatsapp.secret",
    *(f"tokens/{name}.{kind}" for name in ("prod", "next") for kind in ("pem", "public.pem")),
    "carriers.yaml",
    "users.yaml",
)
"""The files that the commands name."""

_BLOCK = re.compile(r"^```\n(.*?)^```$", re.S | re.M)
_SPOKEN = re.compile(r"`(kubectl [^`]+)`")


def commands(path: Path) -> Iterator[str]:
    """Those of a page, each on a line: in its blocks first, then in its prose."""
    text = path.read_text("utf-8")
    for block in _BLOCK.findall(text):
        yield from (line for line in block.splitlines() if line.startswith("kubectl "))
    for spoken in _SPOKEN.findall(re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)):
        line = " ".join(spoken.split())
        # `kubectl kustomize` and the like, named without what they are about, are no step.
        if len(shlex.split(line)) > 2:
            yield line


def pages() -> Iterator[tuple[str, str]]:
    """Each command with its page: the Secrets first, which others change."""
    for path in (SECRETS, *sorted(FOLDER.glob("*.md"))):
        yield from ((path.name, line) for line in commands(path) if line not in NOT_HERE)


def filled(line: str, values: dict[str, str]) -> str:
    """The command with the names of capital letters replaced, and `…` by a value or left out."""
    line = re.sub(r" --from-file=…", "", line)
    line = re.sub(r"\b[A-Z]+\b", lambda found: values.get(found[0], found[0]), line)
    return line.replace("…", "x")
