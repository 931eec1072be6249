"""Whom to find, as the form has it: people who reached out, or who subscribed. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery, Callers, Subscribers
from mawja.common.v1 import common_pb2

from services.console.campaigns.faults import Faults
from services.console.words import N_
from services.runtime.kinds import KINDS, STATES

FIELDS = (
    "agency",
    "topic",
    "incident_id",
    "line",
    "place",
    "language",
    "kind",
    "state",
    "since",
    "until",
)
_CODE = re.compile(r"[a-z0-9-]{0,64}")
_UUID = re.compile(r"([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?")
_LONGEST_NAME = 200


def name_of(given: Mapping[str, str], faults: Faults) -> str:
    """The list's name."""
    name = " ".join(given.get("name", "").split())
    if not name:
        faults.add("name", N_("Give it a name."))
    elif len(name.encode()) > _LONGEST_NAME:
        faults.add("name", N_("It is too long: at most {most} bytes."), most=_LONGEST_NAME)
    return name


def callers(given: Mapping[str, str], zone: tzinfo, faults: Faults) -> AudienceQuery:
    """People who reached out. `given`: FIELDS and `life_safety`, what is empty means any."""
    found = Callers()
    for field, pattern in (
        ("agency", _CODE),
        ("topic", _CODE),
        ("incident_id", _UUID),
        ("language", _LANGUAGE),
    ):
        setattr(found, field, _matching(given, field, pattern, faults))
    found.line = given.get("line", "").strip()[:64]
    found.place = " ".join(given.get("place", "").split())[:100]
    found.life_safety = "life_safety" in given
    found.kind = KINDS.get(given.get("kind", ""), common_pb2.CONTACT_KIND_UNSPECIFIED)
    found.state = STATES.get(given.get("state", ""), audiences_pb2.CALLER_STATE_UNSPECIFIED)
    for field in ("since", "until"):
        setattr(found, f"{field}_ms", _time(given, field, zone, faults))
    if found.since_ms and found.until_ms and found.until_ms <= found.since_ms:
        faults.add("until", N_("It must be after the beginning."))
    if not faults and found == Callers():
        faults.add("", N_("Say something of the people: nobody means all who ever called."))
    return AudienceQuery(callers=found)


def subscribers(given: Mapping[str, str], faults: Faults) -> AudienceQuery:
    """People who want to hear from an agency."""
    found = Subscribers()
    for field, pattern in (("agency", _CODE), ("topic", _CODE), ("language", _LANGUAGE)):
        setattr(found, field, _matching(given, field, pattern, faults))
    if not found.agency and "agency" not in faults:
        faults.add("agency", N_("Say to whose agency they are subscribed."))
    return AudienceQuery(subscribers=found)


def field_of(service_field: str) -> str:
    """The form's name of a field that the service names; "" when the form has none."""
    last = re.sub(r"^query\.(callers|subscribers)\.", "", service_field)
    last = {"since_ms": "since", "until_ms": "until"}.get(last, last)
    return last if last in FIELDS or last == "name" else ""


def _matching(
    given: Mapping[str, str], field: str, pattern: re.Pattern[str], faults: Faults
) -> str:
    value = given.get(field, "").strip()
    if pattern.fullmatch(value):
        return value
    if field == "incident_id":
        faults.add(field, N_("Give the whole number of the incident, as its page shows it."))
    elif field == "language":
        faults.add(field, N_("Write a language as in ar, en or zh-Hant."))
    else:
        faults.add(field, N_("A code has small letters, digits and - only."))
    return ""


def _time(given: Mapping[str, str], field: str, zone: tzinfo, faults: Faults) -> int:
    value = given.get(field, "")
    if not value:
        return 0
    try:
        at = datetime.strptime(value[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=zone)
    except ValueError:
        faults.add(field, N_("Write a day and an hour."))
        return 0
    return int(at.astimezone(UTC).timestamp() * 1000)
