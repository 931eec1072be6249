"""Tells what a campaign did to calls, where it held a share of its audience back. Pure."""

from collections.abc import Iterator

from services.tools.effects.measuring import Part
from services.tools.reports.document import Block, Column, Heading, Paragraph, Table
from services.tools.reports.facts import Facts
from services.tools.reports.words import Words, rightwards


def did_to_calls(facts: Facts, words: Words) -> Iterator[Block]:
    """Who called of those whom it was sent to, beside those who were held back; nothing where
    nobody was."""
    if facts.measured is None:
        return
    effect = facts.measured.effect
    yield Heading(words.say("calls"))
    yield Table(
        [
            Column(words.say("group")),
            Column(words.say("calls_people"), number=True),
            Column(words.say("calls_called"), number=True),
            Column(words.say("share"), number=True),
            Column(words.say("calls_interval"), number=True),
            Column(words.say("calls_number"), number=True),
        ],
        [_row("calls_sent", effect.sent, words), _row("calls_held", effect.held, words)],
    )
    if effect.known:
        # Of more callers the range is told from the same side as their number.
        found, low, high = effect.avoided
        if found < 0:
            found, low, high = -found, -high, -low
            entry = "calls_more"
        else:
            entry = "calls_fewer"
        yield Paragraph(
            words.say(entry, found=f"{found:,.0f}", range=rightwards(f"{low:,.0f} … {high:,.0f}"))
        )
        if low <= 0 <= high:
            yield Paragraph(words.say("calls_chance"))
    else:
        yield Paragraph(words.say("calls_nobody"))
    if facts.measured.until_ms > facts.made.at_ms:
        yield Paragraph(words.say("calls_open", time=words.time(facts.measured.until_ms)))
    yield Paragraph(words.say("calls_key"), "note")


def _row(entry: str, part: Part, words: Words) -> tuple[str, ...]:
    low, high = part.interval
    return (
        words.say(entry),
        words.number(part.people),
        words.number(part.callers),
        words.percent(part.callers, part.people),
        rightwards(f"{100 * low:.1f}–{100 * high:.1f}%") if part.people else words.say("none"),
        words.number(part.calls),
    )
