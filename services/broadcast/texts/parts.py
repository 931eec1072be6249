"""How many SMS parts a campaign takes, and what they cost. Pure.

Two answers. Before there is an audience, `estimate` tells the fewest, the usual and the most parts
of a text, from how long its fields are. For given recipients `Count` adds up what each of them
really takes: exact, since it renders and cuts every text as it will be sent, with the mark of a
drill where it is one.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Literal

from services.broadcast.segments import Encoding, TextError, Wire, split
from services.broadcast.texts import direction
from services.broadcast.texts.fields import MAX_VALUE, FieldError
from services.broadcast.texts.ladder import Choice, Ladder, Reason
from services.broadcast.texts.template import Field
from services.broadcast.wording import shown

Letters = Literal["any", "plain", "digits"]
NOT_PLAIN = "`[]{}\\^~|"
"""ASCII that GSM-7 has not, or not in one septet."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long a field's values are, in characters: shortest, typical, longest. `letters` says what
    they are made of: "digits" 0 to 9, "plain" ASCII without `NOT_PLAIN`, or "any" script's."""

    shortest: int
    typical: int
    longest: int
    letters: Letters = "any"

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.typical <= self.longest <= MAX_VALUE:
            raise ValueError(
                f"a field's lengths rise from 0 to {MAX_VALUE}: shortest, typical, longest"
            )


@dataclass(frozen=True, slots=True)
class Span:
    """Parts of one message: with the shortest, the typical and the longest values."""

    shortest: int
    typical: int
    longest: int


def parts_of(text: str, wire: Wire, drill: bool = False) -> int:
    """The parts that `text` takes. Raises segments.TextError for one that can't be sent."""
    return wire.split(shown(text, drill, wire.alphabet, wire.national)).part_count


def estimate(
    choice: Choice, lengths: Mapping[str, Length], wire: Wire, drill: bool = False
) -> Span:
    """The parts of the message of `choice`, with fields of these `lengths`, by the field's name.

    Shortest and typical values of "any" letters are in the text's own. The longest is what no
    message of such fields exceeds, whatever they are written in (but for characters outside the
    basic plane, which count twice): a name in another script takes the whole text to UCS-2, and is
    put between two isolates. Raises ValueError naming a field without a length, and
    segments.TextError.
    """
    for template in choice.texts:
        for place in template.fields:
            if place.name not in lengths:
                raise ValueError(
                    f"say how long {{{place.name}}} is; the text in {template.language} has it"
                )
    shortest = _filled(choice, lengths, _sizes(choice, lengths, "shortest"), wire)
    typical = _filled(choice, lengths, _sizes(choice, lengths, "typical"), wire)
    return Span(
        parts_of(shortest, wire, drill),
        parts_of(typical, wire, drill),
        max(_parts_at_most(choice, lengths, wire, drill)),
    )


@dataclass(slots=True)
class Tally:
    """What messages of one carrier and one text take. `by_parts` counts messages by their parts."""

    messages: int = 0
    parts: int = 0
    by_parts: Counter[int] = field(default_factory=Counter)


class Count:
    """Adds up given recipients one by one; what it holds does not grow with their number.

    `tallies` is by carrier and the languages of the message (two where Arabic and English go
    together), `reasons` counts people by their language and why they get that text, `refused` those
    whose fields do not fit or whose text can't be sent, by language, field ("" for the whole text)
    and rule.
    """

    def __init__(
        self, ladder: Ladder, *, limits: Mapping[str, int] | None = None, drill: bool = False
    ) -> None:
        self.tallies: dict[tuple[str, tuple[str, ...]], Tally] = {}
        self.reasons: Counter[tuple[str, Reason]] = Counter()
        self.refused: Counter[tuple[str, str, str]] = Counter()
        self._ladder = ladder
        self._limits = limits or {}
        self._drill = drill

    def add(self, language: str, values: Mapping[str, str], carrier: str, wire: Wire) -> int:
        """Counts a recipient of `language` whom `carrier` would reach by `wire`; gives the parts of
        the message, 0 for one that was refused."""
        choice = self._ladder.choose(language)
        try:
            parts = parts_of(choice.render(values, wire.holds, self._limits), wire, self._drill)
        except FieldError as error:
            self.refused[error.language, error.field, error.rule] += 1
            return 0
        except TextError as error:
            self.refused["+".join(choice.languages), "", str(error)] += 1
            return 0
        self.reasons[choice.language, choice.reason] += 1
        tally = self.tallies.setdefault((carrier, choice.languages), Tally())
        tally.messages += 1
        tally.parts += parts
        tally.by_parts[parts] += 1
        return parts

    @property
    def parts(self) -> int:
        """Parts of all messages."""
        return sum(tally.parts for tally in self.tallies.values())

    def cost(self, prices: Mapping[str, Decimal]) -> Decimal:
        """The parts of each carrier times its price for one, in the currency of `prices`. Raises
        ValueError naming a carrier that has none."""
        total = Decimal(0)
        for (carrier, _), tally in self.tallies.items():
            if carrier not in prices:
                raise ValueError(f"carrier {carrier} has no price for a part; give one")
            total += tally.parts * prices[carrier]
        return total


def _places(choice: Choice) -> list[Field]:
    return [place for template in choice.texts for place in template.fields]


def _sizes(
    choice: Choice, lengths: Mapping[str, Length], which: Literal["shortest", "typical"]
) -> dict[str, int]:
    """How long a value to take for each field. Where there may be none the default stands for it;
    for the shortest message only if a value of one character is not shorter still."""
    longest = 1 if which == "shortest" else MAX_VALUE
    sizes = {}
    for name in {place.name for place in _places(choice)}:
        defaults = [place.default for place in _places(choice) if place.name == name]
        empty = all(one is not None and len(one) <= longest for one in defaults)
        size = lengths[name].shortest if which == "shortest" else lengths[name].typical
        sizes[name] = size or (0 if empty else 1)
    return sizes


def _filled(
    choice: Choice, lengths: Mapping[str, Length], sizes: Mapping[str, int], wire: Wire
) -> str:
    literals = (
        char
        for template in choice.texts
        for piece in template.pieces
        if isinstance(piece, str)
        for char in piece
    )
    own = next((char for char in literals if char.isalpha() and char <= "\uffff"), "a")
    letters = {"digits": "0", "plain": "a", "any": own}
    values = {name: letters[lengths[name].letters] * size for name, size in sizes.items()}
    return choice.render(values, wire.holds)


def _parts_at_most(
    choice: Choice, lengths: Mapping[str, Length], wire: Wire, drill: bool
) -> Iterator[int]:
    """The parts of the longest messages: with every value, and with defaults instead."""
    any_script = any(lengths[place.name].letters == "any" for place in _places(choice))
    for text, with_isolates in zip(
        _at_most(choice, lengths, isolates=False),
        _at_most(choice, lengths, isolates=True),
        strict=True,
    ):
        if not any_script and wire.holds(text):
            yield parts_of(text, wire, drill)
        else:
            marked = shown(with_isolates, drill, wire.alphabet, wire.national)
            # Of the same characters no alphabet takes more parts than UCS-2.
            yield split(marked, encoding=Encoding.UCS2).part_count


_COMBINATIONS = 64


def _at_most(choice: Choice, lengths: Mapping[str, Length], *, isolates: bool) -> Iterator[str]:
    places = _places(choice)
    options = [_options(place, lengths[place.name], isolates) for place in places]
    if math.prod(map(len, options)) > _COMBINATIONS:
        # Longer than any of them, which is all that is asked of it.
        options = [("".join(some),) for some in options]
    for chosen in product(*options):
        values = iter(chosen)
        yield "\n".join(
            "".join(piece if isinstance(piece, str) else next(values) for piece in template.pieces)
            for template in choice.texts
        )


def _options(place: Field, length: Length, isolates: bool) -> tuple[str, ...]:
    # Capital letters take two septets in the tables of most languages.
    value = ("0" if length.letters == "digits" else "A") * max(1, length.longest)
    other_way = length.letters == "any" or (length.letters == "plain" and place.line == "R")
    if isolates and other_way and not place.isolated:
        value = direction.isolated(value)
    if length.shortest or place.default is None:
        return (value,)
    default = place.default
    if isolates and not place.isolated and direction.needs_isolate(default, place.line):
        default = direction.isolated(default)
    return value, default
