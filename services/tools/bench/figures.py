"""What one run of the bench has measured, as figures that tell how far its runs lie apart."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from mawja.intake.v1 import service_pb2

from services.local.parts import Parts
from services.local.progress import Progress
from services.runtime.clock import monotonic_s

ROUNDS = 4

Figure = dict[str, float | int]


@dataclass(slots=True)
class Run:
    """What one run has measured so far: figures by name, one number a round. `rounds`: at most, of
    what takes turns with its bare floor."""

    parts: Parts
    progress: Progress
    keys: Path
    contacts: Iterator[service_pb2.Contact]
    measured: dict[str, list[float]] = field(default_factory=dict)
    began_s: float = field(default_factory=monotonic_s)
    taken: int = 0
    request_bytes: list[int] = field(default_factory=list)
    rounds: int = ROUNDS

    def note(self, name: str, value: float) -> None:
        """One more measurement of `name`."""
        self.measured.setdefault(name, []).append(value)

    def late(self, limit_s: float) -> bool:
        """Whether the run is older than `limit_s`."""
        return monotonic_s() - self.began_s > limit_s

    def figure(self, name: str) -> Figure | None:
        """The measurements of `name`; None when there is none."""
        values = self.measured.get(name)
        if not values:
            return None
        return {
            "median": _round(median(values)),
            "low": _round(min(values)),
            "high": _round(max(values)),
            "runs": len(values),
        }

    def figures(self, prefix: str) -> dict[str, Figure | None]:
        """Every figure whose name begins with `prefix.`, by the rest of the name."""
        names = [name for name in self.measured if name.startswith(prefix + ".")]
        return {name.removeprefix(prefix + "."): self.figure(name) for name in names}


def _round(value: float) -> float:
    return round(value, 3) if value < 10 else round(value, 1)
