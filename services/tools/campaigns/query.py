"""Whom to find, as people write it: on the command line or in a plan. Pure."""

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import tzinfo

from google.protobuf.message import Message
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, Callers, Subscribers

from services.runtime.errors import ConfigError
from services.runtime.kinds import KINDS, STATES
from services.tools.campaigns.times import past_ms

QUERIES = ("callers", "subscribers")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_CODE = re.compile(r"[a-z0-9-]{1,64}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_LONGEST = 100
Reads = Mapping[str, tuple[str, Callable[[str], object]]]
"""By name: the proto's field, and what reads it or raises ValueError."""


class Wrong(Exception):
    """A field breaks a rule: both in words. `field` is empty when it is about all of them."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)
        self.field = field
        self.rule = rule


def query_of(
    of: str, given: Mapping[str, str], now_ms: int, zone: tzinfo | None = None
) -> AudienceQuery:
    """The query that `given` (field to what stands there) is. `of`: one of QUERIES. `now_ms`: Unix
    time, from which "2h" counts back. `zone`: of times that name none; None is the machine's.

    Raises Wrong.
    """
    if of == "subscribers":
        return AudienceQuery(subscribers=_subscribers(given))
    return AudienceQuery(callers=_callers(given, now_ms, zone))


def written(of: str, text: str, now_ms: int, zone: tzinfo | None = None) -> AudienceQuery:
    """The query that one line is: `agency=water since=2h place="Al Jahra"`. Raises ConfigError."""
    option = f"--{of}"
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"{option}: a quotation mark is not closed") from None
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{option}: {word} is not written as field=value")
        if name in given:
            raise ConfigError(f"{option}: {name} stands twice")
        given[name] = value
    try:
        return query_of(of, given, now_ms, zone)
    except Wrong as wrong:
        raise ConfigError(f"{option}: {wrong}") from None


def _callers(given: Mapping[str, str], now_ms: int, zone: tzinfo | None) -> Callers:
    def past(value: str) -> int:
        return past_ms(value, now_ms, zone)

    reads: Reads = {
        **_OF_SUBSCRIBERS,
        "incident": ("incident_id", _matching(_UUID, "must be the id of an incident")),
        "line": ("line", _text),
        "place": ("place", _text),
        "life_safety": ("life_safety", _flag),
        "kind": ("kind", _one_of(KINDS)),
        "state": ("state", _one_of(STATES)),
        "since": ("since_ms", past),
        "until": ("until_ms", past),
    }
    found = Callers()
    _read(found, "callers", reads, given)
    return found


def _subscribers(given: Mapping[str, str]) -> Subscribers:
    found = Subscribers()
    _read(found, "subscribers", _OF_SUBSCRIBERS, given)
    if not found.agency:
        raise Wrong("", "must say to whose agency they are subscribed: agency")
    return found


def _read(found: Message, of: str, reads: Reads, given: Mapping[str, str]) -> None:
    if not given:
        raise Wrong("", f"must say something of the {of}: {', '.join(reads)}")
    for name, value in given.items():
        if name not in reads:
            raise Wrong(name, f"is not known here; there are {', '.join(reads)}")
        field, read = reads[name]
        try:
            setattr(found, field, read(value))
        except ValueError as error:
            raise Wrong(name, str(error)) from None


def _matching(pattern: "re.Pattern[str]", rule: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(rule)
        return value

    return read


def _text(value: str) -> str:
    text = " ".join(value.split())
    if not text or len(text.encode()) > _LONGEST:
        raise ValueError(f"must be text, at most {_LONGEST} bytes")
    return text


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _one_of(choices: Mapping[str, int]) -> Callable[[str], int]:
    def read(value: str) -> int:
        if value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return choices[value]

    return read


_OF_SUBSCRIBERS: Reads = {
    "agency": ("agency", _matching(_CODE, "must be an agency's code, e.g. water")),
    "topic": ("topic", _matching(_CODE, "must be a topic's code")),
    "language": ("language", _matching(_LANGUAGE, "must be a language, e.g. ar")),
}
