"""Whether a message may go to a person now, later, or not at all. Pure.

An emergency may pass what its legal basis names, and only when the basis is one of the file's, for
this country and kind, and somebody stands for it; otherwise it is judged like any other message.
`obstacle` tells that beforehand, when a campaign is approved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.broadcast.rules.book import Cap, Guard, Kind, Lane, Place, Rules
from services.broadcast.rules.quiet import open_from

NOTHING: frozenset[Guard] = frozenset()


class Reason(StrEnum):
    """Why a message waits or does not go: the closed list."""

    EXPIRED = "expired"
    OPT_OUT = "opt-out"
    KIND_FORBIDDEN = "kind-forbidden"
    SENDER_NOT_REGISTERED = "sender-not-registered"
    SENDER_NOT_MARKED = "sender-not-marked"
    QUIET_HOURS = "quiet-hours"
    FREQUENCY_CAP = "frequency-cap"
    EXPIRES_IN_QUIET_HOURS = "expires-in-quiet-hours"
    EXPIRES_UNDER_CAP = "expires-under-cap"


class Obstacle(StrEnum):
    """Why an override counts for nothing."""

    UNKNOWN_BASIS = "legal-basis-unknown"
    NOT_RECORDED = "legal-basis-not-recorded"
    ANOTHER_KIND = "legal-basis-for-another-kind"
    ANOTHER_COUNTRY = "legal-basis-of-another-country"


@dataclass(frozen=True, slots=True)
class Override:
    """An emergency's claim to pass what protects people: the code of its legal basis, and who
    recorded it (a token subject)."""

    basis: str
    recorded_by: str


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What counts of a message. `expires_ms`: not sent from then on, Unix ms."""

    place: Place
    kind: Kind
    lane: Lane
    agency: str
    sender: str
    expires_ms: int
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message that the person got, at `at_ms` (Unix ms)."""

    at_ms: int
    kind: Kind
    lane: Lane
    agency: str


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What counts of a person; `earlier` in any order, at least as far back as the longest cap."""

    opted_out: bool = False
    earlier: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True)
class Go:
    """It may go now. `overridden`: what stood against it and was passed under its legal basis."""

    overridden: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Defer:
    """It may go from `until_ms` (Unix ms) on, before it expires; it is judged again then."""

    until_ms: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Suppress:
    """It never goes."""

    reason: Reason


Verdict = Go | Defer | Suppress


def judge(rules: Rules, message: MessageFacts, person: PersonFacts, now_ms: int) -> Verdict:
    """What becomes of `message` at `now_ms` (Unix ms)."""
    if message.expires_ms <= now_ms:
        return Suppress(Reason.EXPIRED)
    if reason := forbidden(rules, message):
        return Suppress(reason)
    passes = ignored(rules, message)
    passed = []
    if person.opted_out:
        if Guard.OPT_OUT not in passes:
            return Suppress(Reason.OPT_OUT)
        passed.append(Guard.OPT_OUT)
    from_ms, reason = now_ms, Reason.QUIET_HOURS
    free_ms = _under_caps(rules, message, person, now_ms)
    if free_ms > now_ms:
        if Guard.CAPS in passes:
            passed.append(Guard.CAPS)
        elif free_ms >= message.expires_ms:
            return Suppress(Reason.EXPIRES_UNDER_CAP)
        else:
            from_ms, reason = free_ms, Reason.FREQUENCY_CAP
    open_ms = _outside_quiet_hours(rules, message, from_ms)
    if open_ms != from_ms:
        if Guard.QUIET_HOURS in passes:
            passed.append(Guard.QUIET_HOURS)
        elif open_ms is None or open_ms >= message.expires_ms:
            return Suppress(Reason.EXPIRES_IN_QUIET_HOURS)
        else:
            from_ms = open_ms
    return Go(tuple(passed)) if from_ms == now_ms else Defer(from_ms, reason)


def forbidden(rules: Rules, message: MessageFacts) -> Reason | None:
    """Why nobody of that country may get it at any time; None when nothing is against it. No
    emergency passes this: the networks would refuse it."""
    code, kind = message.place.country.code, message.kind
    if any(code in one.countries and kind in one.kinds for one in rules.forbidden):
        return Reason.KIND_FORBIDDEN
    for mark in rules.marks:
        if code in mark.countries and kind in mark.kinds:
            name = message.sender
            if not (name.startswith(mark.begins) and name.endswith(mark.ends)):
                return Reason.SENDER_NOT_MARKED
    if not message.place.country.unlisted_senders and not any(
        (one.agency, one.name) == (message.agency, message.sender)
        and code in one.countries
        and kind in one.kinds
        for one in rules.senders
    ):
        return Reason.SENDER_NOT_REGISTERED
    return None


def obstacle(rules: Rules, override: Override, kind: Kind, country: str) -> Obstacle | None:
    """Why `override` counts for nothing for messages of `kind` to `country` (its code); None when
    it counts."""
    basis = rules.bases.get(override.basis)
    if basis is None:
        return Obstacle.UNKNOWN_BASIS
    if not override.recorded_by.strip():
        return Obstacle.NOT_RECORDED
    if kind not in basis.kinds:
        return Obstacle.ANOTHER_KIND
    return None if country in basis.countries else Obstacle.ANOTHER_COUNTRY


def ignored(rules: Rules, message: MessageFacts) -> frozenset[Guard]:
    """What the message may pass under its legal basis."""
    override = message.override
    if override is None:
        return NOTHING
    code = message.place.country.code
    if obstacle(rules, override, message.kind, code) is not None:
        return NOTHING
    return rules.bases[override.basis].ignores


def _outside_quiet_hours(rules: Rules, message: MessageFacts, from_ms: int) -> int | None:
    code, kind = message.place.country.code, message.kind
    mine = [one for one in rules.quiet if kind in one.kinds and code in one.countries]
    return open_from(mine, message.place.zones, from_ms) if mine else from_ms


def _under_caps(rules: Rules, message: MessageFacts, person: PersonFacts, now_ms: int) -> int:
    """From when on (Unix ms) no cap is full, if nothing else is sent meanwhile."""
    free_ms = now_ms
    for cap in rules.caps:
        if message.place.country.code in cap.countries and cap.counts(message.kind, message.lane):
            times = _counted(cap, message.agency, person.earlier)
            if len(times) >= cap.most:
                # What was sent then leaves the window then, and fewer than `most` remain.
                free_ms = max(free_ms, times[-cap.most] + cap.window_ms)
    return free_ms


def _counted(cap: Cap, agency: str, earlier: Sequence[Earlier]) -> list[int]:
    return sorted(
        one.at_ms
        for one in earlier
        if cap.counts(one.kind, one.lane) and (not cap.each_agency or one.agency == agency)
    )
