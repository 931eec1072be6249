"""What broke, what to do better, what the words mean, and how the booklet was made. Pure, given the
words.
"""

from collections.abc import Iterator, Sequence

from services.tools.afteraction.facts import Facts
from services.tools.afteraction.findings import Finding, Rule
from services.tools.afteraction.saying import Saying
from services.tools.afteraction.valued import told
from services.tools.reports.document import Block, Column, Heading, Paragraph, Table
from services.tools.reports.words import apart, rightwards, tables

UNTOLD = ("untold_refused", "untold_agents", "untold_restart", "untold_view")


def faults(facts: Facts, saying: Saying) -> Iterator[Block]:
    """What the log tells of faults, and what it can't tell."""
    words = saying.words
    yield Heading(saying.say("faults"))
    yield Paragraph(saying.say("faults_key"), "note")
    rows = [
        (
            saying.say(
                "takeovers_row",
                room=words.of("rooms", one.room),
                partitions=words.count("partitions", one.partitions),
            ),
            "1",
            words.near(one.at_ms, facts.made.at_ms),
            "",
        )
        for one in facts.takeovers
    ]
    for (carrier, state, reason), trouble in facts.trouble.items():
        name = apart(carrier) if carrier else saying.say("no_carrier_short")
        why = words.known("reasons", reason)
        rows.append(
            (
                saying.say(f"trouble_{state}", carrier=name, reason=why),
                words.number(trouble.times),
                words.near(trouble.first_ms, facts.made.at_ms),
                words.near(trouble.last_ms, facts.made.at_ms),
            )
        )
    rows += [
        (
            saying.say(
                "letters_row",
                room=words.of("rooms", letter.room),
                reason=apart(letter.reason),
                again=words.number(letter.again),
            ),
            words.number(letter.records),
            words.near(letter.first_ms, facts.made.at_ms),
            "",
        )
        for letter in facts.letters
    ]
    if rows:
        columns = [
            Column(saying.say("fault")),
            *saying.numbers("times"),
            Column(saying.say("first_at")),
            Column(saying.say("last_at")),
        ]
        yield Table(columns, rows)
    else:
        yield Paragraph(saying.say("no_faults"), "good")
    yield Heading(saying.say("untold"))
    for entry in UNTOLD:
        yield Paragraph(f"– {saying.say(entry)}")


def better(
    broken: Sequence[Finding], kept: Sequence[Finding], unmeasured: Sequence[Rule], saying: Saying
) -> Iterator[Block]:
    """Every rule: what broke its limit, what kept it, what could not be measured."""
    yield Heading(saying.say("better"), fresh=True)
    yield Paragraph(saying.say("better_key"), "note")
    if not broken:
        yield Paragraph(saying.say("all_well"), "good")
    for one in broken:
        rule = one.rule
        yield Paragraph(told(one, rule.bad, saying), "bad")
        yield Paragraph(
            saying.say(
                "to_do",
                do=rule.do[saying.words.language],
                see=rightwards(rule.see),
                source=saying.words.of("sources", rule.source),
            )
        )
    if kept:
        yield Heading(saying.say("went_well"))
        rows = [
            (saying.words.of("measured", one.rule.name), told(one, one.rule.good, saying))
            for one in kept
        ]
        yield Table([Column(""), Column("")], rows)
    if unmeasured:
        names = saying.words.of("joints", "list").join(
            saying.words.of("measured", rule.name) for rule in unmeasured
        )
        yield Heading(saying.say("not_measured_head"))
        yield Paragraph(saying.say("not_measured_key", names=names))


def glossary(saying: Saying) -> Iterator[Block]:
    """What the words mean."""
    yield Heading(saying.say("glossary"), fresh=True)
    rows = []
    for entry in tables(__package__ or "")["glossary"]:
        word, _, means = saying.words.of("glossary", entry).partition(": ")
        rows.append((word, means))
    yield Table([Column(saying.say("word")), Column(saying.say("means"))], rows)


def made(facts: Facts, again: str, saying: Saying) -> Iterator[Block]:
    """From what it was made, and how to make it again."""
    yield Heading(saying.say("made"))
    records = saying.words.count("records", facts.made.records)
    command = rightwards(f"mawja report surge --again {again}")
    yield Paragraph(saying.say("made_from_surge", records=records, command=command), "note")
    yield Paragraph(saying.say("made_without"), "note")
    yield Table(
        [Column(saying.say("topic")), Column(saying.say("through"))],
        [
            (
                apart(topic),
                rightwards("  ".join(f"{partition}:{end}" for partition, end in ends.items())),
            )
            for topic, ends in facts.made.through.items()
        ],
    )
