"""CAP 1.2's elements in the order in which they must stand (3.2, and the OASIS schema). Pure.

Reading and writing both follow these tables, so that neither knows an element that the other
doesn't.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from services.broadcast.cap import values
from services.broadcast.cap.model import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    Pair,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from services.broadcast.cap.values import TEXT, Codec, enum_codec


@dataclass(frozen=True, slots=True)
class Field:
    """An element and the attribute that holds it: a text under `codec`, or a `record` of its own.

    `many`: the attribute is a tuple. `hollow`: it must stand, but may be empty.
    """

    element: str
    attribute: str
    codec: Codec | None = None
    record: "Record | None" = None
    required: bool = False
    many: bool = False
    hollow: bool = False

    def items(self, owner: object) -> tuple[Any, ...]:
        """What is to be written of it, none when it is empty."""
        value = getattr(owner, self.attribute)
        if self.many:
            return tuple(value)
        empty = value is None or value in ("", b"", ())
        return () if empty and not self.hollow else (value,)


@dataclass(frozen=True, slots=True)
class Record:
    """An element with elements inside; `make` builds its value from their attributes."""

    make: Callable[..., Any]
    fields: tuple[Field, ...]


def _alert(sent: tuple[int, str], **other: Any) -> Alert:
    return Alert(sent_ms=sent[0], sent_offset=sent[1], **other)


_PAIR = Record(
    Pair,
    (
        Field("valueName", "name", TEXT, required=True),
        Field("value", "value", TEXT, required=True, hollow=True),
    ),
)
_RESOURCE = Record(
    Resource,
    (
        Field("resourceDesc", "description", TEXT, required=True),
        Field("mimeType", "mime_type", TEXT, required=True),
        Field("size", "size", values.WHOLE),
        Field("uri", "uri", values.WORD),
        Field("derefUri", "content", values.CONTENT),
        Field("digest", "digest", TEXT),
    ),
)
_AREA = Record(
    Area,
    (
        Field("areaDesc", "description", TEXT, required=True),
        Field("polygon", "polygons", values.POLYGON, many=True),
        Field("circle", "circles", values.CIRCLE, many=True),
        Field("geocode", "geocodes", record=_PAIR, many=True),
        Field("altitude", "altitude_ft", values.NUMBER),
        Field("ceiling", "ceiling_ft", values.NUMBER),
    ),
)
_INFO = Record(
    Info,
    (
        Field("language", "language", values.WORD),
        Field("category", "categories", enum_codec(Category), required=True, many=True),
        Field("event", "event", TEXT, required=True),
        Field("responseType", "response_types", enum_codec(ResponseType), many=True),
        Field("urgency", "urgency", enum_codec(Urgency), required=True),
        Field("severity", "severity", enum_codec(Severity), required=True),
        Field("certainty", "certainty", enum_codec(Certainty), required=True),
        Field("audience", "audience", TEXT),
        Field("eventCode", "event_codes", record=_PAIR, many=True),
        Field("effective", "effective_ms", values.UTC_MS),
        Field("onset", "onset_ms", values.UTC_MS),
        Field("expires", "expires_ms", values.UTC_MS),
        Field("senderName", "sender_name", TEXT),
        Field("headline", "headline", TEXT),
        Field("description", "description", TEXT),
        Field("instruction", "instruction", TEXT),
        Field("web", "web", values.WORD),
        Field("contact", "contact", TEXT),
        Field("parameter", "parameters", record=_PAIR, many=True),
        Field("resource", "resources", record=_RESOURCE, many=True),
        Field("area", "areas", record=_AREA, many=True),
    ),
)
ALERT = Record(
    _alert,
    (
        Field("identifier", "identifier", TEXT, required=True),
        Field("sender", "sender", TEXT, required=True),
        Field("sent", "sent", values.MOMENT, required=True),
        Field("status", "status", enum_codec(Status), required=True),
        Field("msgType", "msg_type", enum_codec(MsgType), required=True),
        Field("source", "source", TEXT),
        Field("scope", "scope", enum_codec(Scope), required=True),
        Field("restriction", "restriction", TEXT),
        Field("addresses", "addresses", values.WORDS),
        Field("code", "codes", TEXT, many=True),
        Field("note", "note", TEXT),
        Field("references", "references", values.REFERENCES),
        Field("incidents", "incidents", values.WORDS),
        Field("info", "infos", record=_INFO, many=True),
    ),
)


def path_of(path: str, field: Field, number: int) -> str:
    """Where the `number`-th (from 1) element of a field stands below `path`."""
    return f"{path}/{field.element}[{number}]" if field.many else f"{path}/{field.element}"


def leaves(owner: object, record: Record, path: str) -> Iterator[tuple[str, Field, Any]]:
    """Every value of a record that is written as text, with its path."""
    for field in record.fields:
        for number, item in enumerate(field.items(owner), 1):
            below = path_of(path, field, number)
            if field.record is None:
                yield below, field, item
            else:
                yield from leaves(item, field.record, below)
