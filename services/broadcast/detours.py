"""Which way a message goes that its own carrier should not have, or did not take. Pure.

Of the messages that wait for a carrier so many stay as its share is, against the best of the others
that they could take; which ones is a function of the message, so that looking again changes
nothing. The others go to a carrier of equal rank that is well, by weight and person, then to one of
the next rank. A message that was refused goes round the carriers that have not refused it.

A message never moves here on its own: who calls this knows that no carrier has it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from services.broadcast.lanes import URGENT, Lane
from services.broadcast.routes import Route, shared

_NEARLY = 0.5
"""A carrier whose share is this part of the best one's is as good; what is urgent goes nowhere
worse, since it is no probe."""
_DIGITS = 8


class Shares:
    """What each carrier should get now of the messages that it has by its routes: 1 when it is
    well, 0 when it is away. `version` counts the changes."""

    def __init__(self) -> None:
        self.version = 0
        self._usual: Mapping[str, float] = {}
        self._urgent: Mapping[str, float] = {}

    def set(self, usual: Mapping[str, float], urgent: Mapping[str, float]) -> None:
        """The shares as they are; `urgent` for what waits for no bind to be made anew."""
        if (usual, urgent) != (self._usual, self._urgent):
            self.version += 1
            self._usual, self._urgent = usual, urgent

    def of(self, lane: Lane) -> Mapping[str, float]:
        """The shares by carrier, for a lane's messages."""
        return self._urgent if lane == URGENT else self._usual

    def unwell(self, lane: Lane) -> list[str]:
        """The carriers that should not get all."""
        return [carrier for carrier, share in self.of(lane).items() if share < 1.0]


def lot_of(message_id: str, lane: Lane) -> float:
    """Where a message stands among those of a carrier that keeps a part of them, 0 to 1; the low
    ones stay."""
    return _NEARLY if lane == URGENT else int(message_id[:_DIGITS], 16) / 16**_DIGITS


def detours(
    ranks: Sequence[Sequence[Route]],
    carrier: str,
    shares: Mapping[str, float],
    person: bytes,
    lot: float,
    *,
    tried: Collection[str] = (),
) -> list[str]:
    """The carriers that a message at `carrier` should go to instead, the best first; none when it
    stays. `ranks`: its routes; `lot`: by `lot_of`. `tried`: the carriers that have refused it."""
    here = 0.0 if carrier in tried else shares.get(carrier, 0.0)
    # Only to who is better: a message would go in circles else.
    others = [
        [
            replace(route, weight=route.weight * shares[route.carrier])
            for route in rank
            if route.carrier != carrier
            and route.carrier not in tried
            and shares.get(route.carrier, 0.0) > here
        ]
        for rank in ranks
    ]
    best = max((shares[route.carrier] for rank in others for route in rank), default=0.0)
    if best == 0.0 or (here > 0.0 and lot <= here / best):
        return []
    ways = []
    for good in (True, False):
        for rank in others:
            left = [route for route in rank if (shares[route.carrier] >= _NEARLY * best) is good]
            while left:
                ways.append(shared(left, person))
                left = [route for route in left if route.carrier != ways[-1]]
    return ways
