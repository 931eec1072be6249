"""The slow path of incidents beside a state, played without Kafka and clock; and what it is for: an
event of which people tell in several languages with words that no list knows to mean the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from zlib import crc32

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents.need import NeedStated
from services.dedup.incidents.ordinary import Ordinary
from services.dedup.incidents.refining import Candidate, Refiner
from services.dedup.incidents.state import Incidents
from services.dedup.meaning.backlog import Backlog
from services.dedup.meaning.points import Point
from services.dedup.meaning.slow import Meaning
from services.dedup.words import CODE

JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED
_COMMAND = "dedup.incident-command.v1"


def points_of(texts: Iterable[bytes]) -> dict[bytes, Point]:
    """Where texts lie, all at once: about 20 ms a text on one core."""
    asked = sorted(set(texts))
    points = Meaning().points([text.decode() for text in asked])
    return dict(zip(asked, points, strict=True))


class Beside:
    """What `incidents.looking` does, when it is told to. `points`: where each text lies."""

    def __init__(self, state: Incidents, points: Mapping[bytes, Point]) -> None:
        self.joined = 0
        self._state = state
        self._points = points
        self._refiner = Refiner(state)
        self._backlog = Backlog[str]()
        self._commands = 0

    def changed(self) -> None:
        """The state has decided."""
        incidents, cases = self._state.changed
        for name in (*incidents, *cases):
            group = self._refiner.group(name)
            if group is None:
                self._backlog.forget(name)
            else:
                self._backlog.add(name, len(group), 0)

    def join(self) -> None:
        """Looks at all that waits, and decides on what it finds."""
        for case, near in self._looks():
            for command in list(self._refiner.commands(case, near, 1)):
                at = common_pb2.Input(topic=_COMMAND, offset=self._commands)
                self._commands += 1
                self.joined += self._state.command(command, at, 1).change == JOINED
                self.changed()

    def candidates(self) -> Iterator[tuple[str, Candidate]]:
        """Looks at all that waits: cases, and each group that may belong with theirs."""
        for case, near in self._looks():
            for candidate in self._refiner.candidates(case, near):
                yield case, candidate

    def _looks(self) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        while names := self._backlog.next_batch():
            groups = [group for name in names if (group := self._refiner.group(name)) is not None]
            seen = [
                (need.case_id, self._points[need.sealed_text])
                for group in groups
                if (need := self._refiner.representative(group)) is not None
            ]
            for case, point in seen:
                self._refiner.points.put(case, point)
            near = self._refiner.nearest([point for _, point in seen])
            yield from zip((case for case, _ in seen), near, strict=True)


class Foreign(Ordinary):
    """How ordinary words are when no word of one language is known in another."""

    def __init__(self, usual: Ordinary) -> None:
        super().__init__({}, 0)
        self._usual = usual
        self._known: dict[int, int] = {}

    def rarity(self, hashed: int) -> float:
        """As of the word that it is."""
        return self._usual.rarity(self._known.get(hashed, hashed))

    def learn(self, hashes: set[int]) -> None:
        """As of the words that they are."""
        self._usual.learn({self._known.get(hashed, hashed) for hashed in hashes})

    def parted(self, need: NeedStated) -> NeedStated:
        """A statement whose words and sounds are found in its own language only."""
        found = NeedStated()
        found.CopyFrom(need)
        found.shape[:] = [h if h & CODE else self._of(need.language, h) for h in need.shape]
        found.sounds[:] = [self._of(need.language, h) for h in need.sounds]
        return found

    def _of(self, language: str, hashed: int) -> int:
        own = crc32(f"{language}/{hashed}".encode()) & ~CODE or 1
        self._known[own] = hashed
        return own
