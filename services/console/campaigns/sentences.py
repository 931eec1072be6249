"""What the services say, in the reader's language. Pure.

Services speak English sentences: some always the same, which the catalogue holds as they are, some
with a name or a number in them. Those are known here by their pattern, whose named groups fill the
translated sentence. What nobody knows is shown as it came: an English sentence that says what to do
helps more than none.
"""

import re
from collections.abc import Callable

from services.console.words import N_

ALWAYS = (
    N_("what is being sent can't be changed: cancel or recall it"),
    N_("only a draft is rehearsed, and one that was rehearsed before"),
    N_("rehearse it first: what is approved is the rehearsal"),
    N_("only an approved campaign can be started"),
    N_("only a running campaign can be paused"),
    N_("only a paused campaign can be resumed"),
    N_("it has ended: what was sent can be recalled, not cancelled"),
    N_("only what was sent can be recalled"),
    N_("only of what is being sent, or was sent to its end, the unknown is sent once more"),
    N_("the campaign was changed meanwhile: look at it again"),
    N_("its end has passed: give it a later expires_ms"),
    N_(
        "the routes, carriers or sending rules are not those it was rehearsed with; rehearse it "
        "again"
    ),
    N_("it was never started: there is nobody to tell"),
    N_("it has no corrections: write what a recall would say before it is approved"),
    N_("who made or last changed a campaign can't approve it: ask somebody else"),
    N_("it was rehearsed again meanwhile: look at it again"),
    N_("a campaign stays with its agency: make another for the other"),
    N_("no campaign has this id"),
    N_("this request_id made another campaign: use a new one"),
    N_("must be after now, and after the start"),
    N_("must be at most 7 days after the start"),
    N_("only an emergency may override rules"),
    N_("a drill overrides nothing"),
    N_("nobody is held back of an emergency"),
    N_("the caller may send in the name of their own agency only"),
    N_("the caller may bring files of their own agency only"),
    N_("must have no placeholders: what they make of it is known with the recipients"),
    N_("how many are unknown by now can't be told: Redis does not answer"),
    N_("some of its recipients cannot be read any more: bring the file again"),
    N_(
        "Kafka was restored from a backup, and nothing is sent until somebody resumes: `mawja "
        "restored`"
    ),
    N_("it is a draft: rehearse it"),
    N_("its rehearsal is under way"),
    N_("it waits for somebody's approval who did not write it"),
    N_("it is approved: start it"),
    N_("too many of its messages failed: see why, then resume or cancel it"),
    N_("the text is empty; write it, or leave the language out"),
    N_("this brace closes nothing; write }} for a brace itself"),
    N_("this brace is not closed; write {{ for a brace itself"),
    N_("this is a control character; delete it"),
    N_("this is half a character; write it again"),
    N_("this mark overrides the order of what follows; use isolates, U+2068 U+2069"),
    N_("this mark ends a direction isolate, and none is open; delete it"),
    N_("this direction isolate is not closed in its line"),
    N_("a direction isolate in a default ends there too"),
    N_("this direction isolate is not closed; end it with U+2069"),
    N_(
        "a field's name is 1 to 64 letters, digits, spaces or _ - . / ' ( ), and begins with a "
        "letter or digit"
    ),
    N_("must be at least 3 characters"),
    N_("must be a valid UUID"),
)
"""Sentences without a name or number in them."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"it is (?P<state>[a-z]+): (?P<rest>.+)"), N_("it is {state}: {rest}")),
    (
        re.compile(r"(?P<who>\S+) paused it: resume or cancel it"),
        N_("{who} paused it: resume or cancel it"),
    ),
    (re.compile(r"it begins in (?P<lasting>.+)"), N_("it begins in {lasting}")),
    (
        re.compile(r"(?P<number>[\d,]+) are unknown by now: look at it again"),
        N_("{number} are unknown by now: look at it again"),
    ),
    (
        re.compile(r"write (?P<languages>[\w, -]+), or set accept_missing"),
        N_("write {languages}, or accept that it is missing"),
    ),
    (
        re.compile(
            r"some of its recipients have no text in their language: write (?P<languages>.+), or "
            r"set accept_missing"
        ),
        N_(
            "some recipients have no text in their language: write {languages}, or accept that it "
            "is missing"
        ),
    ),
    (
        re.compile(r"(?P<where>[A-Za-z-]+), character (?P<at>\d+): (?P<rest>.+)"),
        N_("{where}, character {at}: {rest}"),
    ),
    (re.compile(r"(?P<where>[A-Za-z]{2,3}(-[A-Za-z0-9]+)*): (?P<rest>.+)"), N_("{where}: {rest}")),
    (
        re.compile(
            r"waiting for carrier (?P<carrier>[^:]+): (?P<why>.+), (?P<number>[\d,]+) queued"
            r"(, next in (?P<lasting>.+))?"
        ),
        N_("waiting for carrier {carrier}: {why}, {number} queued"),
    ),
    (
        re.compile(
            r"slowed: (?P<people>[\d,.]+) people wait, room for (?P<room>[\d,.]+) calls/min"
        ),
        N_("slowed: {people} people wait, room for {room} calls/min"),
    ),
    (
        re.compile(
            r"(?P<number>[\d,]+) held back by quiet hours or caps(, the first for (?P<lasting>.+))?"
        ),
        N_("{number} held back by quiet hours or caps"),
    ),
)
PIECES = (
    N_("; "),
    N_("not connected"),
    N_("throttled"),
    N_("failing, tried with a few"),
    N_("at the pace agreed with it"),
    N_("all that it may have at once is under way"),
    N_("the text"),
    N_("missing"),
    N_("draft"),
    N_("rehearsing"),
    N_("rehearsed"),
    N_("approved"),
    N_("running"),
    N_("paused"),
    N_("completed"),
    N_("cancelled"),
    N_("recalled"),
)
"""Words that stand in the places of the sentences."""
SHARES = (
    N_("assumed: one in twenty asks about a message; measure it (mawja campaign effect)"),
    N_("assumed: fewer ask about what they may like to know; measure it (mawja campaign effect)"),
    N_("assumed: people call to make sure of a warning; measure it (mawja campaign effect)"),
)
"""Where the shipped shares of who calls back are from (`calls_back.yaml`)."""
_WORDY = frozenset({"state", "rest", "why"})


def translated(sentence: str, gettext: Callable[[str], str]) -> str:
    """What a service said, by the catalogue behind `gettext`; parts joined by "; " one by one."""
    known = gettext(sentence)
    if known != sentence:
        return known
    if "; " in sentence and not _known(sentence):
        return gettext("; ").join(translated(one, gettext) for one in sentence.split("; "))
    for pattern, form in _PATTERNS:
        if (match := pattern.fullmatch(sentence)) is not None:
            given = {
                name: translated(value, gettext) if name in _WORDY else value
                for name, value in match.groupdict().items()
                if value is not None
            }
            return gettext(form).format(**given)
    return sentence


def _known(sentence: str) -> bool:
    return any(pattern.fullmatch(sentence) for pattern, _ in _PATTERNS)
