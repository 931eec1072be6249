"""An incident as it stands: its cases, and what is counted of them as they come and go. Pure."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents.levels import SAME_INCIDENT, SAME_QUESTION
from services.dedup.incidents.need import Need

RECENT_MS = 10 * 60_000
"""Width of the two spans whose cases are compared for growth."""
_MOST = 8
_SAMPLES = 3
_ASKS = common_pb2.CONTACT_KIND_ENQUIRY


class Group:
    """Cases of one incident, in the order in which they came to it."""

    def __init__(self, incident_id: str) -> None:
        self.incident_id = incident_id
        self.by_meaning = False
        """Whether parts of it were put together by what texts mean: they may share no word."""
        self.needs: dict[str, Need] = {}
        self._people: Counter[bytes] = Counter()
        self._known_people = self._withheld = 0
        self._languages: Counter[str] = Counter()
        self._agencies: Counter[str] = Counter()
        self._topics: Counter[str] = Counter()
        self._places: Counter[str] = Counter()
        self._first_ms: list[int] = []
        self._samples: dict[str, Need] = {}
        self._in_danger = self._open = self._asking = 0

    def __len__(self) -> int:
        return len(self.needs)

    @property
    def first_ms(self) -> int:
        """When its first case came."""
        return self._first_ms[0]

    def latest(self, count: int) -> Iterator[Need]:
        """The cases that came last, the latest first."""
        for _, case in zip(range(count), reversed(self.needs), strict=False):
            yield self.needs[case]

    def put(self, need: Need) -> None:
        """Takes a case in, or as it stands now."""
        before = self.needs.get(need.case_id)
        if before is not None:
            self._uncount(before)
        self.needs[need.case_id] = need
        self._count(need, 1)
        insort(self._first_ms, need.first_ms)
        # The first of each language stays while the incident grows.
        sample = self._samples.get(need.language)
        if need.sealed_text and (sample is None or sample.case_id == need.case_id):
            self._samples[need.language] = need

    def take(self, case_id: str) -> None:
        """Lets a case go."""
        need = self.needs.pop(case_id, None)
        if need is None:
            return
        self._uncount(need)
        sample = self._samples.get(need.language)
        if sample is not None and sample.case_id == case_id:
            del self._samples[need.language]
            for other in self.needs.values():
                if other.language == need.language and other.sealed_text:
                    self._samples[need.language] = other
                    break

    def agencies(self) -> set[str]:
        """The agencies of its cases that are known."""
        return {agency for agency, cases in self._agencies.items() if cases and agency}

    def stated(self, question_share: float) -> incidents_pb2.Incident:
        """The incident as it is stated to others."""
        times = self._first_ms
        last = times[-1]
        recent = len(times) - bisect_right(times, last - RECENT_MS)
        longer = len(times) - bisect_right(times, last - 2 * RECENT_MS)
        asked = self._asking >= question_share * len(times)
        return incidents_pb2.Incident(
            incident_id=self.incident_id,
            level=SAME_QUESTION if asked else SAME_INCIDENT,
            agency=_most(self._agencies),
            topic=_most(self._topics),
            cases=len(times),
            people=self._known_people + self._withheld,
            life_safety=self._in_danger,
            open=self._open,
            drill=any(need.drill for need in self.latest(1)),
            first_ms=times[0],
            last_ms=last,
            recent=recent,
            before=longer - recent,
            languages=_counts(self._languages),
            agencies=_counts(self._agencies),
            topics=_counts(self._topics)[:_MOST],
            places=_counts(self._places)[:_MOST],
            samples=self._sampled(),
        )

    def _sampled(self) -> list[incidents_pb2.SealedSample]:
        spoken = [one.value for one in _counts(self._languages) if one.value in self._samples]
        return [
            incidents_pb2.SealedSample(
                case_id=self._samples[language].case_id,
                language=language,
                sealed_text=self._samples[language].sealed_text,
                agency=self._samples[language].agency,
            )
            for language in spoken[:_SAMPLES]
        ]

    def _uncount(self, need: Need) -> None:
        self._count(need, -1)
        del self._first_ms[bisect_left(self._first_ms, need.first_ms)]

    def _count(self, need: Need, by: int) -> None:
        if need.person:
            # Counted as they come and go: an incident may be of thousands, and is stated each time.
            before = self._people[need.person]
            self._people[need.person] = before + by
            self._known_people += (before + by > 0) - (before > 0)
            if before + by <= 0:
                del self._people[need.person]
        else:
            self._withheld += by
        self._languages[need.language] += by
        self._agencies[need.agency] += by
        self._topics[need.topic] += by
        for place in need.places:
            self._places[place] += by
        self._in_danger += by * need.life_safety
        self._open += by * need.open
        self._asking += by * (need.kind == _ASKS)


def _counts(of: Counter[str]) -> list[incidents_pb2.CaseCount]:
    ranked = sorted((-cases, value) for value, cases in of.items() if cases > 0 and value)
    return [incidents_pb2.CaseCount(value=value, cases=-cases) for cases, value in ranked]


def _most(of: Counter[str]) -> str:
    counted = _counts(of)
    return counted[0].value if counted else ""
