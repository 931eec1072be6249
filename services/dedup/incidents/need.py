"""A case as incidents see it: who, when, where, and what is said. Pure.

What several contacts of a case say adds up. Sets are kept packed, four bytes a hash.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mawja.dedup.v1 import needs_pb2

from services.dedup import signs, words
from services.dedup.incidents.heard import MOST_PLACES, MOST_SOUNDS
from services.dedup.words import CODE

MOST_SERVICES = 16
NeedStated = needs_pb2.NeedStated


@dataclass(frozen=True, slots=True)
class Need:
    """One case. Times are Unix ms of event time; `sure`: of agency and topic, 0 to 1."""

    case_id: str
    case_number: str
    version: int
    person: bytes
    agency: str
    topic: str
    sure: float
    language: str
    kind: int
    life_safety: bool
    drill: bool
    open: bool
    merged_into: str
    first_ms: int
    last_ms: int
    shape: bytes
    sounds: bytes
    places: tuple[str, ...]
    sealed_text: bytes
    services: tuple[tuple[int, int], ...]
    """Likelihood of services by the hash of their code, in steps of 1/255: the most of any text."""

    @property
    def codes(self) -> frozenset[int]:
        """What names one thing: files, flights, meters."""
        return frozenset(h for h in words.unpack(self.shape) if h & CODE)


def of(stated: NeedStated) -> Need:
    """A case that is stated for the first time."""
    return Need(
        case_id=stated.case_id,
        case_number=stated.case_number,
        version=stated.case_version,
        person=stated.person,
        agency=stated.agency,
        topic=stated.topic,
        sure=stated.topic_confidence,
        language=stated.language,
        kind=stated.kind,
        life_safety=stated.life_safety,
        drill=stated.drill,
        open=not stated.resolved,
        merged_into=stated.merged_into,
        first_ms=stated.event_ms,
        last_ms=stated.event_ms,
        shape=words.pack(words.bounded(stated.shape)),
        sounds=_packed(stated.sounds),
        places=tuple(dict.fromkeys(stated.places))[:MOST_PLACES],
        sealed_text=stated.sealed_text,
        services=_likeliest(signs.unpack(stated.signs).services.items()),
    )


def added(need: Need, stated: NeedStated) -> Need:
    """The case after a further statement. The longest text is the sample: follow-ups are short."""
    fresh = of(stated)
    return replace(
        fresh,
        agency=fresh.agency or need.agency,
        topic=fresh.topic or need.topic,
        sure=fresh.sure if fresh.topic or fresh.agency else need.sure,
        language=need.language or fresh.language,
        kind=need.kind or fresh.kind,
        life_safety=need.life_safety or fresh.life_safety,
        first_ms=min(need.first_ms, fresh.first_ms),
        last_ms=max(need.last_ms, fresh.last_ms),
        shape=words.pack(words.bounded([*words.unpack(need.shape), *stated.shape])),
        sounds=_packed([*words.unpack(need.sounds), *stated.sounds]),
        places=tuple(dict.fromkeys((*need.places, *stated.places)))[:MOST_PLACES],
        sealed_text=max(need.sealed_text, fresh.sealed_text, key=len),
        services=_likeliest((*need.services, *fresh.services)),
    )


def _likeliest(given: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    most: dict[int, int] = {}
    for service, likely in given:
        most[service] = max(likely, most.get(service, 0))
    ranked = sorted(most.items(), key=lambda one: (-one[1], one[0]))
    return tuple(ranked[:MOST_SERVICES])


def says_the_same(before: Need, now: Need) -> bool:
    """Whether nothing changed of what cases are held against each other by."""
    return (
        before.shape == now.shape
        and before.sounds == now.sounds
        and before.places == now.places
        and before.services == now.services
        and (before.agency, before.topic, before.kind) == (now.agency, now.topic, now.kind)
    )


def apart_ms(one: Need, other: Need) -> int:
    """Time between two cases, from the last of the one to the first of the other; below 0 when they
    overlap."""
    return max(one.first_ms - other.last_ms, other.first_ms - one.last_ms)


def outlived(known: Mapping[str, Need], oldest_ms: int, most: int) -> list[str]:
    """The cases last heard of before `oldest_ms`, and of more than `most` others the oldest: a
    tenth more than needed, so that it is rare."""
    gone = [case for case, need in known.items() if need.last_ms < oldest_ms]
    if len(known) - len(gone) <= most:
        return gone
    by_age = sorted(known, key=lambda case: known[case].last_ms)
    return by_age[: len(known) - most * 9 // 10]


def _packed(sounds: Iterable[int]) -> bytes:
    return words.pack(sorted(set(sounds))[:MOST_SOUNDS])
