"""Rules as data: which event of a case asks for which message or callback, and in which words.

A file of rules is read whole and refused whole: every mistake is told at once, with its line and
field, at the start of the service and never in the middle of a wave. Pure: takes the file's text.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import yaml
from mawja.common.v1 import common_pb2

from services.runtime.errors import ConfigError
from services.runtime.knowledge import NEEDED, spoken
from services.runtime.spans import span_ms

SEVERAL = "mul"
"""Language of a text in several languages (ISO 639-2)."""
_SHORTEST_MS, _LONGEST_MS = 60_000, 7 * 86_400_000
# QueueMessage takes 4,096 bytes: enough for two of these in one.
_LONGEST_TEXT = 1_000
_NO_WORDS: Mapping[str, Mapping[str, str]] = {}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_BRACED = re.compile(r"\{[^{}]*\}|[{}]")


class Event(StrEnum):
    """What happened to a case, as far as rules ask."""

    CASE_OPENED = "case-opened"
    CALL_ABANDONED = "call-abandoned"
    QUESTION_ANSWERED = "question-answered"
    QUESTION_UNCLEAR = "question-unclear"


_PLACEHOLDERS: Mapping[Event | None, tuple[str, ...]] = {
    None: ("{centre}", "{case_number}"),
    Event.QUESTION_ANSWERED: ("{centre}", "{case_number}", "{answer}"),
    Event.QUESTION_UNCLEAR: ("{centre}", "{case_number}", "{first}", "{second}"),
}
"""What every text of a rule must have, by event; None: of any other event."""

CHANNELS: Mapping[str, int] = {
    name.removeprefix("CHANNEL_").lower().replace("_", "-"): number
    for name, number in common_pb2.Channel.items()
    if number
}
"""Channels by the names that the file uses, e.g. "sign-language-video"."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a rule writes. `texts` by language, with {case_number} left to fill in, and what comes
    from the knowledge file."""

    expires_ms: int
    texts: Mapping[str, str]

    def render(
        self, language: str, case_number: str, words: Mapping[str, Mapping[str, str]] = _NO_WORDS
    ) -> tuple[str, str]:
        """(language, text) for a person who uses `language`, a BCP 47 tag or empty. `words`: what
        stands for other placeholders (without braces), by language.

        A language without a text, or without one of the words, gets Arabic and English together.
        """
        known = spoken(self.texts, language)
        if not known or any(known not in by_language for by_language in words.values()):
            known = ""
        texts = []
        for one in (known,) if known else NEEDED:
            text = self.texts[one].replace("{case_number}", case_number)
            for name, by_language in words.items():
                text = text.replace(f"{{{name}}}", by_language[one])
            texts.append(text)
        return known or SEVERAL, "\n".join(texts)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `channels` None means any; `name` is also the step of the case. `instead`: the rule
    whose message this one's takes the place of; "" for none."""

    name: str
    version: int
    event: Event
    channels: frozenset[int] | None
    callback: bool
    message: Message | None
    instead: str = ""

    @property
    def label(self) -> str:
        """Name and version, e.g. "acknowledge@1"."""
        return f"{self.name}@{self.version}"

    def applies(self, event: Event, channel: int) -> bool:
        """Whether `event` asks for this rule. `channel`: how the contact came that a question is
        in; of other events the case's first contact."""
        return self.event is event and (self.channels is None or channel in self.channels)


def parse(text: str, file: str) -> tuple[Rule, ...]:
    """The rules in a file's `text`. Raises ConfigError with a line for every mistake, each naming
    `file`, line and field."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(f"{file}:{line} not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None
    reader = _Reader(file)
    rules: tuple[Rule, ...] = ()
    if root is None:
        reader.problems.append(f"{file}: it is empty; write `centre` and `rules`")
    else:
        rules = _file(reader, root)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return rules


_T = TypeVar("_T")
_Fields = dict[str, yaml.Node]


class _Reader:
    """Collects mistakes while the shape of a document is read."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[str] = []

    def wrong(self, node: yaml.Node, field: str, rule: str) -> None:
        self.problems.append(f"{self._file}: line {node.start_mark.line + 1}, {field}: {rule}")

    def mapping(self, node: yaml.Node, field: str) -> _Fields | None:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, field, "must be a mapping (name: value)")
            return None
        found: _Fields = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name in found:
                self.wrong(key, _join(field, name), "stands twice")
            found[name] = value
        return found

    def fields(
        self, node: yaml.Node, field: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> _Fields:
        """The fields of a mapping that may stand there; says which are missing or unknown."""
        found = self.mapping(node, field)
        if found is None:
            return {}
        for name in needed:
            if name not in found:
                self.wrong(node, _join(field, name), "is missing")
        known = (*needed, *optional)
        for name, value in found.items():
            if name not in known:
                self.wrong(value, _join(field, name), f"is not known; known are {_list(known)}")
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


def _file(reader: _Reader, root: yaml.Node) -> tuple[Rule, ...]:
    top = reader.fields(root, "", ("centre", "rules"))
    centre = _words(reader, top["centre"], "centre") if "centre" in top else {}
    rules: dict[str, Rule] = {}
    for i, node in enumerate(reader.items(top["rules"], "rules") if "rules" in top else ()):
        rule = _rule(reader, node, f"rules[{i}]", centre, rules)
        if rule is None:
            continue
        if rule.name in rules:
            reader.wrong(node, f"rules[{i}].name", f"{rule.name} is the name of an earlier rule")
        rules[rule.name] = rule
    return tuple(rules.values())


def _rule(
    reader: _Reader,
    node: yaml.Node,
    at: str,
    centre: Mapping[str, str],
    earlier: Collection[str],
) -> Rule | None:
    before = len(reader.problems)
    fields = reader.fields(
        node, at, ("name", "version", "when"), ("callback", "message", "instead")
    )
    name = version = None
    instead: str | None = ""
    callback: bool | None = False
    event, channels, message = None, None, None
    if "name" in fields:
        name = reader.scalar(
            fields["name"],
            f"{at}.name",
            lambda text: text if _NAME.fullmatch(text) else None,
            "must be 1 to 32 lower-case letters, digits and '-', a letter first",
        )
    if "version" in fields:
        version = reader.scalar(
            fields["version"],
            f"{at}.version",
            lambda text: int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else None,
            "must be a whole number from 1",
        )
    if "when" in fields:
        event, channels = _when(reader, fields["when"], f"{at}.when")
    if "callback" in fields:
        callback = reader.scalar(
            fields["callback"],
            f"{at}.callback",
            lambda text: {"true": True, "false": False}.get(text),
            "must be true or false",
        )
        if callback and event not in (None, Event.CALL_ABANDONED):
            reader.wrong(
                fields["callback"], f"{at}.callback", f"goes only with {Event.CALL_ABANDONED}"
            )
    if "instead" in fields:
        instead = reader.scalar(
            fields["instead"],
            f"{at}.instead",
            lambda text: text if text in earlier else None,
            "must be the name of an earlier rule",
        )
    if "message" in fields:
        asked = _PLACEHOLDERS.get(event, _PLACEHOLDERS[None])
        message = _message(reader, fields["message"], f"{at}.message", centre, asked)
    elif callback is False and fields:
        reader.wrong(node, at, "does nothing; give it a message or callback: true")
    if len(reader.problems) > before or name is None or version is None or event is None:
        return None
    return Rule(name, version, event, channels, bool(callback), message, instead or "")


def _when(reader: _Reader, node: yaml.Node, at: str) -> tuple[Event | None, frozenset[int] | None]:
    fields = reader.fields(node, at, ("event",), ("channels",))
    event = None
    if "event" in fields:
        event = reader.scalar(
            fields["event"],
            f"{at}.event",
            lambda text: Event(text) if text in list(Event) else None,
            f"must be {_list(tuple(Event))}",
        )
    if "channels" not in fields:
        return event, None
    found = [
        reader.scalar(
            item, f"{at}.channels[{i}]", CHANNELS.get, f"must be {_list(tuple(CHANNELS))}"
        )
        for i, item in enumerate(reader.items(fields["channels"], f"{at}.channels"))
    ]
    return event, frozenset(channel for channel in found if channel is not None)


def _message(
    reader: _Reader,
    node: yaml.Node,
    at: str,
    centre: Mapping[str, str],
    placeholders: tuple[str, ...],
) -> Message | None:
    fields = reader.fields(node, at, ("expires", "texts"))
    expires_ms = None
    texts: dict[str, str] = {}
    if "expires" in fields:
        expires_ms = reader.scalar(
            fields["expires"],
            f"{at}.expires",
            _duration_ms,
            "must be a number and s, m, h or d, e.g. 30m, from 1m to 7d",
        )
    if "texts" in fields:
        texts = _words(reader, fields["texts"], f"{at}.texts", placeholders, centre)
    return Message(expires_ms, texts) if expires_ms is not None else None


def _words(
    reader: _Reader,
    node: yaml.Node,
    at: str,
    placeholders: tuple[str, ...] = (),
    centre: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Texts by language, each with every one of `placeholders` and no other; {centre} filled in."""
    found = reader.mapping(node, at)
    if found is None:
        return {}
    for language in NEEDED:
        if language not in found:
            reader.wrong(node, f"{at}.{language}", "is missing")
    words: dict[str, str] = {}
    for language, value in found.items():
        field = f"{at}.{language}"
        if not _LANGUAGE.fullmatch(language) or language == SEVERAL:
            reader.wrong(value, field, "must be a language of ISO 639, e.g. ur")
            continue
        text = reader.scalar(
            value,
            field,
            lambda text: text if text.strip() and len(text) <= _LONGEST_TEXT else None,
            f"must be a text of 1 to {_LONGEST_TEXT:,} characters",
        )
        if text is None:
            continue
        braced = _BRACED.findall(text)
        for unknown in sorted(set(braced) - set(placeholders)):
            reader.wrong(
                value, field, f"{unknown} stands for nothing; known are {_list(placeholders)}"
            )
        for needed in placeholders:
            if needed not in braced:
                reader.wrong(value, field, f"{needed} is missing")
        if centre is not None:
            if language not in centre:
                reader.wrong(
                    value, field, f"centre.{language} is missing, so {{centre}} is unknown"
                )
                continue
            text = text.replace("{centre}", centre[language])
        words[language] = text
    return words


def _duration_ms(text: str) -> int | None:
    duration_ms = span_ms(text) or 0
    return duration_ms if _SHORTEST_MS <= duration_ms <= _LONGEST_MS else None


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "none"
