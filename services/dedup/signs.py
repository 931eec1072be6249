"""What a text's words are signs of, small enough to be kept for every case. Pure.

All of it is in steps of 1/255, so that a case folded from the log is judged as it was when it was
decided. Services go by a hash of their code: a log outlives the order of a catalogue.
"""

import zlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

STEPS = 255
_MOST_SERVICES = 16
# From which letter on a word is in another script, the highest first: Malayalam, Bengali,
# Devanagari, Arabic; what is below is Latin (1).
_SCRIPTS = (("\u0d00", 16), ("\u0980", 8), ("\u0900", 4), ("\u0600", 2))


def service_hash(code: str) -> int:
    """16 bits that stand for a service."""
    return zlib.crc32(code.encode()) & 0xFFFF


def steps(share: float) -> int:
    """A share of 0 to 1, bounded, in steps of 1/255."""
    return min(STEPS, max(0, round(share * STEPS)))


@dataclass(frozen=True, slots=True)
class Signs:
    """Of one text. `services`: likelihood by hash, of the likeliest. `again`: it goes on about
    something that was told before. `life`: a life is in danger. `words`: content words. `script`:
    one bit for the script that most words are in (`script_of`)."""

    services: dict[int, int] = field(default_factory=dict)
    again: int = 0
    life: int = 0
    enquiry: int = 0
    request: int = 0
    feedback: int = 0
    words: int = 0
    script: int = 0

    def pack(self) -> list[int]:
        """As 32-bit numbers, for the log; empty when there are no signs."""
        if not self.services:
            return []
        return [
            self.again << 24 | self.life << 16 | self.enquiry << 8 | self.request,
            self.script << 16 | self.feedback << 8 | min(self.words, STEPS),
            *(service << 16 | likely for service, likely in self.services.items()),
        ]


NONE = Signs()


def unpack(packed: Sequence[int]) -> Signs:
    """The inverse of `Signs.pack`."""
    if len(packed) < 2:
        return NONE
    first, second, *services = packed
    return Signs(
        {one >> 16: one & STEPS for one in services},
        first >> 24,
        first >> 16 & STEPS,
        first >> 8 & STEPS,
        first & STEPS,
        second >> 8 & STEPS,
        second & STEPS,
        second >> 16 & STEPS,
    )


def script_of(tokens: Sequence[str]) -> int:
    """One bit for the script of most tokens; 0 when there are none."""
    count = Counter(
        next((bit for first, bit in _SCRIPTS if token[0] >= first), 1) for token in tokens
    )
    return count.most_common(1)[0][0] if count else 0


@dataclass(frozen=True, slots=True)
class CaseSigns:
    """Of a case's texts together. `most`, `mean`: likelihood of services by hash. `texts`: how many
    there were; the others are means, but for `life`, which is the most. `scripts`: the bits of all.
    `last`: the likeliest service of the last text, and how likely."""

    texts: int = 0
    most: dict[int, int] = field(default_factory=dict)
    mean: dict[int, int] = field(default_factory=dict)
    life: int = 0
    enquiry: int = 0
    request: int = 0
    feedback: int = 0
    scripts: int = 0
    last: tuple[int, int] = (0, 0)

    def joined(self, signs: Signs) -> "CaseSigns":
        """With a further text's signs."""
        if not signs.services:
            return self
        last = next(iter(signs.services.items()))
        if not self.texts:
            # Most cases have one text only.
            only = dict(sorted(signs.services.items(), key=lambda one: (-one[1], one[0])))
            of_kind = signs.enquiry, signs.request, signs.feedback
            return CaseSigns(1, only, only, signs.life, *of_kind, signs.script, last)
        texts = min(self.texts, STEPS)

        def mean(before: int, now: int) -> int:
            return (before * texts + now + texts // 2) // (texts + 1)

        both = self.most.keys() | signs.services.keys()
        most = {s: max(self.most.get(s, 0), signs.services.get(s, 0)) for s in both}
        kept = sorted(both, key=lambda s: (-most[s], s))[:_MOST_SERVICES]
        return CaseSigns(
            texts + 1,
            {s: most[s] for s in kept},
            {s: mean(self.mean.get(s, 0), signs.services.get(s, 0)) for s in kept},
            max(self.life, signs.life),
            mean(self.enquiry, signs.enquiry),
            mean(self.request, signs.request),
            mean(self.feedback, signs.feedback),
            self.scripts | signs.script,
            last,
        )

    def pack(self) -> bytes:
        """In 12 bytes, and 4 for each service."""
        if not self.texts:
            return b""
        head = [
            min(self.texts, STEPS) << 8 | self.life,
            self.scripts << 24 | self.enquiry << 16 | self.request << 8 | self.feedback,
            self.last[0] << 16 | self.last[1],
        ]
        services = (s << 16 | most << 8 | self.mean[s] for s, most in self.most.items())
        return array("I", [*head, *services]).tobytes()


def unpack_case(packed: bytes) -> CaseSigns:
    """The inverse of `CaseSigns.pack`."""
    if not packed:
        return CaseSigns()
    numbers = array("I")
    numbers.frombytes(packed)
    first, second, last, *services = numbers
    return CaseSigns(
        first >> 8,
        {one >> 16: one >> 8 & STEPS for one in services},
        {one >> 16: one & STEPS for one in services},
        first & STEPS,
        second >> 16 & STEPS,
        second >> 8 & STEPS,
        second & STEPS,
        second >> 24,
        (last >> 16, last & STEPS),
    )
