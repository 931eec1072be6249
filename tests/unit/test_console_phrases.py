"""What the rooms say of their reasons, in Arabic: none of their sentences is left in English."""

import re
from dataclasses import replace

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.console import phrases, words
from services.outreach import shelf
from services.outreach.decide import Messages
from services.outreach.explaining import explained
from services.runtime import ids

ARABIC = words.load()["ar"]
NOW = 1_800_000_000_000
_LATIN = re.compile(r"[A-Za-z]{2,}")
# As services/dedup (match.py, linking.py, incidents/evidence.py) words them.
REASONS = (
    "first contact of this number",
    "no number: a case of its own",
    "the same delivery again",
    "same number, same topic, 3 of 5 words, 4 min later",
    "same number, same agency, within a minute",
    "same number, same reference in the text, 2 h earlier",
    "same number, same text (2 of 2 words), 3 days later",
    "same number, same text (2 of 2 words) though another agency, 4 min later",
    "same number, goes on about it by its words, 1 h later",
    "same number, same line, 5 min later",
    "shared number, same text, within a minute",
    "a need of its own: same number and agency, other words (0 of 4 words)",
    "a need of its own: same number, agency not known, other words (no words)",
    "a need of its own: same number, another need by its words",
    "a need of its own: same number, another topic",
    "a need of its own: the last case is too old (9 days later)",
    "a need of its own: a shared number does not tell who it is",
    "a need of its own: a rehearsal and the real thing",
    "a need of its own: same number, but nothing tells that it is the same need",
    "same reference, same topic, 1 word in common, 14 min apart",
    "3 sounds in common, 3 h apart",
    "the texts mean the same (0.93), 6 words in common, 14 min apart",
)


@pytest.mark.parametrize("text", REASONS)
def test_why_something_was_joined_is_said_in_arabic(text: str) -> None:
    said = phrases.reason(text, ARABIC.gettext, "ar")
    assert said
    assert not _LATIN.search(said), said
    assert phrases.reason(text, str, "en") == text


def test_why_a_playbook_did_nothing_is_said_in_arabic() -> None:
    rules = [
        replace(rule, where=replace(rule.where, people=5, confidence=0.9, life_safety=True))
        for rule in shelf.read(None).rules
    ]
    wanted = set()
    for state in (dedup.CASE_STATE_OPEN, dedup.CASE_STATE_RESOLVED):
        for channel in (common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SMS):
            for callback in (None, outreach.Callback(state=outreach.CALLBACK_STATE_DUE)):
                case = dedup.Case(
                    case_id=ids.case_id("x"),
                    state=state,
                    resolved_ms=NOW if state == dedup.CASE_STATE_RESOLVED else 0,
                    channel=channel,
                    recorded=callback is None,
                    person=b"p" * 16 if callback else b"",
                )
                watch = outreach.Watch(waiting_since_ms=NOW - 60_000) if callback else None
                found = explained(rules, case, Messages(rules=rules), callback, watch, NOW)
                wanted |= {why for one in found for why in one.unmet}
    assert len(wanted) > 12
    left = {why for why in wanted if phrases.sentence(why, ARABIC.gettext, "ar") == why}
    assert not left


def test_what_nobody_foresaw_is_shown_as_it_was_written() -> None:
    assert phrases.reason("some new rule", ARABIC.gettext, "ar") == "some new rule"
    assert phrases.sentence("100% new", ARABIC.gettext, "ar") == "100% new"
