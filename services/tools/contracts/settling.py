"""What is settled with each agency: calls by where they went and why, from the log of decisions.
Pure.

A telephone system may ask for one call again (its first answer was lost): of one contact the last
decision counts. It asks again within seconds, so contacts are remembered for an hour of the log.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mawja.wave.v1.contracts_pb2 import CallDecision, Route, RouteReason, ServiceModel

REMEMBERED_MS = 3600_000


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """What calls are counted by. `period`: e.g. "2026-11-22"; the others in plain words."""

    agency: str
    period: str
    model: str
    version: int
    went: str
    reason: str


_WENT = {
    Route.ROUTE_OURS: "taken",
    Route.ROUTE_HOSTED: "hosted",
    Route.ROUTE_AGENCY: "left to the agency",
}


class Settlement:
    """Counts of calls by row.

    Of decisions of `since_ms` (Unix ms) until before `until_ms` (0: no end); of rehearsals only, or
    never. `period` names the day or hour of a Unix time in milliseconds.
    """

    def __init__(
        self, since_ms: int, until_ms: int, drill: bool, period: Callable[[int], str]
    ) -> None:
        self._since_ms = since_ms
        self._until_ms = until_ms
        self._drill = drill
        self._period = period
        self._counts: Counter[Row] = Counter()
        self._last: dict[int, dict[str, tuple[int, Row | None]]] = {}

    def take(self, partition: int, decision: CallDecision) -> None:
        """Takes up one decision; those of a partition in its order."""
        if decision.drill != self._drill:
            return
        last = self._last.setdefault(partition, {})
        _, before = last.pop(decision.contact_id, (0, None))
        if before is not None:
            self._counts[before] -= 1
        row = self._row(decision)
        if row is not None:
            self._counts[row] += 1
        last[decision.contact_id] = (decision.decided_ms, row)
        while last:
            contact, (decided_ms, _) = next(iter(last.items()))
            if decided_ms > decision.decided_ms - REMEMBERED_MS:
                return
            del last[contact]

    def rows(self) -> list[tuple[Row, int]]:
        """Each row with its calls, in order."""
        return sorted((row, count) for row, count in self._counts.items() if count)

    def _row(self, decision: CallDecision) -> Row | None:
        at = decision.decided_ms
        if at < self._since_ms or (self._until_ms and at >= self._until_ms):
            return None
        return Row(
            agency=decision.agency or "(none)",
            period=self._period(at),
            model=words(ServiceModel.Name(decision.model), "SERVICE_MODEL_", "no contract"),
            version=decision.contract_version,
            went=_WENT.get(decision.route, "unknown"),
            reason=words(RouteReason.Name(decision.reason), "ROUTE_REASON_", "unknown"),
        )


def words(name: str, prefix: str, unspecified: str = "") -> str:
    """An enum's value as people read it: "ROUTE_REASON_AGENCY_FULL" is "agency full"."""
    plain = name.removeprefix(prefix)
    return unspecified if plain == "UNSPECIFIED" else plain.replace("_", " ").lower()
