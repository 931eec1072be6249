"""Gives a message that waits, or that was refused as a whole, to another carrier of its routes.

Only what no carrier has is ever given here: a message before its claim, and one whose claim was
answered with a refusal of everything. `detours.py` says which carriers; here it is seen whether
they can take this message: its text, cut anew for their wire, and for a campaign's the sender's
name, since the rules were asked about that one.
"""

from collections.abc import Iterable, Sequence

from services.broadcast import segments
from services.broadcast.cutting import cut
from services.broadcast.detours import Shares, detours, lot_of
from services.broadcast.lanes import Waiting
from services.broadcast.routes import CarrierSpec, Route, Routes
from services.runtime import metrics
from services.runtime.errors import Poison
from services.runtime.privacy import Keyring


class Rerouting:
    """Of one partition. `shares` are the sender's."""

    def __init__(self, keyring: Keyring, routes: Routes, shares: Shares) -> None:
        self._keyring = keyring
        self._routes = routes
        self._shares = shares
        declared = [spec.declared for spec in routes.carriers.values()]
        self._alone = {
            name for name, spec in routes.carriers.items() if declared.count(spec.declared) == 1
        }
        self.left = 0
        """How many messages may still be looked up in this round: each is unsealed for it."""

    def settled(self, waiting: Waiting) -> bool:
        """Whether it is known that the message stays where it is, by the shares as they are."""
        return (
            waiting.judged == self._shares.version
            or waiting.carrier in self._alone
            or self._shares.of(waiting.message.lane).get(waiting.carrier, 1.0) >= 1.0
        )

    def better(self, waiting: Waiting) -> str:
        """The carrier that a message which waits should have instead of its own; empty: it stays,
        or cannot be looked up in this round any more."""
        if self.settled(waiting) or self.left <= 0:
            return ""
        self.left -= 1
        name = self._fitting(waiting, self._ways(waiting, waiting.shut))
        if not name:
            waiting.judged = self._shares.version
        else:
            metrics.REROUTED.labels(waiting.carrier, "unwell").inc()
        return name

    def after_refusal(self, waiting: Waiting, *, for_good: bool) -> bool:
        """Whether another carrier may be asked for a message that its own refused as a whole
        (`for_good`: and would again); then it is that carrier's."""
        refused = frozenset({waiting.carrier})
        waiting.tried |= refused
        if for_good:
            waiting.shut |= refused
        ways = self._ways(waiting, waiting.tried)
        if not ways:
            # All have refused it; whoever may have recovered is asked again.
            waiting.tried = waiting.shut | refused
            ways = self._ways(waiting, waiting.tried)
        name = self._fitting(waiting, ways)
        if not name:
            return False
        metrics.REROUTED.labels(waiting.carrier, "refused").inc()
        waiting.carrier = name
        return True

    def _ways(self, waiting: Waiting, tried: frozenset[str]) -> list[str]:
        if waiting.carrier in self._alone:
            return []
        queued = waiting.message
        if waiting.ranks is None:
            waiting.ranks = self._ranks(waiting)
        return detours(
            waiting.ranks,
            waiting.carrier,
            self._shares.of(queued.lane),
            queued.person,
            lot_of(queued.message_id, queued.lane),
            tried=tried,
        )

    def _ranks(self, waiting: Waiting) -> Sequence[Sequence[Route]]:
        queued = waiting.message
        try:
            number = self._keyring.unseal("number", queued.sealed_number)
        except Poison:
            # Its claim will say so.
            return ()
        return self._routes.ways(number, queued.language, queued.drill, queued.person)

    def _fitting(self, waiting: Waiting, ways: Iterable[str]) -> str:
        """The first of `ways` that can take the message, which has its parts there from now on."""
        queued = waiting.message
        sender = self._routes.carriers[waiting.carrier].sender
        for name in ways:
            spec = self._routes.carriers[name]
            if queued.campaign_id and spec.sender != sender:
                continue
            parts = self._parts(waiting, spec)
            if parts:
                queued.parts = parts
                return name
        return ""

    def _parts(self, waiting: Waiting, spec: CarrierSpec) -> int:
        """How many parts it takes at another carrier; 0 when that can't take it."""
        try:
            found = cut(self._keyring, waiting, spec.wire)
        except (Poison, segments.TextError):
            return 0
        return found.parts.part_count
