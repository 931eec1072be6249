"""Reads a YAML file field by field, so that every error names file, line, field and rule. Pure.

For files that people write and a service refuses at its start: a mapping is read with `Fields`,
each field by what it must be, and `finish` finds the one that nobody asked for, which is a misspelt
one.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, TypeVar, cast

import yaml

from services.runtime.errors import ConfigError

_Value = TypeVar("_Value")


def fields_of(text: str, name: str, takes: str) -> "Fields":
    """The mapping that `text` is, the contents of the file called `name`. `takes`: what an empty
    file is told to hold. Raises ConfigError naming the line when it is not YAML or no mapping."""
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}, line {line}: not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{name}: holds a character that YAML does not allow") from None
    if document is None:
        raise ConfigError(f"{name}: is empty; it takes {takes}")
    return Fields(name, "", document)


class Fields:
    """One mapping of the file, read field by field; what is left over is a mistake.

    Every method raises ConfigError naming file, line, field and rule.
    """

    def __init__(self, file: str, where: str, node: yaml.Node) -> None:
        self._file = file
        self._where = where
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{file}, line {_line(node)}: {where or 'the file'} is a mapping")
        self._node = node
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        self._read: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{file}, line {_line(key)}: a field's name is one word")
            if key.value in self._values:
                raise ConfigError(f"{file}, line {_line(key)}: {key.value} stands twice")
            self._values[key.value] = value
            self._lines[key.value] = _line(key)

    def wrong(self, field: str, rule: str) -> ConfigError:
        """The error that names the line, the field and the rule."""
        return ConfigError(f"{self._file}, line {self.line(field)}: {self._path(field)}: {rule}")

    def names(self) -> list[str]:
        """The fields that stand there."""
        return list(self._values)

    def line(self, field: str) -> int:
        """The line of a field, from 1; of the mapping where it is left out."""
        return self._lines.get(field, _line(self._node))

    def node(self, field: str) -> yaml.Node | None:
        """What stands there as it is, for a field that may be written in several ways."""
        return self._take(field)

    def items(self, field: str) -> list[yaml.Node]:
        """A list of at least one."""
        node = self._take(field)
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(field, "must be a list of at least one")
        return cast(list[yaml.Node], node.value)

    def each(self, field: str) -> list["Fields"]:
        """A list of mappings; empty when it is left out or []."""
        node = self._take(field)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(field, "must be a list")
        return [
            Fields(self._file, f"{self._path(field)}[{index}]", one)
            for index, one in enumerate(node.value)
        ]

    def within(self, field: str) -> "Fields":
        """A mapping; an empty one when it is left out."""
        node = self._take(field)
        if node is None:
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], self._node.start_mark)
        return Fields(self._file, self._path(field), node)

    def text(
        self,
        field: str,
        pattern: "re.Pattern[str] | None" = None,
        rule: str = "must be text",
        default: str | None = None,
    ) -> str:
        """A text that `pattern` matches as a whole; without a pattern any but the empty one."""
        return self._scalar(field, rule, default, lambda value: _text(value, pattern))

    def texts(
        self,
        field: str,
        pattern: "re.Pattern[str]",
        rule: str,
        default: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        """A list of at least one text, none of them twice."""
        if default is not None and field not in self._values:
            self._read.add(field)
            return tuple(default)
        found: list[str] = []
        for node in self.items(field):
            value = node.value if isinstance(node, yaml.ScalarNode) else None
            if value is None or not pattern.fullmatch(value):
                raise self.wrong(field, rule)
            if value in found:
                raise self.wrong(field, f"{value} stands twice")
            found.append(value)
        return tuple(found)

    def some_of(
        self, field: str, choices: Sequence[str], default: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """A list of at least one of `choices`, none of them twice."""
        pattern = re.compile("|".join(re.escape(one) for one in choices))
        return self.texts(field, pattern, f"must be a list of {', '.join(choices)}", default)

    def one_of(self, field: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of `choices`."""
        rule = f"must be {' or '.join(choices)}"
        return self._scalar(field, rule, default, lambda v: v if v in choices else None)

    def flag(self, field: str, default: bool | None = None) -> bool:
        """true or false, by these words only."""
        words = {"true": True, "false": False}
        return self._scalar(field, "must be true or false", default, words.get)

    def day(self, field: str) -> date:
        """A day."""

        def read(value: str) -> date | None:
            try:
                return date.fromisoformat(value) if len(value) == 10 else None
            except ValueError:
                return None

        return self._scalar(field, "must be a day, e.g. 2026-11-22", None, read)

    def number(
        self,
        field: str,
        low: float,
        high: float,
        *,
        whole: bool = False,
        default: float | None = None,
    ) -> float:
        """A number from `low` to `high`."""
        kind = "whole number" if whole else "number"
        rule = f"must be a {kind} from {low:g} to {high:g}"

        def read(value: str) -> float | None:
            try:
                number = float(value)
            except ValueError:
                return None
            if not low <= number <= high or (whole and number != int(number)):
                return None
            return number

        return self._scalar(field, rule, default, read)

    def finish(self) -> None:
        """Refuses a field that nobody asked for."""
        for name in self._values:
            if name not in self._read:
                known = ", ".join(sorted(self._read))
                raise self.wrong(name, f"is not known here; there are {known}")

    def _path(self, field: str) -> str:
        return f"{self._where}.{field}" if self._where else field

    def _scalar(
        self,
        field: str,
        rule: str,
        default: _Value | None,
        read: Callable[[str], _Value | None],
    ) -> _Value:
        node = self._take(field)
        if node is None:
            if default is None:
                raise self.wrong(field, f"is missing; it {rule}")
            return default
        value = read(node.value) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            raise self.wrong(field, rule)
        return value

    def _take(self, field: str) -> yaml.Node | None:
        self._read.add(field)
        return self._values.get(field)


def _text(value: str, pattern: "re.Pattern[str] | None") -> str | None:
    if pattern is None:
        return value or None
    return value if pattern.fullmatch(value) else None


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
