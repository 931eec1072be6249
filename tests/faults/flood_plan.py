"""What a flood of contacts is to be, and what it saw: the two that go between `flood`, a process of
its own, and the test that starts it."""

from dataclasses import dataclass, field

WARMING_S = 1.0
"""How much of a segment's beginning does not count."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the plan. Open loop: `times` what the last closed-loop one reached, and of that
    the share `urgent` in life-safety contacts, whatever `times` is. Without `times`: closed."""

    name: str
    seconds: float
    times: float = 0.0
    urgent: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent, where, and the processor whose use is to be noted."""

    target: str
    token: str
    source: str
    intake_pid: int
    core: int
    segments: list[Segment]
    most_per_s: float
    """What it is sure not to take, by which is reckoned what must be made beforehand."""
    streams: int = 6
    probes_per_s: float = 20.0


@dataclass(slots=True)
class Seen:
    """What became of one segment. Samples are (seconds after its beginning at which it was due,
    seconds until the answer, contacts answered so)."""

    name: str
    seconds: float = 0.0
    planned_per_s: float = 0.0
    offered: int = 0
    urgent: int = 0
    busy_s: float = 0.0
    intake_cpu_s: float = 0.0
    pace_s: float = 0.0
    """Processor seconds that a fixed piece of work took on intake's processor."""
    behind_s: list[float] = field(default_factory=list)
    accepted: list[tuple[float, float, int]] = field(default_factory=list)
    refused: list[tuple[float, float, int]] = field(default_factory=list)
    urgent_accepted: list[tuple[float, float, int]] = field(default_factory=list)
    urgent_refused: list[tuple[float, float, int]] = field(default_factory=list)
    probes_accepted: list[tuple[float, float, int]] = field(default_factory=list)
    probes_refused: list[tuple[float, float, int]] = field(default_factory=list)
    urgent_probes_refused: int = 0
    wrong: list[str] = field(default_factory=list)
    unanswered: int = 0

    @property
    def left(self) -> float:
        """Share of intake's processor that nobody else used."""
        return 1 - max(0.0, self.busy_s - self.intake_cpu_s) / self.seconds

    @property
    def offered_per_s(self) -> float:
        """Contacts that really went out, a second."""
        return self.offered / self.seconds

    @property
    def done_per_s(self) -> float:
        """Contacts taken a second, after the first second, of the time that others left."""
        taken = (*self.accepted, *self.urgent_accepted, *self.probes_accepted)
        inside = sum(n for due, took, n in taken if WARMING_S <= due + took < self.seconds)
        return inside / (self.seconds - WARMING_S) / self.left
