"""What may be asked of an audience, and how it is written: the same however it was asked. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, Callers, Subscribers
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile
from mawja.common.v1 import common_pb2

from services.runtime.errors import Violation

_KIND = "CONTACT_KIND_"
_STATE = "CALLER_STATE_"


def problems(query: AudienceQuery, now_ms: int) -> list[Violation]:
    """Every rule that a query breaks beyond those of its proto. `now_ms`: Unix time."""
    return [Violation(f"query.{field}", rule) for field, rule in _problems(query, now_ms)]


def canonical(query: AudienceQuery) -> str:
    """The query in one line, fields by name; what was left out is left out."""
    of = query.WhichOneof("of")
    told = _subscribers(query.subscribers) if of == "subscribers" else _callers(query.callers)
    return f"{of}({', '.join(f'{name}={told[name]}' for name in sorted(told) if told[name])})"


def agency_of(query: AudienceQuery) -> str:
    """Whose people are asked for; empty when it names no agency."""
    if query.WhichOneof("of") == "subscribers":
        return query.subscribers.agency
    return query.callers.agency


def _subscribers(asked: Subscribers) -> dict[str, str]:
    return {
        "agency": asked.agency,
        "topic": asked.topic,
        "language": language_of(asked.language),
    }


def _callers(asked: Callers) -> dict[str, str]:
    return {
        "agency": asked.agency,
        "topic": asked.topic,
        "incident": asked.incident_id.lower(),
        "line": asked.line,
        "place": place_of(asked.place),
        "language": language_of(asked.language),
        "life_safety": "yes" if asked.life_safety else "",
        "kind": _word(common_pb2.ContactKind.Name(asked.kind), _KIND),
        "since": _time(asked.since_ms),
        "until": _time(asked.until_ms),
        "state": _word(audiences_pb2.CallerState.Name(asked.state), _STATE),
    }


def written(audience: Audience, files: Mapping[str, AudienceFile]) -> str:
    """An audience as a query that is the same however it was written: any_of and all_of without
    order, repetition and needless levels. A list stands there as what was asked for it, a file by
    its name and the first 8 letters of its id."""
    of = audience.WhichOneof("of")
    if of is None:
        return "nobody"
    if of == "upload":
        file = files.get(audience.upload)
        if file is None:
            return audience.upload
        return f"{file.query or f'file({file.name})'}#{file.audience_id[:8]}"
    some = [written(one, files) for one in getattr(audience, of).audiences]
    if of == "except":
        return f"except({', '.join([some[0], *sorted(set(some[1:]))])})"
    inner = [
        written(one, files)
        for outer in getattr(audience, of).audiences
        for one in (getattr(outer, of).audiences if outer.WhichOneof("of") == of else [outer])
    ]
    each = sorted(set(inner))
    return each[0] if len(each) == 1 else f"{of}({', '.join(each)})"


def place_of(name: str) -> str:
    """A place's name as it is compared: in any case, with single spaces."""
    return " ".join(name.casefold().split())


def language_of(tag: str) -> str:
    """A BCP 47 tag as it is compared."""
    return tag.lower()


def _problems(query: AudienceQuery, now_ms: int) -> Iterator[tuple[str, str]]:
    if query.WhichOneof("of") is None:
        yield "of", "must say whom to find: callers or subscribers"
        return
    if query.WhichOneof("of") == "subscribers":
        return
    asked = query.callers
    if asked == Callers():
        yield "callers", "must say something of them: agency, topic, incident, line, place, time…"
    if asked.since_ms > now_ms:
        yield "callers.since_ms", "must not be ahead of now"
    if asked.until_ms and asked.until_ms <= asked.since_ms:
        yield "callers.until_ms", "must be after since_ms"


def _word(name: str, prefix: str) -> str:
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def _time(at_ms: int) -> str:
    if not at_ms:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
