"""Rules as data: which event of a case asks for what, for whom, and in which words. Pure.

A rule and a playbook are the same: *when* something happens, and these conditions hold, *do* this,
within these limits. What files of them look like is in `rule_file`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.runtime.knowledge import NEEDED, spoken

SEVERAL = "mul"
"""Language of a text in several languages (ISO 639-2)."""
_NO_WORDS: Mapping[str, Mapping[str, str]] = {}


class Event(StrEnum):
    """What happened, as far as rules ask."""

    CASE_OPENED = "case-opened"
    CALL_ABANDONED = "call-abandoned"
    QUESTION_ANSWERED = "question-answered"
    QUESTION_UNCLEAR = "question-unclear"
    CALLBACK_PROMISED = "callback-promised"
    CALLBACK_MOVED = "callback-moved"
    CALLBACK_GIVEN_UP = "callback-given-up"
    CASE_RESOLVED = "case-resolved"
    WAITING = "waiting"
    LIFE_SAFETY = "life-safety"
    BURST = "burst"
    INCIDENT = "incident"


OF_CALLBACKS = (Event.CALLBACK_PROMISED, Event.CALLBACK_MOVED, Event.CALLBACK_GIVEN_UP)
"""What happens to a callback, whatever the case began with."""
OF_MANY = (Event.BURST, Event.INCIDENT)
"""What happens to many people at once, and to no case."""

CHANNELS: Mapping[str, int] = {
    name.removeprefix("CHANNEL_").lower().replace("_", "-"): number
    for name, number in common_pb2.Channel.items()
    if number
}
"""Channels by the names that the file uses, e.g. "sign-language-video"."""


MAY_WAIT = (Event.WAITING, Event.CASE_RESOLVED)
"""Whose messages bring calls back and can wait until agents have room. Every other one saves calls,
or somebody waits for it."""


@dataclass(frozen=True, slots=True)
class CallsBack:
    """`share` (0 to 1) of those who get a message call because of it; `source` says where that is
    from."""

    share: float
    source: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a rule writes. `texts` by language, with {case_number} left to fill in, and what comes
    from the knowledge file. `calls_back`: None when nobody says."""

    expires_ms: int
    texts: Mapping[str, str]
    calls_back: CallsBack | None = None

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
class HandOver:
    """A person has to take it now. `to`: who is told, one after the other, again from the last on;
    `every_ms`: how long each has until the next one is."""

    to: tuple[str, ...]
    every_ms: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the phone system plays, for `lasts_ms`. `lines`: on which; empty: where it happens.
    `texts` by language. `approver`: who answers for it since `approved_ms`; "": nobody, so that it
    is played in rehearsals only."""

    lasts_ms: int
    lines: frozenset[str]
    texts: Mapping[str, str]
    approver: str = ""
    approved_ms: int = 0

    def may_play(self, drill: bool, now_ms: int) -> bool:
        """Whether callers may hear it at that time, by nobody's further word."""
        return drill or (bool(self.approver) and self.approved_ms <= now_ms)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A campaign is proposed to the coordinators, who have `lasts_ms` to decide."""

    lasts_ms: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Of what time asks for: first `after_ms`, then every `every_ms`, `times` in all."""

    after_ms: int
    every_ms: int
    times: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions look at. `channel`: how the contact came; 0: does not matter. `confidence`: 0
    to 1, how sure it is whose case it is. `people`: how many it happens to."""

    channel: int = 0
    agency: str = ""
    line: str = ""
    language: str = ""
    life_safety: bool = False
    confidence: float = 1.0
    people: int = 1


def facts_of(case: dedup.Case, channel: int) -> Facts:
    """The facts of a case, of which a contact came by `channel`."""
    return Facts(
        channel,
        case.agency or case.triage.agency,
        case.line,
        case.language,
        case.life_safety,
        # Whoever named the agency is sure.
        1.0 if case.agency else case.triage.topic_confidence,
    )


@dataclass(frozen=True, slots=True)
class Where:
    """The conditions of a rule; None: any. `languages`: primary subtags. `people`: at least so
    many, of a burst or an incident."""

    agencies: frozenset[str] | None = None
    lines: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    life_safety: bool | None = None
    confidence: float = 0.0
    people: int = 0

    def unmet(self, facts: Facts) -> Iterator[str]:
        """Why it does not hold, in words; nothing when it does."""
        language = facts.language.lower().partition("-")[0]
        for name, value, wanted in (
            ("agency", facts.agency, self.agencies),
            ("line", facts.line, self.lines),
            ("language", language, self.languages),
        ):
            if wanted is not None and value not in wanted:
                yield f"the {name} is {value or 'not known'}, not {' or '.join(sorted(wanted))}"
        if self.life_safety is not None and facts.life_safety != self.life_safety:
            yield "a life is in danger" if facts.life_safety else "no life is in danger"
        if facts.confidence < self.confidence:
            sure, asked = facts.confidence, self.confidence
            yield f"it is {sure:.2f} sure what the case is about, and {asked:.2f} is asked for"
        if facts.people < self.people:
            yield f"it happens to {facts.people:,} people, and {self.people:,} are asked for"


ANYWHERE = Where()
"""No condition."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a person gets of a rule: `most` messages `within_ms`, over all of their cases (0: no
    limit); only in `hours` of `zone`, (start, end) in minutes from midnight."""

    zone: ZoneInfo
    hours: tuple[int, int] | None = None
    most: int = 0
    within_ms: int = 0

    def in_hours(self, at_ms: int) -> bool:
        """Whether a message may be asked for at this time."""
        if self.hours is None:
            return True
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        start, end = self.hours
        return start <= local.hour * 60 + local.minute < end

    def next_ms(self, at_ms: int) -> int:
        """The first time from `at_ms` on at which a message may be asked for."""
        if self.in_hours(at_ms):
            return at_ms
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        hour, minute = divmod((self.hours or (0, 0))[0], 60)
        begins = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if begins <= local:
            begins = begins.replace(hour=0, minute=0) + timedelta(days=1)
            begins = begins.replace(hour=hour, minute=minute)
        return int(begins.timestamp() * 1000)

    def told(self) -> str:
        """The hours, e.g. "08:00-20:00 (Asia/Dubai)"."""
        start, end = self.hours or (0, 24 * 60)
        shown = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
        return f"{shown} ({self.zone.key})"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `channels` None means any; `name` is also the step of the case. `instead`: the rule
    whose message this one's takes the place of; "" for none. `score_ms`: how long a reply of one
    figure to its message says how well the person was served; 0: it does not."""

    name: str
    version: int
    event: Event
    channels: frozenset[int] | None
    callback: bool
    message: Message | None
    instead: str = ""
    where: Where = ANYWHERE
    limits: Limits | None = None
    timing: Timing | None = None
    hand_over: HandOver | None = None
    announcement: Announcement | None = None
    proposal: Proposal | None = None
    score_ms: int = 0

    @property
    def label(self) -> str:
        """Name and version, e.g. "acknowledge@1"."""
        return f"{self.name}@{self.version}"

    def brings(self, life_safety: bool) -> float:
        """Share of those who call because of its message, which waits for agents while they have no
        room for so many; 0: it never waits, as where a life is in danger."""
        if self.event not in MAY_WAIT or self.message is None or life_safety or self.instead:
            return 0.0
        return self.message.calls_back.share if self.message.calls_back is not None else 0.0

    def applies(self, event: Event, channel: int) -> bool:
        """Whether `event` asks for this rule, whatever its conditions. `channel`: how the contact
        came that a question is in; of other events the case's first contact."""
        return self.event is event and (self.channels is None or channel in self.channels)

    def unmet(self, facts: Facts) -> Iterator[str]:
        """Why its conditions do not hold, in words; nothing when they do."""
        if self.channels is not None and facts.channel not in self.channels:
            by = next((name for name, one in CHANNELS.items() if one == facts.channel), "")
            wanted = " or ".join(name for name, one in CHANNELS.items() if one in self.channels)
            yield f"they came by {by or 'an unknown channel'}, not {wanted}"
        yield from self.where.unmet(facts)

    def asked(self, event: Event, facts: Facts) -> bool:
        """Whether `event` asks for this rule and its conditions hold."""
        return self.event is event and next(self.unmet(facts), None) is None
