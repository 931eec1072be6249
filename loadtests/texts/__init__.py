"""What people say: topics, and authored texts in seven languages with their variations.

A need fixes the facts (which flight, which street, which number); each contact of the person says
them in another wording. So repeats of one need are near-duplicates or paraphrases that share their
facts, and needs of different people differ in theirs. Arabic has a formal and a Gulf style.
"""

import random
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

FOLDER = Path(__file__).parent

FACTS = ("place", "city", "medicine", "work", "flight", "ref", "date", "n")
_LISTED = {"place": "places", "city": "cities", "medicine": "medicines", "work": "work"}
_ARABIC_INDIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


class TextError(ValueError):
    """A text file that does not fit; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a need is about: who is in charge, on which line, and how it is usually put."""

    id: str
    agency: str
    line: str
    kinds: tuple[str, ...]
    kind_ends: tuple[float, ...]
    life_safety: bool
    placed: bool


@dataclass(frozen=True, slots=True)
class Style:
    """One way of writing a language: `topics` maps a topic to its paraphrases."""

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    again: tuple[str, ...]
    topics: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Language:
    """A language's styles, and the names that its texts mention (`values` by fact)."""

    code: str
    values: Mapping[str, tuple[str, ...]]
    styles: Mapping[str, Style]


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """All topics and languages; `ends` are cumulative shares of the languages, up to 1."""

    topics: Mapping[str, Topic]
    languages: Mapping[str, Language]
    codes: tuple[str, ...]
    ends: tuple[float, ...]

    def language(self, draw: float) -> str:
        """The language at `draw` (0..1) of the population."""
        return self.codes[min(bisect_right(self.ends, draw), len(self.codes) - 1)]

    def facts(self, language: str, rng: random.Random) -> dict[str, str]:
        """The facts of a new need, in words of this language."""
        draw = rng.random
        values = self.languages[language].values
        facts = {k: names[int(draw() * len(names))] for k, names in values.items()}
        facts["flight"] = f"MJ{100 + int(draw() * 900)}"
        facts["ref"] = str(100_000 + int(draw() * 900_000))
        facts["date"] = f"{1 + int(draw() * 28)}/{1 + int(draw() * 12)}"
        facts["n"] = str(3 + int(draw() * 7))
        return facts

    def place(self, language: str, facts: Mapping[str, str]) -> str:
        """The English name of the place in these facts, the same for every language."""
        at = self.languages[language].values["place"].index(facts["place"])
        return self.languages["en"].values["place"][at]

    def say(
        self,
        language: str,
        style: str,
        topic: str,
        facts: Mapping[str, str],
        rng: random.Random,
        *,
        repeat: bool,
        long: bool,
    ) -> str:
        """One wording of a need. `repeat`: the person has asked before and may say so; `long`:
        written with greeting and farewell, as in an e-mail, rather than spoken or typed."""
        draw = rng.random
        said = self.languages[language].styles[style]
        wordings = said.topics[topic]
        text = wordings[int(draw() * len(wordings))].format_map(facts)
        if repeat and draw() < 0.4:
            text = f"{text} {said.again[int(draw() * len(said.again))]}"
        if long or draw() < 0.3:
            text = f"{said.openings[int(draw() * len(said.openings))]} {text}"
        if long or draw() < 0.25:
            text = f"{text} {said.closings[int(draw() * len(said.closings))]}"
        if style == "gulf" and draw() < 0.2:
            text = text.translate(_ARABIC_INDIC)
        return text


@cache
def phrasebook() -> Phrasebook:
    """The texts that come with the house. Raises `TextError` where a file does not fit."""
    heads = _read("topics.yaml")
    topics = {str(k): _topic(str(k), v) for k, v in heads["topics"].items()}
    shares = heads["languages"]
    total = sum(shares.values())
    languages = {code: _language(code, _read(f"{code}.yaml"), topics) for code in shares}
    for fact in _LISTED:
        if len({len(language.values[fact]) for language in languages.values()}) != 1:
            raise TextError(f"every language needs as many values of {fact} as the others")
    return Phrasebook(
        topics=topics,
        languages=languages,
        codes=tuple(shares),
        ends=tuple(accumulate(s / total for s in shares.values())),
    )


def _read(name: str) -> Any:
    # The safe loader, in C where the wheel has it: fifty kilobytes of text take it 10 ms, not 300.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), loader)  # noqa: S506


def _topic(name: str, data: Mapping[str, Any]) -> Topic:
    kinds: Mapping[str, float] = data["kinds"]
    total = sum(kinds.values())
    return Topic(
        id=name,
        agency=data["agency"],
        line=data["line"],
        kinds=tuple(kinds),
        kind_ends=tuple(accumulate(k / total for k in kinds.values())),
        life_safety=bool(data.get("life_safety", False)),
        placed=bool(data.get("placed", False)),
    )


def _language(code: str, data: Mapping[str, Any], topics: Mapping[str, Topic]) -> Language:
    styles = {}
    for name, style in data["styles"].items():
        where = f"{code}.yaml, style {name}"
        if set(style["topics"]) != set(topics):
            odd = ", ".join(sorted(set(style["topics"]) ^ set(topics)))
            raise TextError(f"{where}: not the topics of topics.yaml: {odd}")
        for topic, wordings in style["topics"].items():
            if len(wordings) < 2:
                raise TextError(f"{where}, {topic}: give at least two wordings")
            for wording in wordings:
                used = {fact for _, fact, _, _ in Formatter().parse(wording) if fact is not None}
                if not used <= set(FACTS):
                    odd = ", ".join(sorted(used - set(FACTS)))
                    raise TextError(f"{where}, {topic}: there is no fact {odd}")
        styles[name] = Style(
            openings=tuple(style["openings"]),
            closings=tuple(style["closings"]),
            again=tuple(style["again"]),
            topics={topic: tuple(wordings) for topic, wordings in style["topics"].items()},
        )
    return Language(code, {f: tuple(data[k]) for f, k in _LISTED.items()}, styles)
