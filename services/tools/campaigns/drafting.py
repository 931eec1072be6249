"""A plan file from what an alert suggests, which says what is left to fill in. Pure.

What stands in an alert may be anything: texts are written so that they read back letter for letter,
and what is repeated in a comment is one line without marks that move a cursor.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

import yaml
from mawja.broadcast.v1 import alerts_pb2
from mawja.broadcast.v1.alerts_pb2 import AlertName, ReadAlertResponse
from mawja.broadcast.v1.campaigns_pb2 import CampaignText

from services.tools.campaigns.plan import KINDS
from services.tools.campaigns.words import name_of, said, when

_NOT_PLAIN = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What a block of YAML can't hold, or would take for the end of a line."""
_LONGEST = 160
_MOST_PLACES = 20
_KIND = {
    alerts_pb2.ALERT_KIND_UPDATE: "It updates",
    alerts_pb2.ALERT_KIND_CANCEL: "It cancels",
}


def plan_file(alert: ReadAlertResponse, zone: tzinfo | None = None) -> str:
    """The file for an alert without problems; `plan.read` gives the plan back once it is told an
    audience. `zone`: of times; None is the machine's."""
    plan = alert.plan
    gaps: dict[str, list[str]] = {}
    for gap in alert.gaps:
        of = gap.field.removeprefix("plan.").partition(".")[0].partition("[")[0]
        gaps.setdefault(of.removesuffix("_ms"), []).append(gap.rule)
    kind = next(name for name, value in KINDS.items() if value == plan.kind)
    lines = [f"# {line}" for line in about(alert, zone)]

    def field(name: str, *written: str) -> None:
        lines.extend(("", *(f"# TO DO: {rule}" for rule in gaps.pop(name, ()))))
        lines.extend(written)

    field("name", f"name: {_quoted(plan.name)}")
    named = f"# The alert names its agency: {_line(alert.agency)}"
    agency = f"agency: {plan.agency}" if plan.agency else "# agency: left out, the centre itself"
    field("agency", named, agency)
    field("kind", f"kind: {kind}")
    field("drill", f"drill: {str(plan.drill).lower()}")
    gaps.pop("audience", None)
    field(
        "audience",
        "# TO DO: who is meant, which no alert says: the id that `mawja campaign audience`",
        "# printed, here or as --audience.",
        "# audience: 3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44",
    )
    if plan.texts:
        field("texts", "texts:", *_texts(plan.texts))
        field("language", f"language: {_quoted(plan.language)}")
    else:
        for name in ("texts", "language"):
            gaps.pop(name, None)
        field("texts", "# TO DO: what is said: the alert says nothing.", "# texts:", "#   ar:")
        field("language", "# language: ar")
    field("accept_missing", "accept_missing: false")
    field("expires", f"expires: {_moment(plan.expires_ms, zone)}")
    gaps.pop("corrections", None)
    field(
        "corrections",
        "# TO DO: what a recall would say; without it nobody can approve the campaign.",
        "# corrections:",
        *(f"#   {_quoted(text.language)}:" for text in plan.texts),
    )
    for name in list(gaps):
        field(name)
    return "\n".join(lines) + "\n"


def about(alert: ReadAlertResponse, zone: tzinfo | None = None) -> Iterator[str]:
    """What a person should know of the alert, a sentence a line."""
    yield f"From {_named(alert.name, zone)}."
    for reference in alert.references:
        yield f"{_KIND.get(alert.kind, 'It refers to')} {_named(reference, zone)}."
    yield signature(alert)
    own = alert.plan.language
    names = [
        place.names[own if own in place.names else min(place.names)]
        for place in alert.places
        if place.names
    ]
    for name in names[:_MOST_PLACES]:
        yield f"It holds for {_line(name)}."
    if len(names) > _MOST_PLACES:
        yield f"It holds for {len(names) - _MOST_PLACES} places more."
    for remark in alert.remarks:
        where = f"{_line(remark.language)}: " if remark.language else ""
        yield f"Look at it: {where}{remark.remark}."


def signature(alert: ReadAlertResponse) -> str:
    """Who signed the alert, in a sentence."""
    if alert.signature == alerts_pb2.ALERT_SIGNATURE_VALID:
        return f"Signed by {_line(alert.signed_by)}, whom the service trusts."
    return {
        alerts_pb2.ALERT_SIGNATURE_NONE: "Nobody signed it.",
        alerts_pb2.ALERT_SIGNATURE_UNCHECKED: (
            "It is signed, and nobody checked by whom: the service trusts no certificate "
            "(MAWJA_CAP_TRUSTED)."
        ),
        alerts_pb2.ALERT_SIGNATURE_REFUSED: "Its signature is refused: trust no part of it.",
    }.get(alert.signature, "It could not be read so far as to see who signed it.")


def faults(alert: ReadAlertResponse, file: str) -> list[str]:
    """What is wrong with an alert, by line and path."""
    return [
        f"{file}{f', line {one.line}' if one.line else ''}: {_line(one.path)}: {one.rule}"
        for one in alert.problems
    ]


def kind_of(alert: ReadAlertResponse | alerts_pb2.ExportAlertResponse) -> str:
    """E.g. "update"."""
    return name_of(alert, "kind")


def _named(name: AlertName, zone: tzinfo | None) -> str:
    at = when(name.sent_ms, zone)
    return f"alert {_line(name.identifier)} of {_line(name.sender)}, sent {at}"


def _line(text: str) -> str:
    return said(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _moment(at_ms: int, zone: tzinfo | None) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")


def _texts(texts: Iterable[CampaignText]) -> Iterator[str]:
    for text in texts:
        language = _quoted(text.language)
        lines = text.template.split("\n")
        blank = any(line != line.strip() for line in lines) or not (lines[0] and lines[-1])
        if len(lines) == 1 or blank or _NOT_PLAIN.search(text.template):
            yield f"  {language}: {_quoted(text.template)}"
        else:
            yield f"  {language}: |-"
            yield from (f"    {line}" if line else "" for line in lines)


def _quoted(text: str) -> str:
    if re.fullmatch(r"[A-Za-z]{2,3}-[A-Za-z0-9-]+|ar|en", text):
        return text
    written = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return str(written).rstrip("\n")
