"""The account that the ledger gives: named buckets, and what does not add up, in sentences."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Contacts:
    """Every accepted contact, in exactly one bucket: accepted = opened + linked + set_aside (in a
    dead letter) + waiting (for dedup)."""

    opened: int = 0
    linked: int = 0
    set_aside: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Messages:
    """Every message asked for, in exactly one bucket: requested = delivered + failed + unknown +
    suppressed + expired + set_aside (in a dead letter) + waiting, and submitted = delivered +
    failed + unknown."""

    requested: int = 0
    submitted: int = 0
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    suppressed: int = 0
    expired: int = 0
    set_aside: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Account:
    """What the ledger found. `problems` is empty when everything adds up; `false_merges` are told
    and are no problem of the account, since a link can be split.

    `lost`: acknowledged, and in no case. `unkept`: acknowledged, and not even in
    intake.contact-accepted.v1. `unacknowledged`: sent, and never acknowledged (refused, or the
    client ended before). `carrier_messages`: messages that the SMS centre says it accepted.
    `dead_letters`: records that any room has set aside and that nobody has given to it again.
    """

    accepted: int = 0
    cases: int = 0
    merged: int = 0
    repeated: int = 0
    callbacks: int = 0
    lost: int = 0
    unkept: int = 0
    unacknowledged: int = 0
    duplicate_cases: int = 0
    false_merges: int = 0
    duplicate_messages: int = 0
    carrier_messages: int = 0
    dead_letters: int = 0
    contacts: Contacts = field(default_factory=Contacts)
    messages: Messages = field(default_factory=Messages)
    problems: list[str] = field(default_factory=list)


class Problems:
    """Sentences with the counts that make them."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, count: int, sentence: str) -> None:
        """`count` things are as the sentence says; none is no problem."""
        if count > 0:
            self.found.append(f"{count:,} {sentence}")


def percentile(ascending: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie (nearest rank); 0 for none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
