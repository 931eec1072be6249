"""Where everything stands at a moment: every contact and message in one named bucket, with the
reasons, and how long the oldest has been there."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtests.ledger.callbacks import STATES
from loadtests.ledger.ledger import Ledger
from loadtests.ledger.messages import (
    BY_CAMPAIGN,
    BY_HAND,
    BY_HAND_LONG_AGO,
    BY_OUTREACH,
    SET_ASIDE,
    UNKNOWN,
)

CONTACTS = ("opened", "linked", SET_ASIDE, "waiting", "passed over")
_OPEN = ("waiting", "queued", "claimed", "submitted", "unknown")
MESSAGES = (*_OPEN, "delivered", "failed", "suppressed", "expired", SET_ASIDE)
_REASONED = ("unknown", "failed", "suppressed", "expired")
_AGES = {
    60_000: "up to a minute",
    600_000: "up to 10 minutes",
    3_600_000: "up to an hour",
    86_400_000: "up to a day",
}
_OLDER = "longer than a day"


@dataclass(slots=True)
class Bucket:
    """How many are in it, how long the oldest has been there (ms; None where that says nothing),
    and the reasons."""

    count: int = 0
    oldest_ms: int | None = None
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Standing:
    """Where everything stands. `again`: deliveries of contacts that were accepted before.
    `unknown_for`: unknown messages by how long they have been. `unreadable`: records that can't be
    read and that no room has set aside yet."""

    accepted: int = 0
    again: int = 0
    contacts: dict[str, Bucket] = field(default_factory=dict)
    by_outreach: int = 0
    by_hand: int = 0
    for_campaigns: int = 0
    messages: dict[str, Bucket] = field(default_factory=dict)
    unknown_for: dict[str, int] = field(default_factory=dict)
    callbacks: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0

    @property
    def asked_for(self) -> int:
        """How many messages somebody wanted, whoever it was."""
        return self.by_outreach + self.by_hand + self.for_campaigns

    @property
    def adds_up(self) -> bool:
        """Whether every contact and every message is in exactly one bucket."""
        return self.accepted == sum(b.count for b in self.contacts.values()) and (
            self.asked_for == sum(b.count for b in self.messages.values())
        )


def standing(ledger: Ledger, at_ms: int) -> Standing:
    """Where everything that a ledger has heard of stands at `at_ms` (Unix ms)."""
    found = Standing(
        dead_letters=dict(ledger.letters.by_room()),
        unreadable=len(ledger.letters.left_lying()),
    )
    _contacts(found, ledger, at_ms)
    _messages(found, ledger, at_ms)
    states = Counter(ledger.callbacks.state)
    found.callbacks = {name: states[state] for state, name in STATES.items()}
    return found


def _contacts(found: Standing, ledger: Ledger, at_ms: int) -> None:
    book = ledger.contacts
    opened, linked = book.opened_and_linked()
    passed_over = book.passed_over()
    waiting = book.waiting() - passed_over
    found.accepted = book.accepted.count(1)
    found.again = book.again
    found.contacts = {
        "opened": Bucket(opened),
        "linked": Bucket(linked),
        SET_ASIDE: Bucket(len(book.set_aside())),
        "waiting": Bucket(len(waiting), _oldest((book.accepted_ms[n] for n in waiting), at_ms)),
        "passed over": Bucket(
            len(passed_over), _oldest((book.accepted_ms[n] for n in passed_over), at_ms)
        ),
    }


def _messages(found: Standing, ledger: Ledger, at_ms: int) -> None:
    book = ledger.messages
    counts = book.buckets()
    found.messages = {name: Bucket(counts[name]) for name in MESSAGES}
    set_aside = book.set_aside()
    ages: Counter[str] = Counter()
    limits = list(_AGES)
    for number, (state, flags) in enumerate(zip(book.state, book.flags, strict=True)):
        name = book.bucket(state, flags)
        if name is None:
            continue
        if flags & BY_OUTREACH:
            found.by_outreach += 1
        elif flags & (BY_HAND | BY_HAND_LONG_AGO):
            found.by_hand += 1
        else:
            found.for_campaigns += bool(flags & BY_CAMPAIGN)
        bucket = found.messages[name]
        if name in _REASONED:
            reason = book.reasons[book.reason[number]]
            bucket.reasons[reason] = bucket.reasons.get(reason, 0) + 1
        if name in _OPEN and number not in set_aside:
            age_ms = max(0, at_ms - book.since_ms[number])
            bucket.oldest_ms = max(bucket.oldest_ms or 0, age_ms)
            if state == UNKNOWN:
                at = bisect_left(limits, age_ms)
                ages[_AGES[limits[at]] if at < len(limits) else _OLDER] += 1
    found.unknown_for = {name: ages[name] for name in (*_AGES.values(), _OLDER)}


def _oldest(times_ms: Iterable[int], at_ms: int) -> int | None:
    earliest = min(times_ms, default=None)
    return None if earliest is None else max(0, at_ms - earliest)
