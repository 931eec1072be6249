"""What to do better: figures of the log held against limits, by rules that are data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, cast

from services.runtime.errors import ConfigError
from services.runtime.yamls import yaml_of
from services.tools.reports.words import LANGUAGES

WHERE = "findings.yaml"
UNITS = ("share", "seconds", "count", "times")
SOURCES = ("contract", "target", "field", "own")
_FIELDS = {"name", "figure", "unit", "source", "see", "bad", "good", "do"}
_TOLD = ("bad", "good", "do")


@dataclass(frozen=True, slots=True)
class Rule:
    """A figure and its limit: a finding when it is more than `most`, or less than `least`. `bad`,
    `good`, `do`: by language."""

    name: str
    figure: str
    most: float | None
    least: float | None
    unit: str
    source: str
    see: str
    bad: Mapping[str, str]
    good: Mapping[str, str]
    do: Mapping[str, str]

    @property
    def limit(self) -> float:
        """The limit."""
        limit = self.least if self.most is None else self.most
        assert limit is not None
        return limit

    def broken(self, value: float) -> bool:
        """Whether a figure breaks it."""
        return value > self.limit if self.most is not None else value < self.limit


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule and the figure that it was held against."""

    rule: Rule
    value: float


@lru_cache(maxsize=1)
def rules() -> Sequence[Rule]:
    """Those of `findings.yaml`. Raises ConfigError naming the rule and the field."""
    text = files(__package__).joinpath(WHERE).read_text("utf-8")
    return [_rule(one) for one in cast("list[dict[str, Any]]", yaml_of(WHERE, text))]


def _rule(given: Mapping[str, Any]) -> Rule:
    name = given.get("name", "?")
    limits = {"most", "least"} & set(given)
    if set(given) - limits != _FIELDS or len(limits) != 1:
        raise ConfigError(f"{WHERE}: {name}: it needs {', '.join(sorted(_FIELDS))}, most or least")
    if given["unit"] not in UNITS or given["source"] not in SOURCES:
        raise ConfigError(f"{WHERE}: {name}: unit or source is not one of those that there are")
    for field in _TOLD:
        if set(given[field]) != set(LANGUAGES):
            raise ConfigError(f"{WHERE}: {name}: {field} must be in {', '.join(LANGUAGES)}")
    return Rule(**{"most": None, "least": None, **given})


def found(figures: Mapping[str, float | None]) -> tuple[list[Finding], list[Finding], list[Rule]]:
    """What breaks its limit, what keeps it, and the rules for which nothing was measured."""
    broken, kept, unmeasured = list[Finding](), list[Finding](), list[Rule]()
    for rule in rules():
        value = figures[rule.figure]
        if value is None:
            unmeasured.append(rule)
        else:
            (broken if rule.broken(value) else kept).append(Finding(rule, value))
    return broken, kept, unmeasured
