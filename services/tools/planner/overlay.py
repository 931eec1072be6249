"""The replicas of a plan as an overlay of `deploy/k8s`: a file to read, review and apply.

It holds replicas and nothing else. The partition count is not in it, on purpose: it decides which
partition a person is in and never changes on a live system; of a new one it is set in the base's
ConfigMap before the first start.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from services.runtime.errors import ConfigError
from services.tools.planner.plan import Plan, lasting
from services.tools.planner.sizing import PARTITIONED, Sizing

BASE = Path(__file__).resolve().parents[3] / "deploy" / "k8s" / "base"
_FILE = "kustomization.yaml"
_MARK = "# Written by `mawja plan --emit`"


def write(folder: Path, base: Path, made: Plan, of: Sizing) -> tuple[Path, list[str]]:
    """Writes the overlay over `base` (a folder with a kustomization) into `folder`, and returns its
    file with what is to be said about it. A file that somebody else wrote is left alone. Raises
    ConfigError."""
    if not (base / _FILE).is_file():
        raise ConfigError(f"{base} has no {_FILE}: give the folder of the base with --base")
    path = folder / _FILE
    if path.exists() and not path.read_text("utf-8").startswith(_MARK):
        raise ConfigError(f"{path} was not written by this command: name another folder")
    replicas, notes = _replicas(of, _partitions(base))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(folder, base, made, of, replicas), "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    return path, notes


def _replicas(of: Sizing, partitions: int | None) -> tuple[dict[str, int], list[str]]:
    replicas, notes = dict(of.replicas), []
    for room in PARTITIONED:
        if partitions is not None and replicas[room] > partitions:
            notes.append(
                f"{room}: {replicas[room]} replicas would help, and {partitions} are written: "
                f"there are {partitions} partitions, and more would only stand by"
            )
            replicas[room] = partitions
    if partitions is None:
        notes.append("the base does not say its partitions: replicas beyond them stand by")
    return replicas, notes


def _partitions(base: Path) -> int | None:
    """What the ConfigMap of the base, or of what it stands on, says."""
    try:
        held: Any = yaml.safe_load((base / _FILE).read_text("utf-8"))
        for name in held.get("resources", ()):
            below = base / name
            if (below / _FILE).is_file():
                found = _partitions(below)
                if found is not None:
                    return found
            elif below.is_file():
                for one in yaml.safe_load_all(below.read_text("utf-8")):
                    if one and one.get("kind") == "ConfigMap":
                        said = one.get("data", {}).get("MAWJA_PARTITIONS")
                        if said is not None:
                            return int(said)
    except (OSError, yaml.YAMLError, ValueError, AttributeError) as wrong:
        raise ConfigError(f"{base} can't be read as a kustomization: {wrong}") from None
    return None


def _text(folder: Path, base: Path, made: Plan, of: Sizing, replicas: dict[str, int]) -> str:
    said = [
        f"{_MARK} for {made.demand.calls:,.0f} calls in {lasting(made.demand.over_s)},",
        f"# {of.calls_per_s:.1f} dialled calls and {of.parts_per_s:.1f} SMS parts a second at its "
        "busiest, on a machine like",
        f"# {of.rates.machine}.",
        "# It sets replicas alone. The partition count is the system's own: it never changes.",
    ]
    held = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()],
        "replicas": [{"name": room, "count": count} for room, count in replicas.items()],
    }
    return "\n".join(said) + "\n" + yaml.safe_dump(held, sort_keys=False)
