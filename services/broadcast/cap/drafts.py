"""What a campaign's draft takes from an alert of CAP 1.2. Pure.

A draft is a proposal: a coordinator reads it, and whatever is odd about the alert is said beside it
as a remark. Whatever isn't an actual alert becomes a drill, so that a test of the alerting chain
can't reach the public by import.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from services.broadcast.cap.model import (
    Alert,
    CapError,
    Certainty,
    Info,
    MsgType,
    Problem,
    Reference,
    Scope,
    Severity,
    Signature,
    Status,
    Urgency,
)
from services.broadcast.cap.places import Place, tidy_tag
from services.broadcast.lanes import BULK, NORMAL, URGENT, Lane
from services.broadcast.segments import TextError, seven_bit_limit, split
from services.broadcast.wording import shown
from services.runtime.smpp_text import Alphabet

MAX_PARTS = 6
"""SMS parts up to which a draft takes the whole text; beyond, it leaves the description out."""
_PHONE_TEXTS = ("CMAMlongtext", "CMAMtext")
"""Parameters in which issuers put the text they wrote for phones (FEMA, IPAWS profile of CAP 1.2:
360 and 90 characters)."""
_IMMINENT = (
    {Urgency.IMMEDIATE, Urgency.EXPECTED},
    {Severity.EXTREME, Severity.SEVERE},
    {Certainty.OBSERVED, Certainty.LIKELY},
)
"""47 CFR 10.400(b): what makes a wireless emergency alert one of imminent threat."""
_ARABIC = re.compile("[\u0600-\u06ff]")
_LETTER = re.compile(r"[^\W\d_]")
_WRAPPED = 40
"""A line at least so long that ends in the middle of a sentence was wrapped, not ended."""
_ENDS = ".!?؟:;؛،۔"
_WORD = re.compile(r"\w+")
_MOST_CHARACTERS = seven_bit_limit(0)
"""No part holds more, so that longer texts need not be cut to be known as long."""
_MARKS = tuple(shown(text, True, Alphabet.GSM7).removesuffix(text) for text in ("a", "ع"))


class Remark(StrEnum):
    """What a coordinator should know of the alert before using the draft."""

    NO_TEXT = "no text"
    NO_EXPIRY = "no expiry"
    EXPIRIES_DIFFER = "expiries differ; the earliest is taken"
    EXPIRED_WHEN_SENT = "expired when it was sent"
    NOT_PUBLIC = "not public"
    EXERCISE_UNNAMED = "exercise without a note"
    SIGNATURE_UNCHECKED = "signature not checked"
    LANGUAGE_DOUBTFUL = "language doubtful"
    SHORTENED = "description left out"
    LONG = "long for SMS"


@dataclass(frozen=True, slots=True)
class DraftText:
    """One language's texts: `text` for SMS, `whole` with all that the alert says."""

    language: str
    headline: str
    text: str
    whole: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A campaign as the alert suggests it. `kind` is Alert, Update or Cancel; the latter two are
    about `references`. `expires_ms` is Unix ms, None when the alert leaves it open."""

    name: str
    agency: str
    drill: bool
    kind: MsgType
    texts: tuple[DraftText, ...]
    expires_ms: int | None
    lane: Lane
    places: tuple[Place, ...]
    references: tuple[Reference, ...]
    source: Reference
    remarks: tuple[Remark, ...]


def draft_of(alert: Alert) -> Draft:
    """The draft. Raises CapError for an acknowledgement or an error, which nobody is told."""
    if alert.msg_type in (MsgType.ACK, MsgType.ERROR):
        raise CapError(
            Problem("alert/msgType", None, f"is {alert.msg_type}: there is nothing to send of it")
        )
    drill = alert.status is not Status.ACTUAL
    blocks = _by_language(alert.infos)
    texts = tuple(_text(language, infos, drill) for language, infos in blocks)
    first = alert.infos[0] if alert.infos else None
    name = next((text.headline for text in texts if text.headline), first.event if first else "")
    agency = next((info.sender_name for info in alert.infos if info.sender_name), alert.sender)
    expiries = [info.expires_ms for info in alert.infos if info.expires_ms is not None]
    return Draft(
        name=name or alert.identifier,
        agency=" ".join(agency.split()),
        drill=drill,
        kind=alert.msg_type,
        texts=texts,
        expires_ms=min(expiries, default=None),
        lane=min(map(_lane, alert.infos), key=(URGENT, NORMAL, BULK).index, default=NORMAL),
        places=_places(alert.infos),
        references=alert.references,
        source=alert.reference(),
        remarks=tuple(_remarks(alert, texts, expiries)),
    )


def _by_language(infos: Iterable[Info]) -> list[tuple[str, list[Info]]]:
    blocks: dict[str, list[Info]] = {}
    for info in infos:
        blocks.setdefault(tidy_tag(info.language), []).append(info)
    return list(blocks.items())


def _remarks(alert: Alert, texts: Sequence[DraftText], expiries: Sequence[int]) -> Iterable[Remark]:
    if not any(text.text for text in texts):
        yield Remark.NO_TEXT
    if not expiries:
        yield Remark.NO_EXPIRY
    elif min(expiries) <= alert.sent_ms:
        yield Remark.EXPIRED_WHEN_SENT
    if len(set(expiries)) > 1:
        yield Remark.EXPIRIES_DIFFER
    if alert.scope is not Scope.PUBLIC:
        yield Remark.NOT_PUBLIC
    if alert.status is Status.EXERCISE and not alert.note:
        yield Remark.EXERCISE_UNNAMED
    if alert.signature is Signature.UNCHECKED:
        yield Remark.SIGNATURE_UNCHECKED


def _lane(info: Info) -> Lane:
    urgency, severity, certainty = _IMMINENT
    if info.urgency in urgency and info.severity in severity and info.certainty in certainty:
        return URGENT
    slow = info.urgency in (Urgency.FUTURE, Urgency.PAST)
    return BULK if slow and info.severity in (Severity.MINOR, Severity.UNKNOWN) else NORMAL


def _text(language: str, infos: Sequence[Info], drill: bool) -> DraftText:
    """The texts of all blocks of a language: a later one adds to the earlier (3.2.2)."""

    def said(texts: Iterable[str]) -> list[str]:
        return [paragraph for text in texts if (paragraph := _plain(text, drill))]

    headlines = said(info.headline for info in infos)
    descriptions = said(info.description for info in infos)
    instructions = said(info.instruction for info in infos)
    whole = _joined([*headlines, *descriptions, *instructions])
    remarks = []
    text = _for_phones(infos, drill) or whole
    if _parts(text) > MAX_PARTS:
        brief = _joined([*(headlines or descriptions[:1]), *instructions])
        if brief != text:
            text = brief
            remarks.append(Remark.SHORTENED)
        if _parts(text) > MAX_PARTS:
            remarks.append(Remark.LONG)
    if language.startswith("en") and _mostly_arabic(whole):
        remarks.append(Remark.LANGUAGE_DOUBTFUL)
    return DraftText(language, next(iter(headlines), ""), text, whole, tuple(remarks))


def _for_phones(infos: Sequence[Info], drill: bool) -> str:
    for name in _PHONE_TEXTS:
        for info in infos:
            for pair in info.parameters:
                if pair.name == name and pair.value.strip():
                    return _plain(pair.value, drill)
    return ""


def _plain(text: str, drill: bool) -> str:
    """Without the alert's own line breaks inside sentences, and without a drill's mark: that is
    put before the text again when it is sent."""
    lines: list[list[str]] = []
    wrapped = False
    for line in text.splitlines():
        words = line.split()
        if wrapped and words:
            lines[-1] += words
        else:
            lines.append(words)
        wrapped = len(" ".join(words)) >= _WRAPPED and words[-1][-1] not in _ENDS
    plain = "\n".join(" ".join(words) for words, _ in groupby(lines)).strip()
    if drill:
        for mark in _MARKS:
            plain = plain.removeprefix(mark)
    return plain


def _joined(paragraphs: Sequence[str]) -> str:
    """One after the other, without what another one says already in the same words."""
    said = [f" {' '.join(_WORD.findall(paragraph.casefold()))} " for paragraph in paragraphs]
    kept: list[int] = []
    for at, words in enumerate(said):
        later = any(other.startswith(words) for other in said[at + 1 :])
        if not later and not any(words in said[earlier] for earlier in kept):
            kept.append(at)
    return "\n".join(paragraphs[at] for at in kept)


def _parts(text: str) -> int:
    if len(text) > MAX_PARTS * _MOST_CHARACTERS:
        return MAX_PARTS + 1
    try:
        return split(text).part_count
    except TextError:
        return MAX_PARTS + 1


def _mostly_arabic(text: str) -> bool:
    return 2 * len(_ARABIC.findall(text)) > len(_LETTER.findall(text)) > 0


def _places(infos: Iterable[Info]) -> tuple[Place, ...]:
    """Each area once: those of the same shape and codes are one under names of its languages."""
    names: dict[object, dict[str, str]] = {}
    places: list[Place] = []
    for info in infos:
        for area in info.areas:
            shape = (area.polygons, area.circles, area.geocodes)
            key = shape if any(shape) else area.description
            if key not in names:
                names[key] = {}
                places.append(Place(names[key], *shape))
            names[key].setdefault(tidy_tag(info.language), " ".join(area.description.split()))
    return tuple(places)
