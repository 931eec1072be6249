"""Reads the shape of a YAML file that people write; collects every mistake, with line and field.

Other than `runtime.yaml_fields`, which stops at the first mistake: a whole file is mended in one
go. Pure: takes the file's text.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import yaml

from services.runtime.errors import ConfigError
from services.runtime.spans import span_ms

SHORTEST_MS, LONGEST_MS = 60_000, 7 * 86_400_000


def composed(text: str, file: str) -> yaml.Node | None:
    """What `text` is as YAML; None when it is empty. Raises ConfigError naming `file` and line."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(f"{file}:{line} not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None


_T = TypeVar("_T")
FieldNodes = dict[str, yaml.Node]
"""The fields of a mapping by name."""


class Reader:
    """Collects mistakes while the shape of a document is read."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[str] = []

    def wrong(self, node: yaml.Node, field: str, rule: str) -> None:
        self.problems.append(f"{self._file}: line {node.start_mark.line + 1}, {field}: {rule}")

    def mapping(self, node: yaml.Node, field: str) -> FieldNodes | None:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, field, "must be a mapping (name: value)")
            return None
        found: FieldNodes = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name in found:
                self.wrong(key, join(field, name), "stands twice")
            found[name] = value
        return found

    def fields(
        self, node: yaml.Node, field: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> FieldNodes:
        """The fields of a mapping that may stand there; says which are missing or unknown."""
        found = self.mapping(node, field)
        if found is None:
            return {}
        for name in needed:
            if name not in found:
                self.wrong(node, join(field, name), "is missing")
        known = (*needed, *optional)
        for name in found:
            if name not in known:
                key = next(key for key, _ in node.value if getattr(key, "value", "?") == name)
                self.wrong(key, join(field, name), f"is not known; known are {listed(known)}")
        return {name: value for name, value in found.items() if name in known}

    def items(self, node: yaml.Node, field: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.wrong(node, field, "must be a list of at least one")
            return []
        return list(node.value)

    def scalar(
        self, node: yaml.Node, field: str, read: Callable[[str], _T | None], rule: str
    ) -> _T | None:
        value = read(node.value) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            self.wrong(node, field, rule)
        return value


def span(text: str) -> int | None:
    """A length of time in ms, from 1m to 7d; None when it is none."""
    length_ms = span_ms(text) or 0
    return length_ms if SHORTEST_MS <= length_ms <= LONGEST_MS else None


def join(field: str, name: str) -> str:
    """The path of a field within another."""
    return f"{field}.{name}" if field else name


def listed(names: Iterable[str]) -> str:
    """Names for a person to choose from."""
    return ", ".join(names) or "none"
