"""Sentences of the rooms in the reader's language: why contacts were joined, why nobody was
written to.

Rooms write their reasons into the log in English, once and for good. What is known of their wording
is said here in the language of who reads; what is not is shown as it was written. Pure.
"""

import re
from collections.abc import Callable, Sequence

from services.console.words import N_

Translate = Callable[[str], str]
_Known = Sequence[tuple[re.Pattern[str], str]]


def _known(*pairs: tuple[str, str]) -> _Known:
    return tuple((re.compile(pattern), text) for pattern, text in pairs)


# Of why a contact is in a case: pieces between commas (dedup's match.py).
_PIECES = _known(
    (r"same number", N_("same number")),
    (r"shared number", N_("shared number")),
    (r"same topic", N_("same service")),
    (r"same agency", N_("same agency")),
    (r"same line", N_("same line")),
    (r"as was asked", N_("as was asked")),
    (r"same reference in the text", N_("same reference in the text")),
    (r"goes on about it by its words", N_("its words go on about it")),
    (r"the same delivery again", N_("the same delivery again")),
    (r"same text", N_("same text")),
    (r"same text \((?P<words>[^)]*)\)", N_("same text")),
    (r"same place \((?P<place>[^)]*)\)", N_("same place (%(place)s)")),
    (r"the texts mean the same \((?P<share>[0-9.]+)\)", N_("the texts mean the same (%(share)s)")),
    (r"(?P<some>\d+) of (?P<all>\d+) words", N_("%(some)s of %(all)s words")),
    (r"(?P<some>\d+) words", N_("words in common: %(some)s")),
    (r"no words", N_("no words")),
    (r"within a minute", N_("within a minute")),
    (r"(?P<n>\d+) min later", N_("%(n)s min later")),
    (r"(?P<n>\d+) min earlier", N_("%(n)s min earlier")),
    (r"(?P<n>\d+) h later", N_("%(n)s h later")),
    (r"(?P<n>\d+) h earlier", N_("%(n)s h earlier")),
    (r"(?P<n>\d+) days later", N_("days later: %(n)s")),
    (r"(?P<n>\d+) days earlier", N_("days earlier: %(n)s")),
    (r"(?P<n>\d+) min apart", N_("%(n)s min apart")),
    (r"(?P<n>\d+) h apart", N_("%(n)s h apart")),
    (r"first contact", N_("first contact")),
    (r"first contact of this number", N_("first contact of this number")),
    (r"no number: a case of its own", N_("no number: a case of its own")),
    (r"same number and agency", N_("same number and agency")),
    (r"agency not known", N_("agency not known")),
    (r"same agency and topic", N_("same agency and service")),
    (r"other words \((?P<words>[^)]*)\)", N_("other words")),
    (r"another need by its words( \([^)]*\))?", N_("another need by its words")),
    (r"another agency", N_("another agency")),
    (r"another topic", N_("another service")),
    (r"another kind \(thanks", N_("another kind")),
    (r"opinion\)", ""),
    (r"same text \([^)]*\) though another agency", N_("same text though another agency")),
    (r"same text \([^)]*\) though another topic", N_("same text though another service")),
    (r"another agency or topic", N_("another agency or service")),
    (
        r"a shared number does not tell who it is",
        N_("a shared number does not tell who it is"),
    ),
    (r"a shared number", N_("a shared number")),
    (r"a rehearsal and the real thing", N_("a rehearsal and the real thing")),
    (
        r"a record of past calls and somebody who waits",
        N_("a record of past calls and somebody who waits"),
    ),
    (r"the last case is too old( \([^)]*\))?", N_("the last case is too old")),
    (r"the texts name different references", N_("the texts name different references")),
    (
        r"a life in danger does not join a case that is not about one",
        N_("a life in danger does not join a case that is not about one"),
    ),
    (
        r"but nothing tells that it is the same need",
        N_("but nothing tells that it is the same need"),
    ),
    (r"same reference", N_("same reference")),
    (r"(?P<some>\d+) words? in common", N_("words in common: %(some)s")),
    (r"(?P<some>\d+) sounds? in common", N_("sounds in common: %(some)s")),
)
_ITS_OWN = N_("a need of its own: %(rest)s")
# Of why a playbook did nothing: sentences (outreach's explaining.py and rules.py).
_SENTENCES = _known(
    (
        r"it is switched off by (?P<who>[^:]+): (?P<why>.+)",
        N_("it is switched off by %(who)s: %(why)s"),
    ),
    (
        r"the message of (?P<name>\S+) took its place",
        N_("the message of “%(name)s” took its place"),
    ),
    (
        r"it is about many people, and does nothing about one case",
        N_("it is about many people, and does nothing about one case"),
    ),
    (
        r"the case is made of records of past calls: nobody is written to",
        N_("the case is made of records of past calls: nobody is written to"),
    ),
    (r"the number is withheld", N_("the number is withheld")),
    (
        r"no SMS reaches the number: it is no mobile one",
        N_("no SMS reaches the number: it is no mobile one"),
    ),
    (
        r"no caller of this case hung up before an agent answered",
        N_("no caller of this case hung up before an agent answered"),
    ),
    (
        r"it asks '(?P<name>[^']*)', which the knowledge file may answer so",
        N_("it asks “%(name)s”, which may not be answered so"),
    ),
    (
        r"no question that the knowledge file may answer so",
        N_("it asks no question with a known answer"),
    ),
    (r"the case is not resolved", N_("the case is not resolved")),
    (r"no life is in danger", N_("no life is in danger")),
    (r"a life is in danger", N_("a life is in danger")),
    (
        r"nobody waits: an agent spoke with them, or the need was met or answered",
        N_("nobody waits: an agent spoke with them, or the need was met or answered"),
    ),
    (
        r"they wait for (?P<n>[\d,]+) min; it comes after (?P<after>\d+) min, "
        r"(?P<times>\d+) times in all",
        N_("waiting for %(n)s min; it comes after %(after)s min, %(times)s times in all"),
    ),
    (r"nobody is owed a call", N_("nobody is owed a call")),
    (r"the callback stands otherwise", N_("the callback stands otherwise")),
    (
        r"they came by (?P<by>.+), not (?P<wanted>.+)",
        N_("they came by %(by)s, not %(wanted)s"),
    ),
    (
        r"the agency is (?P<value>.+), not (?P<wanted>.+)",
        N_("the agency is %(value)s, not %(wanted)s"),
    ),
    (
        r"the line is (?P<value>.+), not (?P<wanted>.+)",
        N_("the line is %(value)s, not %(wanted)s"),
    ),
    (
        r"the language is (?P<value>.+), not (?P<wanted>.+)",
        N_("the language is %(value)s, not %(wanted)s"),
    ),
    (
        r"it is (?P<sure>[\d.]+) sure what the case is about, and (?P<asked>[\d.]+) is asked for",
        N_("it is %(sure)s sure what the case is about, and %(asked)s is asked for"),
    ),
    (
        r"it happens to (?P<n>[\d,]+) people, and (?P<asked>[\d,]+) are asked for",
        N_("it happens to %(n)s people, and %(asked)s are asked for"),
    ),
    (r"it is outside (?P<hours>.+)", N_("it is outside %(hours)s")),
    (
        r"it is put off since (?P<n>\d+) min until agents have room for the calls that it brings "
        r"back \((?P<why>.*)\); left out in (?P<left>\d+) min",
        N_("put off for %(n)s min until agents have room (%(why)s); left out in %(left)s min"),
    ),
    (
        r"it was put off until its time was over, and left out \((?P<why>.*)\)",
        N_("it was put off until its time was over, and left out (%(why)s)"),
    ),
    (
        r"if it was put off because agents had no room for the calls that it brings back, it was "
        r"left out when its time was over",
        N_("if agents had no room for the calls that it brings back, it was left out"),
    ),
    (
        r"the person got (?P<got>\d+) of (?P<most>\d+) within the time of its limit",
        N_("the person got %(got)s of %(most)s within the time of its limit"),
    ),
)


def reason(text: str, say: Translate, language: str, place: Translate = str) -> str:
    """Why something was joined, piece by piece. `place`: the name of one, by its English one."""
    if language == "en":
        return text
    comma = "، " if language == "ar" else ", "
    before, colon, rest = text.partition(": ")
    if before == "a need of its own" and colon:
        return say(_ITS_OWN) % {"rest": reason(rest, say, language, place)}
    pieces = (_said(piece.strip(), _PIECES, say, place) for piece in text.split(", "))
    return comma.join(piece for piece in pieces if piece)


def sentence(text: str, say: Translate, language: str) -> str:
    """Why a playbook did or does nothing."""
    return text if language == "en" else _said(text, _SENTENCES, say)


def _said(text: str, known: _Known, say: Translate, place: Translate = str) -> str:
    for pattern, english in known:
        if found := pattern.fullmatch(text):
            given = found.groupdict()
            if "place" in given:
                given["place"] = place(given["place"])
            return say(english) % given if english else ""
    return text
