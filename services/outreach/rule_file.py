"""Reads rules from YAML: one file of all of them, which is right as a whole or refused. Pure.

Every mistake is told at once, with its line and field, at the start of the service and never in the
middle of a wave. Folders of playbooks, of which a wrong one is left out, are in `playbook_file`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import yaml

from services.outreach import calling, doing
from services.outreach.reader import Reader, composed, join, listed, span
from services.outreach.rules import (
    ANYWHERE,
    CHANNELS,
    OF_CALLBACKS,
    OF_MANY,
    CallsBack,
    Event,
    Limits,
    Rule,
    Timing,
    Where,
)
from services.runtime.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CODE = re.compile(r"[a-z0-9-]{1,32}")
_LINE = re.compile(r"\S{1,32}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_TAKES = ("name", "version", "when")
_MAY = ("do", "limits", "instead")


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a rule: `centre`, who writes by language; `on_call`, lists of who is told
    by name; the time zone of hours; `others`: names that `instead` may give; `calls_back`: how many
    a message brings back that does not say so itself."""

    centre: Mapping[str, str]
    zone: ZoneInfo
    others: Collection[str]
    on_call: Mapping[str, tuple[str, ...]]
    calls_back: CallsBack | None = None


def parse(text: str, file: str) -> tuple[Rule, ...]:
    """The rules in a file's `text`. Raises ConfigError with a line for every mistake, each naming
    `file`, line and field."""
    root = composed(text, file)
    reader = Reader(file)
    rules: tuple[Rule, ...] = ()
    if root is None:
        reader.problems.append(f"{file}: it is empty; write `centre` and `rules`")
    else:
        rules = _file(reader, root, text, file)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return rules


def on_call(reader: Reader, node: yaml.Node, at: str) -> dict[str, tuple[str, ...]]:
    """Who is told of what a person must take now, by the name of the list, in order."""
    lists: dict[str, tuple[str, ...]] = {}
    for name, value in (reader.mapping(node, at) or {}).items():
        lists[name] = _all(
            reader, value, join(at, name), _LINE, "must be the name of an account, without spaces"
        )
    return lists


def _file(reader: Reader, root: yaml.Node, text: str, file: str) -> tuple[Rule, ...]:
    # What else `callbacks` says is read by `calling`.
    top = reader.fields(root, "", ("centre", "rules"), ("callbacks", "on-call", "calls-back"))
    centre = doing.words(reader, top["centre"], "centre") if "centre" in top else {}
    lists = on_call(reader, top["on-call"], "on-call") if "on-call" in top else {}
    usual = None
    if "calls-back" in top:
        usual = doing.calls_back(reader, top["calls-back"], "calls-back")
    try:
        zone = calling.parse(text, file).zone
    except ConfigError:
        # Told by whoever loads it; hours are not looked at then.
        zone = calling.DEFAULT.zone
    rules: dict[str, Rule] = {}
    for i, node in enumerate(reader.items(top["rules"], "rules") if "rules" in top else ()):
        around = Around(centre, zone, rules, lists, usual)
        found = rule(reader, node, f"rules[{i}]", around, (*DO, *_MAY))
        if found is None:
            continue
        if found.name in rules:
            reader.wrong(node, f"rules[{i}].name", f"{found.name} is the name of an earlier rule")
        rules[found.name] = found
    return tuple(rules.values())


DO = doing.KINDS
"""What a rule may do. In a file of rules message and callback stand in the rule itself too."""


def rule(
    reader: Reader, node: yaml.Node, at: str, around: Around, may: tuple[str, ...] = _MAY
) -> Rule | None:
    """The rule that `node` is; None when it is wrong, which `reader` then knows."""
    before = len(reader.problems)
    fields = reader.fields(node, at, _TAKES, may)
    name = version = None
    instead: str | None = ""
    if "name" in fields:
        name = reader.scalar(
            fields["name"],
            join(at, "name"),
            lambda text: text if NAME.fullmatch(text) else None,
            "must be 1 to 32 lower-case letters, digits and '-', a letter first",
        )
    if "version" in fields:
        version = reader.scalar(
            fields["version"],
            join(at, "version"),
            lambda text: int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else None,
            "must be a whole number from 1",
        )
    when = _When()
    if "when" in fields:
        when = _when(reader, fields["when"], join(at, "when"))
    if "instead" in fields:
        instead = reader.scalar(
            fields["instead"],
            join(at, "instead"),
            lambda text: text if text in around.others else None,
            "must be the name of an earlier rule",
        )
    limits = None
    if "limits" in fields:
        limits = _limits(reader, fields["limits"], join(at, "limits"), around.zone)
    inside, where = fields, at
    if "do" in fields:
        where = join(at, "do")
        inside = reader.fields(fields["do"], where, (), DO)
    done = doing.read(
        reader, inside, where, when.event, around.centre, around.on_call, around.calls_back
    )
    if not any(kind in inside and (kind != "callback" or done.callback) for kind in DO) and fields:
        reader.wrong(node, at or "do", f"does nothing; give it one of {listed(DO)}")
    if len(reader.problems) > before or name is None or version is None or when.event is None:
        return None
    return Rule(
        name,
        version,
        when.event,
        when.channels,
        done.callback,
        done.message,
        instead or "",
        when.where,
        limits,
        when.timing,
        done.hand_over,
        done.announcement,
        done.proposal,
        done.score_ms,
    )


@dataclass(frozen=True, slots=True)
class _When:
    event: Event | None = None
    channels: frozenset[int] | None = None
    where: Where = ANYWHERE
    timing: Timing | None = None


_CONDITIONS = (
    "channels",
    "agencies",
    "lines",
    "languages",
    "life-safety",
    "confidence",
    "people",
    "after",
    "every",
    "times",
)


def _when(reader: Reader, node: yaml.Node, at: str) -> _When:
    fields = reader.fields(node, at, ("event",), _CONDITIONS)
    event = None
    if "event" in fields:
        event = reader.scalar(
            fields["event"],
            f"{at}.event",
            lambda text: Event(text) if text in list(Event) else None,
            f"must be {listed(tuple(Event))}",
        )
    if event is not None:
        _fits(reader, fields, at, event)
    channels = None
    if "channels" in fields:
        found = [
            reader.scalar(
                item, f"{at}.channels[{i}]", CHANNELS.get, f"must be {listed(tuple(CHANNELS))}"
            )
            for i, item in enumerate(reader.items(fields["channels"], f"{at}.channels"))
        ]
        channels = frozenset(channel for channel in found if channel is not None)
    return _When(event, channels, _where(reader, fields, at), _timing(reader, fields, at, event))


def _fits(reader: Reader, fields: Mapping[str, yaml.Node], at: str, event: Event) -> None:
    """Says which conditions don't go with the event."""
    never: tuple[str, ...] = ()
    if event is not Event.WAITING:
        never = ("after", "every", "times")
    if event in OF_CALLBACKS:
        never += ("channels", "confidence")
    if event in OF_MANY:
        never += ("channels", "confidence", "languages")
    else:
        never += ("people",)
    for name in never:
        if name in fields:
            reader.wrong(fields[name], f"{at}.{name}", f"does not go with {event}")


def _where(reader: Reader, fields: Mapping[str, yaml.Node], at: str) -> Where:
    def some(name: str, pattern: "re.Pattern[str]", rule: str) -> frozenset[str] | None:
        if name not in fields:
            return None
        return frozenset(_all(reader, fields[name], f"{at}.{name}", pattern, rule))

    life_safety = confidence = people = None
    if "life-safety" in fields:
        life_safety = reader.scalar(
            fields["life-safety"],
            f"{at}.life-safety",
            lambda text: {"true": True, "false": False}.get(text),
            "must be true or false",
        )
    if "confidence" in fields:
        confidence = reader.scalar(
            fields["confidence"],
            f"{at}.confidence",
            lambda text: float(text) if re.fullmatch(r"0(\.[0-9]{1,3})?|1(\.0)?", text) else None,
            "must be a number from 0 to 1, e.g. 0.7",
        )
    if "people" in fields:
        people = reader.scalar(
            fields["people"], f"{at}.people", _count, "must be a whole number from 1 to 1,000,000"
        )
    return Where(
        some("agencies", _CODE, "must be codes of agencies, e.g. moh"),
        some("lines", _LINE, 'must be lines as they are dialled, e.g. "109"'),
        some("languages", _LANGUAGE, "must be languages of ISO 639, e.g. ur"),
        life_safety,
        confidence or 0.0,
        people or 0,
    )


def _timing(
    reader: Reader, fields: Mapping[str, yaml.Node], at: str, event: Event | None
) -> Timing | None:
    if event is not Event.WAITING:
        return None
    spans: dict[str, int] = {}
    for name in ("after", "every"):
        if name in fields:
            rule = "must be a number and s, m, h or d, e.g. 30m, from 1m to 7d"
            spans[name] = reader.scalar(fields[name], f"{at}.{name}", span, rule) or 0
    if "after" not in fields:
        reader.wrong(fields["event"], f"{at}.after", f"is missing; {event} needs it, e.g. 30m")
    times: int | None = 1
    if "times" in fields:
        times = reader.scalar(
            fields["times"],
            f"{at}.times",
            lambda text: int(text) if re.fullmatch("[1-9]|1[0-9]|20", text) else None,
            "must be a whole number from 1 to 20",
        )
    if (times or 1) > 1 and "every" not in fields:
        reader.wrong(fields["times"], f"{at}.every", "is missing; what comes again needs it")
    return Timing(spans.get("after", 0), spans.get("every", 0), times or 1)


def _limits(reader: Reader, node: yaml.Node, at: str, zone: ZoneInfo) -> Limits:
    fields = reader.fields(node, at, (), ("person", "hours"))
    hours, most, within = None, 0, 0
    if "hours" in fields:
        hours = reader.scalar(
            fields["hours"], f"{at}.hours", _hours, 'must be hours of a day, e.g. "08:00-20:00"'
        )
    if "person" in fields:
        where = f"{at}.person"
        person = reader.fields(fields["person"], where, ("most", "within"))
        if "most" in person:
            rule = "must be a whole number from 1 to 1,000,000"
            most = reader.scalar(person["most"], f"{where}.most", _count, rule) or 0
        if "within" in person:
            rule = "must be a number and s, m, h or d, e.g. 1d, from 1m to 7d"
            within = reader.scalar(person["within"], f"{where}.within", span, rule) or 0
    return Limits(zone, hours, most, within)


def _hours(text: str) -> tuple[int, int] | None:
    matched = _HOURS.fullmatch(text)
    if matched is None:
        return None
    hour, minute, end_hour, end_minute = map(int, matched.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    return (start, end) if start < end <= 24 * 60 else None


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch("[1-9][0-9]{0,6}", text) and int(text) <= 1_000_000 else None


def _all(
    reader: Reader, node: yaml.Node, at: str, pattern: "re.Pattern[str]", rule: str
) -> tuple[str, ...]:
    found = [
        reader.scalar(
            item, f"{at}[{i}]", lambda text: text if pattern.fullmatch(text) else None, rule
        )
        for i, item in enumerate(reader.items(node, at))
    ]
    return tuple(one for one in found if one is not None)
