"""What CAP 1.2 demands of an alert beyond the order and shape of its elements. Pure.

The rules are those of 3.2 and 3.3 that the OASIS schema can't express. What the standard only
recommends (SHOULD) is not refused: an alert may warn of danger, and `draft_of` remarks on it.
"""

import re
from collections.abc import Iterable, Iterator

from services.broadcast.cap.fields import ALERT, leaves
from services.broadcast.cap.model import (
    MAX_AREAS,
    MAX_INFOS,
    Alert,
    Area,
    Circle,
    Info,
    MsgType,
    Point,
    Reference,
    Resource,
    Scope,
)
from services.broadcast.cap.values import DECIMALS, Refused, offset_minutes

_NAME = re.compile(r"[^\s,<&]+")
_OFFSET = re.compile(r"[+-]\d\d:\d\d", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_END_MS = 253_370_764_800_000
"""1 January 9999, UTC."""
_MAX_FEET = 10_000_000.0
_MAX_KM = 50_000.0
_MIN_POINTS = 4
_REFERRING = {MsgType.UPDATE, MsgType.CANCEL, MsgType.ACK, MsgType.ERROR}

Broken = tuple[str, str]
"""A path and the rule that is broken there."""


def check(alert: Alert) -> Iterator[Broken]:
    """Every rule that the alert breaks, with the path of the element."""
    yield from _texts(alert)
    yield from _name("alert/sender", alert.sender)
    yield from _name("alert/identifier", alert.identifier)
    yield from _moment("alert/sent", alert.sent_ms, alert.sent_offset)
    if alert.msg_type in _REFERRING and not alert.references:
        yield "alert/references", f"must name the alerts that this {alert.msg_type} is about"
    for reference in alert.references:
        yield from _reference(reference, alert)
    if alert.scope is Scope.RESTRICTED and not alert.restriction:
        yield "alert/restriction", "must say who may read it, for the scope is Restricted"
    if alert.scope is Scope.PRIVATE and not alert.addresses:
        yield "alert/addresses", "must name who may read it, for the scope is Private"
    yield from _words("alert/addresses", alert.addresses)
    yield from _words("alert/incidents", alert.incidents)
    if len(alert.infos) > MAX_INFOS:
        yield "alert", f"may have at most {MAX_INFOS} info blocks"
    if sum(len(info.areas) for info in alert.infos) > MAX_AREAS:
        yield "alert", f"may have at most {MAX_AREAS} areas"
    for number, info in enumerate(alert.infos, 1):
        yield from _info(f"alert/info[{number}]", info)


def _texts(alert: Alert) -> Iterator[Broken]:
    for path, field, value in leaves(alert, ALERT, "alert"):
        if not isinstance(value, str):
            continue
        if _NOT_XML.search(value):
            yield path, "has a character that XML can't hold (a control character)"
        if not value.strip() and not field.hollow:
            yield path, "must not be blank; leave it out"


def is_name(text: str) -> bool:
    """Whether a sender or an identifier may be called so."""
    return _NAME.fullmatch(text) is not None


def _name(path: str, name: str) -> Iterator[Broken]:
    if not is_name(name):
        yield path, "must not be empty, nor have blanks, commas, < or &"


def _moment(path: str, ms: int, offset: str | None = None) -> Iterator[Broken]:
    if not 0 <= ms < _END_MS or ms % 1000:
        yield path, "must be a whole second between the years 1970 and 9998"
    if offset is not None:
        try:
            if not _OFFSET.fullmatch(offset):
                raise Refused("must have an offset like +04:00; UTC is -00:00")
            offset_minutes(offset)
        except Refused as refused:
            yield path, str(refused)


def _reference(reference: Reference, alert: Alert) -> Iterator[Broken]:
    path = "alert/references"
    yield from _name(path, reference.sender)
    yield from _name(path, reference.identifier)
    yield from _moment(path, reference.sent_ms, reference.offset)
    if (reference.sender, reference.identifier) == (alert.sender, alert.identifier):
        yield path, "must name other alerts, not this one"


def _words(path: str, words: Iterable[str]) -> Iterator[Broken]:
    for word in words:
        if not word.strip() or '"' in word:
            yield path, "must not hold empty words or quotes inside words"
        if _NOT_XML.search(word):
            yield path, "has a character that XML can't hold (a control character)"


def _info(path: str, info: Info) -> Iterator[Broken]:
    if not _LANGUAGE.fullmatch(info.language):
        yield f"{path}/language", "must be a language tag like ar or en-US"
    if not info.categories:
        yield f"{path}/category", "is missing"
    if not info.event:
        yield f"{path}/event", "is missing"
    for name, ms in (
        ("effective", info.effective_ms),
        ("onset", info.onset_ms),
        ("expires", info.expires_ms),
    ):
        if ms is not None:
            yield from _moment(f"{path}/{name}", ms)
    yield from _address(f"{path}/web", info.web)
    for kind, pairs in (("eventCode", info.event_codes), ("parameter", info.parameters)):
        for number, pair in enumerate(pairs, 1):
            if not pair.name:
                yield f"{path}/{kind}[{number}]/valueName", "is missing"
    for number, resource in enumerate(info.resources, 1):
        yield from _resource(f"{path}/resource[{number}]", resource)
    for number, area in enumerate(info.areas, 1):
        yield from _area(f"{path}/area[{number}]", area)


def _address(path: str, uri: str) -> Iterator[Broken]:
    if len(uri.split()) > 1 or uri != uri.strip():
        yield path, "must be one address without blanks"


def _resource(path: str, resource: Resource) -> Iterator[Broken]:
    if not resource.description:
        yield f"{path}/resourceDesc", "is missing"
    if not resource.mime_type:
        yield f"{path}/mimeType", "is missing"
    if resource.size is not None and not 0 <= resource.size < 10**18:
        yield f"{path}/size", "must be the number of bytes, 0 or more"
    yield from _address(f"{path}/uri", resource.uri)


def _area(path: str, area: Area) -> Iterator[Broken]:
    if not area.description:
        yield f"{path}/areaDesc", "is missing"
    for number, polygon in enumerate(area.polygons, 1):
        yield from _polygon(f"{path}/polygon[{number}]", polygon)
    for number, circle in enumerate(area.circles, 1):
        yield from _circle(f"{path}/circle[{number}]", circle)
    for number, pair in enumerate(area.geocodes, 1):
        if not pair.name:
            yield f"{path}/geocode[{number}]/valueName", "is missing"
    for name, feet in (("altitude", area.altitude_ft), ("ceiling", area.ceiling_ft)):
        if feet is not None and not _within(feet, -_MAX_FEET, _MAX_FEET):
            yield f"{path}/{name}", "must be feet above sea level, with at most 9 decimals"
    if area.ceiling_ft is not None and area.altitude_ft is None:
        yield f"{path}/ceiling", "must stand with an altitude only"


def _polygon(path: str, points: tuple[Point, ...]) -> Iterator[Broken]:
    if len(points) < _MIN_POINTS:
        yield path, f"must have at least {_MIN_POINTS} points"
    elif points[0] != points[-1]:
        yield path, "must end at the point where it began"
    if not all(map(_on_earth, points)):
        yield path, "must have latitudes within 90 and longitudes within 180 degrees"


def _circle(path: str, circle: Circle) -> Iterator[Broken]:
    if not _on_earth((circle.latitude, circle.longitude)):
        yield path, "must have a latitude within 90 and a longitude within 180 degrees"
    if not _within(circle.radius_km, 0.0, _MAX_KM):
        yield path, f"must have a radius between 0 and {_MAX_KM:.0f} km"


def _on_earth(point: Point) -> bool:
    return _within(point[0], -90.0, 90.0) and _within(point[1], -180.0, 180.0)


def _within(number: float, low: float, high: float) -> bool:
    return low <= number <= high and number == round(number, DECIMALS)
