"""Reads what a rule does: the section `do` of a playbook. Pure.

Who proposes and announces is not here: those read what stands in a rule from the rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import yaml

from services.outreach.reader import FieldNodes, Reader, join, listed, span
from services.outreach.rules import (
    MAY_WAIT,
    OF_MANY,
    SEVERAL,
    Announcement,
    CallsBack,
    Event,
    HandOver,
    Message,
    Proposal,
)
from services.runtime.knowledge import NEEDED

KINDS = ("callback", "message", "satisfaction", "hand-over", "announcement", "proposal")
"""What can be done."""
_APPROVAL = ("approver", "approved-on")
_SPAN = "must be a number and s, m, h or d, e.g. 30m, from 1m to 7d"
# QueueMessage takes 4,096 bytes: enough for two of these in one.
_LONGEST_TEXT = 1_000
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_BRACED = re.compile(r"\{[^{}]*\}|[{}]")
_PLACEHOLDERS: Mapping[Event | None, tuple[str, ...]] = {
    None: ("{centre}", "{case_number}"),
    Event.QUESTION_ANSWERED: ("{centre}", "{case_number}", "{answer}"),
    Event.QUESTION_UNCLEAR: ("{centre}", "{case_number}", "{first}", "{second}"),
    Event.CALLBACK_PROMISED: ("{centre}", "{case_number}", "{window}"),
    Event.CALLBACK_MOVED: ("{centre}", "{case_number}", "{window}"),
}
"""What every text of a rule must have, by event; None: of any other event."""
_ONLY: Mapping[str, tuple[Event, ...]] = {
    "callback": (Event.CALL_ABANDONED,),
    "satisfaction": (Event.CASE_RESOLVED,),
    "hand-over": (Event.LIFE_SAFETY,),
    "announcement": OF_MANY,
    "proposal": (Event.BURST,),
}
"""With which events something goes only."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a rule does; see `rules.Rule`."""

    callback: bool = False
    message: Message | None = None
    hand_over: HandOver | None = None
    announcement: Announcement | None = None
    proposal: Proposal | None = None
    score_ms: int = 0


def read(
    reader: Reader,
    fields: FieldNodes,
    at: str,
    event: Event | None,
    centre: Mapping[str, str],
    on_call: Mapping[str, tuple[str, ...]],
    usual: CallsBack | None,
) -> Done:
    """What stands in `fields`, of a rule that asks for `event`. `usual`: how many a message brings
    back that does not say so itself."""
    callback: bool | None = False
    if "callback" in fields:
        callback = reader.scalar(
            fields["callback"],
            join(at, "callback"),
            lambda text: {"true": True, "false": False}.get(text),
            "must be true or false",
        )
    for kind, events in _ONLY.items():
        asked = callback if kind == "callback" else kind in fields
        if asked and event is not None and event not in events:
            reader.wrong(fields[kind], join(at, kind), f"goes only with {' or '.join(events)}")
    message = hand_over = announcement = proposal = None
    if "message" in fields:
        where = join(at, "message")
        if event in OF_MANY:
            reader.wrong(fields["message"], where, f"does not go with {event}: to whom?")
        needed = _PLACEHOLDERS.get(event, _PLACEHOLDERS[None])
        message = _message(reader, fields["message"], where, event, centre, needed, usual)
    score_ms = 0
    if "satisfaction" in fields:
        where = join(at, "satisfaction")
        score_ms = _span_of(reader, fields["satisfaction"], where, "within")
        if "message" not in fields:
            reader.wrong(fields["satisfaction"], where, "needs a message that asks")
    if "hand-over" in fields:
        hand_over = _hand_over(reader, fields["hand-over"], join(at, "hand-over"), on_call)
    if "announcement" in fields:
        announcement = _announcement(
            reader, fields["announcement"], join(at, "announcement"), centre
        )
    if "proposal" in fields:
        lasts_ms = _span_of(reader, fields["proposal"], join(at, "proposal"), "lasts")
        proposal = Proposal(lasts_ms)
    return Done(bool(callback), message, hand_over, announcement, proposal, score_ms)


def _span_of(reader: Reader, node: yaml.Node, at: str, name: str) -> int:
    fields = reader.fields(node, at, (name,))
    if name not in fields:
        return 0
    return reader.scalar(fields[name], f"{at}.{name}", span, _SPAN) or 0


def _hand_over(
    reader: Reader, node: yaml.Node, at: str, on_call: Mapping[str, tuple[str, ...]]
) -> HandOver | None:
    fields = reader.fields(node, at, ("to", "every"))
    to = every_ms = None
    if "to" in fields:
        known = f"must be a list of on-call: {listed(tuple(on_call))}"
        to = reader.scalar(fields["to"], f"{at}.to", on_call.get, known)
    if "every" in fields:
        every_ms = reader.scalar(fields["every"], f"{at}.every", span, _SPAN)
    return HandOver(to, every_ms) if to and every_ms else None


def _announcement(
    reader: Reader, node: yaml.Node, at: str, centre: Mapping[str, str]
) -> Announcement | None:
    fields = reader.fields(node, at, ("lasts", "texts"), ("lines", *_APPROVAL))
    lasts_ms, lines, texts = 0, [], {}
    approver, approved_ms = _approval(reader, fields, at)
    if "lasts" in fields:
        lasts_ms = reader.scalar(fields["lasts"], f"{at}.lasts", span, _SPAN) or 0
    if "lines" in fields:
        lines = [
            reader.scalar(
                item,
                f"{at}.lines[{i}]",
                lambda text: text if re.fullmatch(r"\S{1,32}", text) else None,
                'must be a line as it is dialled, e.g. "109"',
            )
            for i, item in enumerate(reader.items(fields["lines"], f"{at}.lines"))
        ]
    if "texts" in fields:
        texts = words(reader, fields["texts"], f"{at}.texts", ("{centre}",), centre)
    plays_on = frozenset(line for line in lines if line)
    return Announcement(lasts_ms, plays_on, texts, approver, approved_ms)


def _approval(reader: Reader, fields: FieldNodes, at: str) -> tuple[str, int]:
    """(staff id, since when in Unix ms); ("", 0) where nobody approved it."""
    given = [name for name in _APPROVAL if name in fields]
    if len(given) == 1:
        reader.wrong(
            fields[given[0]], f"{at}.{given[0]}", "goes with approver and approved-on only"
        )
    if len(given) < len(_APPROVAL):
        return "", 0
    approver = reader.scalar(
        fields["approver"],
        f"{at}.approver",
        lambda text: text if re.fullmatch(r"\S{1,64}", text) else None,
        "must be a staff id",
    )
    rule = "must be a date, e.g. 2026-11-22"
    approved_ms = reader.scalar(fields["approved-on"], f"{at}.approved-on", _day_ms, rule)
    return approver or "", approved_ms or 0


def _day_ms(text: str) -> int | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _message(
    reader: Reader,
    node: yaml.Node,
    at: str,
    event: Event | None,
    centre: Mapping[str, str],
    placeholders: tuple[str, ...],
    usual: CallsBack | None,
) -> Message | None:
    fields = reader.fields(node, at, ("expires", "texts"), ("calls-back",))
    expires_ms, brings = None, usual if event in MAY_WAIT else None
    if "calls-back" in fields:
        where = f"{at}.calls-back"
        brings = calls_back(reader, fields["calls-back"], where)
        if event is not None and event not in MAY_WAIT:
            reader.wrong(fields["calls-back"], where, f"does not go with {event}: it never waits")
    texts: dict[str, str] = {}
    if "expires" in fields:
        expires_ms = reader.scalar(fields["expires"], f"{at}.expires", span, _SPAN)
    if "texts" in fields:
        texts = words(reader, fields["texts"], f"{at}.texts", placeholders, centre)
    return Message(expires_ms, texts, brings) if expires_ms is not None else None


def calls_back(reader: Reader, node: yaml.Node, at: str) -> CallsBack | None:
    """How many call because of a message."""
    fields = reader.fields(node, at, ("share", "source"))
    share = source = None
    if "share" in fields:
        rule = "must be a share from 0 to 1, e.g. 0.05"
        share = reader.scalar(fields["share"], f"{at}.share", _share, rule)
    if "source" in fields:
        source = reader.scalar(
            fields["source"],
            f"{at}.source",
            lambda text: text.strip() if 0 < len(text.strip()) <= 200 else None,
            "must say in 1 to 200 characters where the share is from",
        )
    return CallsBack(share, source) if share is not None and source is not None else None


def _share(text: str) -> float | None:
    return float(text) if re.fullmatch(r"0(\.[0-9]{1,4})?|1(\.0)?", text) else None


def words(
    reader: Reader,
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
    texts: dict[str, str] = {}
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
            known = listed(placeholders)
            reader.wrong(value, field, f"{unknown} stands for nothing; known are {known}")
        for needed in placeholders:
            if needed not in braced:
                reader.wrong(value, field, f"{needed} is missing")
        if centre is not None:
            if language not in centre:
                missing = f"centre.{language} is missing, so {{centre}} is unknown"
                reader.wrong(value, field, missing)
                continue
            text = text.replace("{centre}", centre[language])
        texts[language] = text
    return texts
