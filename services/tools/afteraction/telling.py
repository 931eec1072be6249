"""Tells the facts of a surge in one language, as a document. Pure, given the words.

What staff wrote is set apart from the sentences around it (`words.apart`), so that no name can turn
the direction of a line.
"""

from services.tools.afteraction.closing import better, faults, glossary, made
from services.tools.afteraction.facts import Facts
from services.tools.afteraction.findings import found
from services.tools.afteraction.front import foreword, timeline
from services.tools.afteraction.measures import measures
from services.tools.afteraction.people import demand, levels
from services.tools.afteraction.reaching import avoided, callbacks, reached
from services.tools.afteraction.saying import Saying
from services.tools.reports.document import Block, Document
from services.tools.reports.words import apart, plain


def document(facts: Facts, saying: Saying, again: str) -> Document:
    """The booklet of a surge. `again`: name of the file that it can be made again from."""
    words = saying.words
    broken, kept, unmeasured = found(measures(facts))
    blocks: list[Block] = []
    for section in (
        foreword(facts, broken, saying),
        timeline(facts, saying),
        demand(facts, saying),
        levels(facts, saying),
        reached(facts, saying),
        callbacks(facts, saying),
        avoided(facts, saying),
        faults(facts, saying),
        better(broken, kept, unmeasured, saying) if facts.whole["contacts"] else (),
        glossary(saying),
        made(facts, again, saying),
    ):
        blocks += section
    return Document(
        title=saying.say("title"),
        name=plain(facts.name) if facts.name else _name(facts, saying),
        lines=[
            *(
                [
                    saying.say(
                        "span_line",
                        since=words.time(facts.since_ms),
                        until=words.time(facts.until_ms),
                    )
                ]
                if facts.whole["contacts"]
                else []
            ),
            saying.say("made_line", time=words.time(facts.made.at_ms)),
            saying.say("zone", zone=apart(words.zone_name)),
        ],
        banner=saying.say("drill") if facts.drill else "",
        page_of=saying.say("page_of", page="{page}", pages="{pages}"),
        language=words.language,
        direction=words.direction,
        made_ms=facts.made.at_ms,
        blocks=blocks,
        mark=saying.say("mark") if facts.drill else "",
    )


def _name(facts: Facts, saying: Saying) -> str:
    if not facts.whole["contacts"]:
        return saying.say("unnamed_empty")
    entry = "unnamed_drill" if facts.drill else "unnamed"
    return saying.say(entry, day=saying.words.day(facts.since_ms))
