"""Does a contact belong to a case of the same number? Score and reason in words. Pure.

Same person = same keyed hash of the number; whoever has no number has a case of their own. One
person can have several needs: another agency, another topic, another code in the text or clearly
other words make another case. A shared number (an organisation, a switchboard) says nothing about
the person, so there the text itself must.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.dedup.words import CODE

NEED = ("need_same", "need_other")
"""Thresholds that an agency may have of its own."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds, from rules.yaml, which says what each is for. Windows in milliseconds, shares
    0 to 1. `agencies`: by code, the thresholds (NEED) that are an agency's own."""

    repeat_window: int
    open_window: int
    redial_window: int
    reconnect_window: int
    shared_text_window: int
    text_enough: int
    text_same: float
    text_alike: float
    text_different: float
    need_same: float
    need_other: float
    agencies: Mapping[str, Mapping[str, float]]
    life_enough: float
    topic_enough: float
    kind_enough: float
    shared_cases: int
    shared_window: int
    answer_target: int
    handling_target: int
    tally_keep: int
    waiting_limit: int
    command_memory: int

    def of(self, agency: str) -> "Rules":
        """The rules for contacts of an agency; the same where it has none of its own."""
        own = self.agencies.get(agency)
        if not own:
            return self
        return replace(
            self,
            need_same=own.get("need_same", self.need_same),
            need_other=own.get("need_other", self.need_other),
        )


@dataclass(frozen=True, slots=True)
class Side:
    """What matching looks at, of a contact or of a case.

    `first_ms` and `last_ms`: event times of the first and last contact (the same for a contact).
    `open`: not resolved. `feedback`: thanks or opinion, None when the kind is not known.
    `organisation`: said by the source. `recorded`: told afterwards, from records of calls.
    """

    agency: str
    topic: str
    line: str
    language: str
    feedback: bool | None
    organisation: bool
    life_safety: bool
    drill: bool
    recorded: bool
    open: bool
    first_ms: int
    last_ms: int
    shape: frozenset[int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure it is that the need is the same, 0 (it is another) to 1, and why."""

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Match:
    """The case that a contact joins: its place among the candidates, score and reason."""

    index: int
    score: float
    reason: str


def best(
    contact: Side,
    cases: Sequence[Side],
    rules: Rules,
    shared: bool,
    likely: Sequence[float | None] | None = None,
) -> tuple[Match | None, str]:
    """The case that the contact joins, or None; and why it does not join the likeliest other.

    The highest score wins; of equals an open one, then the one last heard of, then the later in
    `cases`. `shared`: the number is known to be used by many people. `likely`: how likely the text
    is about each case (`need`), None where that can't be told.
    """
    match: Match | None = None
    best_rank = (0.0, False, 0)
    refusal = ""
    for index, case in enumerate(cases):
        verdict = compare(contact, case, rules, shared, likely[index] if likely else None)
        if verdict.score <= 0:
            refusal = verdict.reason
            continue
        rank = (verdict.score, case.open, case.last_ms)
        if match is None or rank >= best_rank:
            match, best_rank = Match(index, verdict.score, verdict.reason), rank
    return match, refusal


def compare(
    contact: Side, case: Side, rules: Rules, shared: bool, likely: float | None = None
) -> Verdict:
    """Whether a contact and a case of the same number are the same need."""
    if contact.drill != case.drill:
        return Verdict(0, "a rehearsal and the real thing")
    # Nobody is written to because of a record; a person who reaches out now must be.
    if contact.recorded != case.recorded:
        return Verdict(0, "a record of past calls and somebody who waits")
    gap = _gap(contact, case)
    if abs(gap) > (rules.open_window if case.open else rules.repeat_window):
        return Verdict(0, f"the last case is too old ({later(gap)})")
    codes, case_codes = _codes(contact.shape), _codes(case.shape)
    same_code = bool(codes & case_codes)
    # Both name something that the other does not: one digit apart is another file. A code that both
    # name may be the person's own (an identity number) and joins nothing by itself.
    if codes - case_codes and case_codes - codes:
        return Verdict(0, "the texts name different references")
    words, case_words = contact.shape - codes, case.shape - case_codes
    shorter = min(len(words), len(case_words))
    common = len(words & case_words)
    share = common / shorter if shorter else 0.0
    speaks = shorter >= rules.text_enough
    same_text = speaks and share >= rules.text_same
    told = f"{common} of {shorter} words" if shorter else "no words"
    same_agency = bool(contact.agency) and contact.agency == case.agency
    agencies_differ = bool(contact.agency and case.agency) and not same_agency
    same_topic = bool(contact.topic) and contact.topic == case.topic
    topics_differ = bool(contact.topic and case.topic) and not same_topic
    when = later(gap)

    if shared or contact.organisation or case.organisation:
        if agencies_differ or topics_differ:
            return Verdict(0, "a shared number, another agency or topic")
        if same_code:
            return Verdict(0.9, f"shared number, same reference in the text, {when}")
        if speaks and words == case_words and abs(gap) <= rules.shared_text_window:
            return Verdict(0.8, f"shared number, same text, {when}")
        return Verdict(0, "a shared number does not tell who it is")

    kinds_differ = None not in (contact.feedback, case.feedback) and (
        contact.feedback != case.feedback
    )
    if agencies_differ or topics_differ or kinds_differ:
        differs = (
            "agency" if agencies_differ else "topic" if topics_differ else "kind (thanks, opinion)"
        )
        if same_text:
            return Verdict(
                0.75, f"same number, same text ({told}) though another {differs}, {when}"
            )
        return Verdict(0, f"same number, another {differs}")
    told_same = same_agency or same_code or same_text
    if contact.life_safety and not case.life_safety and not told_same:
        return Verdict(0, "a life in danger does not join a case that is not about one")
    if same_code:
        return Verdict(0.98, f"same number, same reference in the text, {when}")
    if same_agency or same_topic:
        what = "topic" if same_topic else "agency"
        if not shorter:
            return Verdict(0.95 if same_topic else 0.85, f"same number, same {what}, {when}")
        # Whoever says the same words again means the same, whatever else they are signs of.
        unlike = not speaks or share < rules.text_alike
        if likely is not None and not same_topic and unlike and likely < rules.need_other:
            return Verdict(0, f"same number and agency, another need by its words ({told})")
        # Words of two languages can't be held against each other.
        if (
            likely is None
            and speaks
            and share < rules.text_different
            and not same_topic
            and _spelling(contact.language) == _spelling(case.language)
        ):
            return Verdict(0, f"same number and agency, other words ({told})")
        score = round(0.85 + 0.1 * share, 2)
        return Verdict(score, f"same number, same {what}, {told}, {when}")
    if likely is not None:
        if same_text:
            return Verdict(round(max(likely, share), 2), f"same number, same text ({told}), {when}")
        if likely >= rules.need_same:
            return Verdict(round(likely, 2), f"same number, goes on about it by its words, {when}")
        return Verdict(0, "same number, another need by its words")
    if shorter:
        if speaks and share >= rules.text_alike:
            return Verdict(round(0.7 + 0.2 * share, 2), f"same number, {told}, {when}")
        return Verdict(0, f"same number, agency not known, other words ({told})")
    if contact.line == case.line and abs(gap) <= rules.redial_window:
        return Verdict(0.7, f"same number, same line, {when}")
    return Verdict(0, "same number, but nothing tells that it is the same need")


def later(gap_ms: int) -> str:
    """A time between contacts in words, e.g. "4 min later"."""
    seconds = abs(gap_ms) // 1000
    which = "later" if gap_ms >= 0 else "earlier"
    if seconds < 60:
        return "within a minute"
    if seconds < 3600:
        return f"{seconds // 60} min {which}"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h {which}"
    return f"{seconds // 86400} days {which}"


def _gap(contact: Side, case: Side) -> int:
    """From the nearest end of the case's span to the contact; 0 inside, negative before it."""
    if contact.first_ms > case.last_ms:
        return contact.first_ms - case.last_ms
    return min(0, contact.first_ms - case.first_ms)


def _codes(shape: frozenset[int]) -> frozenset[int]:
    return frozenset([h for h in shape if h & CODE])


def _spelling(language: str) -> tuple[str, str]:
    """Language and script: words of one in two scripts are as far apart as those of two."""
    primary, *others = language.lower().split("-")
    return primary, next((part for part in others if len(part) == 4), "")
