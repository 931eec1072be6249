"""Who wants to hear from an agency, as the table of subscriptions tells it. Pure, of one partition.

A person is subscribed when their latest consent was given after it was last taken back: a list of
old consents that is brought later subscribes nobody who has left since. The table keeps the consent
that was recorded last: where a newer one was recorded before an older one, who left between the two
counts as gone, which is the safe side.
"""

from collections import Counter

from mawja.broadcast.v1.audiences_pb2 import Subscribers, Subscription

from services.broadcast.gathering.callers import DUPLICATE, WITHHELD, Person
from services.broadcast.gathering.query import language_of

UNSUBSCRIBED = "unsubscribed"
_Of = tuple[bytes, str]
"""A person and a topic."""


def key_of(record: Subscription) -> bytes:
    """Under which key a record stands: consents and their taking back apart."""
    what = f"{record.agency}/{record.topic}/{'in' if record.subscribed else 'out'}"
    return record.person + what.encode()


class Subscribed:
    """Finds the subscribers of one partition."""

    def __init__(self, asked: Subscribers) -> None:
        self._asked = asked
        self._consents: dict[_Of, Subscription] = {}
        self._left_ms: dict[_Of, int] = {}

    def take(self, record: Subscription) -> None:
        """Takes up a record of the table, in the order of the log."""
        if record.agency != self._asked.agency or self._asked.topic not in ("", record.topic):
            return
        of = record.person, record.topic
        if not record.subscribed:
            self._left_ms[of] = max(record.recorded_ms, self._left_ms.get(of, 0))
            return
        known = self._consents.get(of)
        if known is None or record.consented_ms >= known.consented_ms:
            # Proof and author are not needed here.
            record.ClearField("sealed_evidence")
            self._consents[of] = record

    def people(self) -> tuple[list[Person], Counter[str]]:
        """They, each once, and how many subscriptions are left out, by reason."""
        left_out = Counter[str]()
        found: dict[bytes, Subscription] = {}
        for of, one in self._consents.items():
            if one.consented_ms <= self._left_ms.get(of, -1):
                left_out[UNSUBSCRIBED] += 1
                continue
            if self._asked.language and language_of(one.language) != language_of(
                self._asked.language
            ):
                continue
            if not one.person or not one.sealed_number:
                left_out[WITHHELD] += 1
                continue
            known = found.get(one.person)
            left_out[DUPLICATE] += known is not None
            if known is None or one.consented_ms >= known.consented_ms:
                found[one.person] = one
        people = [Person(one.person, one.sealed_number, one.language) for one in found.values()]
        return people, +left_out
