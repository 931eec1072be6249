"""Tells the facts of a campaign in one language, as a document. Pure, given the words.

What staff wrote is set apart from the sentences around it (`words.apart`), so that no name can turn
the direction of a line.
"""

from collections.abc import Iterator

from services.broadcast.texts.direction import base
from services.tools.reports.calls import did_to_calls
from services.tools.reports.document import (
    Block,
    Column,
    Document,
    Figure,
    Figures,
    Heading,
    Paragraph,
    Quote,
    Table,
)
from services.tools.reports.facts import (
    BUCKETS,
    Deed,
    Facts,
    Sending,
    may_be_reached,
    merged,
    reached_at,
)
from services.tools.reports.outcomes import (
    bucket_chart,
    by_carrier,
    by_language,
    latency,
    reached,
    undelivered,
)
from services.tools.reports.words import Words, apart, plain, rightwards

_NOT_REACHED = ("failed", "expired")
_FIGURE_SHARE = 95
SERVICE = "broadcast"
"""The subject under which the service states what it found itself."""


def document(facts: Facts, words: Words, again: str) -> Document:
    """The report of a campaign. `again`: name of the file that it can be made again from."""
    blocks: list[Block] = []
    for section in (
        _first(facts, words),
        _about(facts, words),
        _timeline(facts, words),
        _buckets(facts.sending, words, "buckets"),
        reached(facts, facts.sending, words),
        by_language(facts.sending, words),
        by_carrier(facts, words),
        latency(facts.sending, words),
        undelivered(facts.sending, facts.made.at_ms, words),
        did_to_calls(facts, words),
        _correction(facts, words),
        _faults(facts, words),
        _made(facts, words, again),
    ):
        blocks += section
    return Document(
        title=words.say("title"),
        name=plain(facts.name),
        lines=[
            f"{words.known('states', facts.state)} · {_agency(facts, words)} · "
            f"{words.known('kinds', facts.kind)}",
            words.say("made_line", time=words.time(facts.made.at_ms)),
            words.say("zone", zone=apart(words.zone_name)),
        ],
        banner=words.say("drill") if facts.drill else "",
        page_of=words.say("page_of", page="{page}", pages="{pages}"),
        language=words.language,
        direction=words.direction,
        made_ms=facts.made.at_ms,
        blocks=blocks,
        mark=words.say("mark") if facts.drill else "",
    )


def _agency(facts: Facts, words: Words) -> str:
    return apart(facts.agency) if facts.agency else words.say("centre")


def _first(facts: Facts, words: Words) -> Iterator[Block]:
    """What is to be seen at once, and whether it adds up."""
    if not facts.rehearsed:
        yield Paragraph(words.say("before_rehearsal"), "note")
        return
    totals = facts.sending.totals()
    meant = may_be_reached(totals)
    missed = sum(totals[bucket] for bucket in _NOT_REACHED)
    started = next((d.at_ms for d in facts.timeline if d.what == "started" and not d.refused), 0)
    at_ms = reached_at(facts.sending.delivered_ms(), meant)[_FIGURE_SHARE]
    yield Figures(
        [
            Figure(words.number(facts.sending.recipients), words.say("audience")),
            Figure(
                words.number(totals["delivered"]),
                words.say("delivered_of"),
                f"{words.percent(totals['delivered'], meant)} {words.say('share_of_meant')}",
            ),
            Figure(words.number(missed), words.say("not_reached"), words.percent(missed, meant)),
            Figure(words.number(totals["unknown"]), words.say("unknown_now")),
            Figure(
                words.duration(at_ms - started) if at_ms and started else words.say("never"),
                words.say("reached_after", share=f"{_FIGURE_SHARE}%"),
            ),
        ]
    )
    for problem in facts.problems:
        yield Paragraph(words.say(f"wrong_{problem}"), "bad")
    if not facts.problems:
        counts = [words.number(totals[bucket]) for bucket in BUCKETS if totals[bucket]]
        equation = f"{' + '.join(counts)} = {words.number(facts.sending.recipients)}"
        yield Paragraph(words.say("adds_up", equation=rightwards(equation)), "good")


def _about(facts: Facts, words: Words) -> Iterator[Block]:
    """What the campaign was to do."""
    none = words.say("none")
    rows = [
        ("name", apart(facts.name)),
        ("id", apart(facts.campaign_id)),
        ("mode", words.say("mode_drill" if facts.drill else "mode_live")),
        ("kind", words.known("kinds", facts.kind)),
        ("agency", _agency(facts, words)),
        ("state", words.known("states", facts.state)),
        ("begins", words.time(facts.starts_ms) if facts.starts_ms else words.say("when_started")),
        ("ends", words.time(facts.expires_ms) if facts.expires_ms else none),
    ]
    if facts.legal_basis:
        rows.append(("legal_basis", apart(facts.legal_basis)))
        rows.append(("order", apart(facts.order)))
    if facts.most_parts_per_second:
        pace = words.say("per_second", n=words.decimal(facts.most_parts_per_second))
        rows.append(("most_pace", pace))
    rows.append(("put_together", words.known("audiences", facts.audience)))
    rows += [
        (
            "files",
            words.say(
                "file_line",
                name=apart(file.name),
                recipients=words.count("recipients", file.recipients),
                bad=words.number(sum(file.bad_rows.values())),
            ),
        )
        for file in facts.files
    ]
    rows += [("asked_for", apart(file.query)) for file in facts.files if file.query]
    if facts.rehearsed:
        to_send = [one for one in facts.rehearsed if one.bucket == "waiting"]
        line = words.say(
            "planned_line",
            recipients=words.count("recipients", sum(one.recipients for one in to_send)),
            parts=words.count("parts", sum(one.parts for one in to_send)),
        )
        rows.append(("planned", line))
    rows += [
        ("cost", f"{words.decimal(milli / 1000)} {apart(currency)}")
        for currency, milli in facts.cost_milli.items()
    ]
    yield Heading(words.say("about"))
    yield Table([Column(""), Column("")], [(words.say(entry), value) for entry, value in rows])
    for entry, texts in (("said", facts.texts), ("said_correction", facts.corrections)):
        if texts:
            yield Heading(words.say(entry))
        for text in texts:
            yield Quote(
                words.language_of(text.language),
                plain(text.template),
                text.language,
                "rtl" if base(text.template) == "R" else "ltr",
            )


def _timeline(facts: Facts, words: Words) -> Iterator[Block]:
    yield Heading(words.say("timeline"))
    yield Table(
        [Column(words.say(one)) for one in ("when", "what", "who", "why")],
        [
            (
                words.time(deed.at_ms),
                _deed(deed, words),
                _who(deed, words),
                _why(deed, words),
            )
            for deed in facts.timeline
        ],
    )


def _deed(deed: Deed, words: Words) -> str:
    if deed.refused:
        return words.say("refused", deed=words.known("attempts", deed.what))
    unit = "messages" if deed.what in ("takeover", "sending_over", "correcting_over") else ""
    count = words.count(unit or "recipients", deed.count) if deed.count >= 0 else ""
    return words.of("deeds", deed.what, partitions=deed.reason, count=count)


def _why(deed: Deed, words: Words) -> str:
    if deed.refused:
        return words.refusal(deed.refused)
    return apart(deed.reason) if deed.reason and deed.what != "takeover" else ""


def _who(deed: Deed, words: Words) -> str:
    if deed.subject and deed.subject != SERVICE and deed.what != "braked":
        return apart(deed.subject)
    by_service = ("rehearsed", "completed", "braked", "sending", "correcting", "takeover")
    return words.say("service") if deed.what.removesuffix("_over") in by_service else ""


def _buckets(sending: Sending, words: Words, heading: str) -> Iterator[Block]:
    """Where everybody is, with the sum."""
    if not sending.buckets:
        return
    yield Heading(words.say(heading))
    totals = sending.totals()
    yield bucket_chart(totals, words)
    rows: list[tuple[str, str, str]] = []
    minor = set[int]()
    for bucket in [*BUCKETS, *sorted(set(totals) - set(BUCKETS))]:
        if not totals[bucket]:
            continue
        rows.append(_row(words.known("buckets", bucket), totals[bucket], sending, words))
        for reason, count in sending.reasons(bucket).most_common():
            if reason:
                minor.add(len(rows))
                told = words.say("apart", reason=words.known("reasons", reason))
                rows.append(_row(told, count, sending, words))
    rows.append(_row(words.say("sum"), sending.recipients, sending, words))
    yield Table(
        [
            Column(words.say("bucket")),
            Column(words.say("recipients"), number=True),
            Column(words.say("share"), number=True),
        ],
        rows,
        frozenset(minor),
        total=True,
    )


def _row(name: str, count: int, sending: Sending, words: Words) -> tuple[str, str, str]:
    return name, words.number(count), words.percent(count, sending.recipients)


def _correction(facts: Facts, words: Words) -> Iterator[Block]:
    if facts.correction is None:
        return
    yield from _buckets(facts.correction, words, "correction")
    total = words.count("recipients", facts.correction.recipients)
    yield Paragraph(words.say("correction_line", total=total))
    if any(one.bucket == "delivered" for one in facts.correction.buckets):
        yield from reached(facts, facts.correction, words, alone=True)


def _faults(facts: Facts, words: Words) -> Iterator[Block]:
    """What went wrong on the way and was mended."""
    yield Heading(words.say("faults"))
    parts = [one for one in (facts.sending, facts.correction) if one is not None]
    takeovers = merged(parts)
    counts = [
        (words.say("takeovers"), len(takeovers)),
        (words.say("lost_claims"), sum(one.claims for one in takeovers)),
    ]
    for reason in sorted({reason for part in parts for reason in part.released}):
        told = words.say("released", reason=words.known("reasons", reason))
        counts.append((told, sum(part.released.get(reason, 0) for part in parts)))
    counts += [
        (words.say("brakes"), sum(deed.what == "braked" for deed in facts.timeline)),
        (words.say("refusals"), sum(bool(deed.refused) for deed in facts.timeline)),
    ]
    rows = [(told, words.number(count)) for told, count in counts if count]
    if rows:
        columns = [Column(words.say("fault")), Column(words.say("times"), number=True)]
        yield Table(columns, rows)
    else:
        yield Paragraph(words.say("no_faults"))


def _made(facts: Facts, words: Words, again: str) -> Iterator[Block]:
    yield Heading(words.say("made"))
    records = words.count("records", facts.made.records)
    command = rightwards(f"mawja campaign report {facts.campaign_id} --again {again}")
    yield Paragraph(words.say("made_from", records=records, command=command), "note")
    yield Paragraph(words.say("made_without"), "note")
    yield Table(
        [Column(words.say("topic")), Column(words.say("through"))],
        [
            (
                apart(topic),
                rightwards("  ".join(f"{partition}:{end}" for partition, end in ends.items())),
            )
            for topic, ends in facts.made.through.items()
        ],
    )
