"""What speaks for and against two cases of two people being one event, one need or one question.

The facts that learnt trees look at (`levels`): words and sounds in common by their rarity, places
above all (the same trouble elsewhere is another incident), references, topic, time between them.
Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log1p, sqrt

from mawja.common.v1 import common_pb2

from services.dedup import words
from services.dedup.incidents import need as needs
from services.dedup.incidents.need import Need
from services.dedup.incidents.ordinary import Ordinary
from services.dedup.incidents.places import Gazetteer
from services.dedup.signs import STEPS
from services.dedup.words import CODE

FACTS = (
    "always",
    "words_alike",
    "rarest_word",
    "second_word",
    "third_word",
    "sounds_alike",
    "rarest_sound",
    "second_sound",
    "third_sound",
    "same_code",
    "other_code",
    "same_topic",
    "same_agency",
    "like_trouble",
    "apart",
    "same_person",
    "both_ask",
    "one_asks",
    "both_in_danger",
    "same_language",
    "same_district",
    "same_city",
    "city_and_district",
    "one_names_no_place",
    "neither_names_a_place",
    "other_district",
    "other_city",
)
"""Their names, in the order of `facts`."""
_RELATION = {name: tuple(float(name == other) for other in FACTS[-7:]) for name in FACTS[-7:]}
ENOUGH = 1.5
"""Rarity that the words of a case must have together; a rare one has about 0.8."""
_MINUTE_MS = 60_000
_ASKS = common_pb2.CONTACT_KIND_ENQUIRY
_KEPT = 16_384


@dataclass(frozen=True, slots=True)
class Said:
    """A case's words and sounds with their rarity, and the sums of those."""

    words: Mapping[int, float]
    sounds: Mapping[int, float]
    codes: frozenset[int]
    all_words: float
    all_sounds: float


@dataclass(frozen=True, slots=True)
class Common:
    """What two cases have in common: the facts, and what the reason in words is made of."""

    facts: tuple[float, ...]
    words: int
    sounds: int
    place: str
    apart_ms: int

    @property
    def reason(self) -> str:
        """In words, without personal data."""
        of = dict(zip(FACTS, self.facts, strict=True))
        return _reason(
            self.words,
            self.sounds,
            self.place,
            bool(of["same_code"]),
            bool(of["same_topic"]),
            self.apart_ms,
        )


class Evidence:
    """Compares cases."""

    def __init__(self, ordinary: Ordinary, gazetteer: Gazetteer) -> None:
        self.ordinary = ordinary
        self._places = gazetteer.places
        self._number_of = gazetteer.number_of
        self._said = lru_cache(_KEPT)(self._weigh)

    def said(self, need: Need) -> Said:
        """What a case says. Rarities are those of when it was first asked."""
        return self._said(need.shape, need.sounds)

    def speaks(self, need: Need) -> bool:
        """Whether a case says enough to be held against others: a greeting or a single word, even
        the same one from everybody, tells of no event."""
        said = self.said(need)
        return said.all_words >= ENOUGH or bool(said.codes)

    def compare(self, one: Need, other: Need) -> Common:
        """The facts about two cases."""
        first, second = self.said(one), self.said(other)
        shared = _rarest(first.words, second.words)
        heard = _rarest(first.sounds, second.sounds)
        same_code = bool(first.codes & second.codes)
        relation, place = self._where(one.places, other.places)
        apart_ms = max(0, needs.apart_ms(one, other))
        asks = (one.kind == _ASKS) + (other.kind == _ASKS)
        same_topic = bool(one.topic) and one.topic == other.topic
        sure = min(one.sure, other.sure)
        facts = (
            1.0,
            sum(shared) / max(1.0, sqrt(first.all_words * second.all_words)),
            *_three(shared),
            sum(heard) / max(1.0, sqrt(first.all_sounds * second.all_sounds)),
            *_three(heard),
            float(same_code),
            float(not same_code and bool(first.codes) and bool(second.codes)),
            sure if same_topic else 0.0,
            sure if one.agency and one.agency == other.agency else 0.0,
            _alike(one.services, other.services),
            log1p(apart_ms / _MINUTE_MS),
            float(bool(one.person) and one.person == other.person),
            float(asks == 2),
            float(asks == 1),
            float(one.life_safety and other.life_safety),
            float(bool(one.language) and one.language == other.language),
            *_RELATION[relation],
        )
        return Common(facts, len(shared), len(heard), place, apart_ms)

    def _weigh(self, shape: bytes, sounds: bytes) -> Said:
        rarity = self.ordinary.rarity
        plain = {h: rarity(h) for h in words.unpack(shape) if not h & CODE}
        heard = {h: rarity(h) for h in words.unpack(sounds)}
        codes = frozenset(h for h in words.unpack(shape) if h & CODE)
        return Said(plain, heard, codes, sum(plain.values()), sum(heard.values()))

    def _where(self, one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, str]:
        """How the places of two cases lie to each other, and a place that both name."""
        if not one or not other:
            return ("neither_names_a_place" if not one and not other else "one_names_no_place"), ""
        inner, others_inner = self._districts(one), self._districts(other)
        for name in one:
            if name in other and name in inner:
                return "same_district", name
        parted = bool(inner and others_inner)
        for name in one:
            if name in other:
                return ("other_district" if parted else "same_city"), name
        if {self._city(name) for name in one} & {self._city(name) for name in other}:
            return ("other_district" if parted else "city_and_district"), ""
        return "other_city", ""

    def _districts(self, names: tuple[str, ...]) -> set[str]:
        return {name for name in names if self._city(name) != name}

    def _city(self, name: str) -> str:
        number = self._number_of.get(name)
        return name if number is None else self._places[number].city or name


def odds(logit: float) -> float:
    """Log-odds as a probability, 0 to 1."""
    return 1 / (1 + exp(-max(-50.0, min(50.0, logit))))


def _alike(one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...]) -> float:
    """How much two distributions of services overlap, 0 to 1 (Bhattacharyya's coefficient)."""
    likely = dict(other)
    shared = sum(sqrt(p * likely[service]) for service, p in one if service in likely)
    if not shared:
        return 0.0
    whole = max(STEPS, sum(p for _, p in one)) * max(STEPS, sum(likely.values()))
    return shared / sqrt(whole)


def _rarest(one: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    return sorted((one[h] for h in one.keys() & other.keys()), reverse=True)


def _three(values: list[float]) -> tuple[float, float, float]:
    first, second, third = (*values[:3], 0.0, 0.0, 0.0)[:3]
    return first, second, third


def _reason(
    shared: int, heard: int, place: str, same_code: bool, same_topic: bool, apart_ms: int
) -> str:
    found = [f"same place ({place})"] if place else []
    if same_code:
        found.append("same reference")
    if same_topic:
        found.append("same topic")
    if shared or not heard:
        found.append(f"{shared} {'word' if shared == 1 else 'words'} in common")
    else:
        found.append(f"{heard} {'sound' if heard == 1 else 'sounds'} in common")
    minutes = apart_ms // _MINUTE_MS
    found.append(f"{minutes} min apart" if minutes < 120 else f"{minutes // 60} h apart")
    return ", ".join(found)
