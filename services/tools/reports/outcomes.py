"""Tells what became of a campaign's messages: when people were reached, by language and carrier,
how fast, and what did not arrive. Pure, given the words.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from services.tools.reports.charts import (
    COLOURS,
    Bar,
    Curve,
    Piece,
    bars,
    columns,
    curve,
    stacked,
    thinned,
    ticks,
)
from services.tools.reports.document import Block, Chart, Column, Heading, Paragraph, Table
from services.tools.reports.facts import (
    AGES_MS,
    BUCKETS,
    LATENCIES_MS,
    SHARES,
    Facts,
    Placed,
    Sending,
    histogram,
    may_be_reached,
    middle,
    paces,
    pauses,
    reached_at,
)
from services.tools.reports.words import Words, apart

_MARKS = 5


def bucket_chart(totals: Mapping[str, int], words: Words) -> Chart:
    """A bar for each bucket that holds somebody."""
    everybody = sum(totals.values())
    rows = [
        Bar(
            words.of("buckets", bucket),
            totals[bucket],
            COLOURS[bucket],
            f"{words.number(totals[bucket])} ({words.percent(totals[bucket], everybody)})",
        )
        for bucket in BUCKETS
        if totals.get(bucket)
    ]
    says = words.say("buckets")
    return Chart(bars(rows, words.direction, says), says)


def reached(facts: Facts, sending: Sending, words: Words, alone: bool = False) -> Iterator[Block]:
    """When people were reached. `alone`: only all together, without a heading."""
    if not sending.buckets:
        return
    if not alone:
        yield Heading(words.say("reached"))
    times = sending.delivered_ms()
    totals = sending.totals()
    if not times:
        yield Paragraph(words.say("nobody"))
        return
    yield _over_time(facts, sending, times, words)
    if not alone:
        yield Paragraph(words.say("reached_key"), "note")
    rows = [_when(words.say("all"), totals, times, sending.first_ms, words)]
    if not alone:
        for code, counts in sorted(sending.by(lambda one: one.language).items()):
            if code and may_be_reached(counts):
                own = sending.delivered_ms(language=code)
                rows.append(_when(words.language_of(code), counts, own, sending.first_ms, words))
        for carrier, counts in sorted(sending.by(lambda one: one.carrier).items()):
            if carrier:
                own = sending.delivered_ms(carrier=carrier)
                rows.append(_when(apart(carrier), counts, own, sending.first_ms, words))
    yield Table(
        [
            Column(words.say("group")),
            Column(words.say("could"), number=True),
            Column(words.say("got"), number=True),
            *(Column(words.say("at_share", share=f"{share}%")) for share in SHARES),
        ],
        rows,
    )


def _when(
    name: str, counts: Mapping[str, int], times: Sequence[int], first: int, words: Words
) -> tuple[str, ...]:
    meant = may_be_reached(counts)
    at = reached_at(times, meant).values()
    return (
        name,
        words.number(meant),
        words.number(len(times)),
        *(words.say("never") if when is None else words.near(when, first) for when in at),
    )


def _over_time(facts: Facts, sending: Sending, times: Sequence[int], words: Words) -> Chart:
    first, meant = min(sending.first_ms, times[0]), may_be_reached(sending.totals())
    last = max(times[-1], first + 1)
    marks = [first + (last - first) * mark // (_MARKS - 1) for mark in range(_MARKS)]
    shown = Curve(
        points=[(first, 0), *thinned(times)],
        across=[(at, words.near(at, first)) for at in marks],
        up=[(count, words.number(count)) for count in ticks(meant)],
        levels=[(-(-meant * share // 100), f"{share}%") for share in SHARES],
        held=pauses(facts.timeline, last),
    )
    says = words.say("reached_alt")
    return Chart(curve(shown, words.direction, says), says)


def by_language(sending: Sending, words: Words) -> Iterator[Block]:
    """What became of the messages in each language."""

    def name(code: str) -> str:
        return words.language_of(code)

    yield from _groups(sending, words, "by_language", "language", lambda one: one.language, name)


def by_carrier(facts: Facts, words: Words) -> Iterator[Block]:
    """What became of them at each carrier, and how fast it took them."""

    def name(carrier: str) -> str:
        return apart(carrier) if carrier else words.say("no_carrier")

    sending = facts.sending
    yield from _groups(sending, words, "by_carrier", "carrier", lambda one: one.carrier, name)
    agreed = {one.carrier: one.parts_per_second for one in facts.agreed}
    found = paces(sending, pauses(facts.timeline, facts.made.at_ms))
    if not found:
        return
    yield Heading(words.say("pace"))
    yield Table(
        [
            Column(words.say("carrier")),
            *(
                Column(words.say(one), number=True)
                for one in ("parts", "mean_pace", "peak_pace", "agreed_pace")
            ),
        ],
        [
            (
                apart(pace.carrier),
                words.number(pace.parts),
                words.decimal(pace.mean),
                words.decimal(pace.peak),
                words.decimal(agreed[pace.carrier])
                if pace.carrier in agreed
                else words.say("no_agreed"),
            )
            for pace in found
        ],
    )
    yield Paragraph(words.say("pace_key"), "note")


def _groups(
    sending: Sending,
    words: Words,
    heading: str,
    column: str,
    key: Callable[[Placed], str],
    name: Callable[[str], str],
) -> Iterator[Block]:
    groups = sending.by(key)
    if not groups:
        return
    yield Heading(words.say(heading))
    # Who has no group comes last.
    ordered = sorted(groups.items(), key=lambda item: (not item[0], -sum(item[1].values())))
    says = words.say(heading)
    picture = stacked(
        [(name(code), _pieces(counts, words), _all(counts, words)) for code, counts in ordered],
        words.direction,
        says,
    )
    yield Chart(picture, says)
    shown = ("delivered", "failed", "unknown")
    rows = []
    for title, counts in [
        *((name(code), counts) for code, counts in ordered),
        (words.say("sum"), sending.totals()),
    ]:
        rest = sum(counts.values()) - sum(counts[bucket] for bucket in shown)
        rows.append(
            (
                title,
                *(words.number(counts[bucket]) for bucket in shown),
                words.number(rest),
                _all(counts, words),
            )
        )
    yield Table(
        [
            Column(words.say(column)),
            *(Column(words.of("buckets", bucket), number=True) for bucket in shown),
            Column(words.say("other"), number=True),
            Column(words.say("sum"), number=True),
        ],
        rows,
        total=True,
    )


def _pieces(counts: Counter[str], words: Words) -> list[Piece]:
    return [
        Piece(words.of("buckets", bucket), counts[bucket], COLOURS[bucket]) for bucket in BUCKETS
    ]


def _all(counts: Mapping[str, int], words: Words) -> str:
    return words.number(sum(counts.values()))


def latency(sending: Sending, words: Words) -> Iterator[Block]:
    """How long it took from the carrier to the handset."""
    half, most = middle(sending.latencies_ms, 50), middle(sending.latencies_ms, 95)
    if half is None or most is None:
        return
    counts = histogram(sending.latencies_ms, LATENCIES_MS)
    names = [words.say("up_to", time=words.duration(end)) for end in LATENCIES_MS]
    names.append(words.say("beyond", time=words.duration(LATENCIES_MS[-1])))
    last = max(number for number, count in enumerate(counts) if count)
    rows = [
        (name, count, words.number(count) if count else "")
        for name, count in list(zip(names, counts, strict=True))[: last + 1]
    ]
    says = words.say("latency")
    yield Heading(says)
    yield Chart(columns(rows, words.direction, says), says)
    yield Paragraph(words.say("latency_line", half=words.duration(half), most=words.duration(most)))


def undelivered(sending: Sending, now_ms: int, words: Words) -> Iterator[Block]:
    """What failed and why; what is unknown and since when."""
    if not sending.buckets:
        return
    yield Heading(words.say("failures"))
    failed = sending.reasons("failed", "expired", "suppressed")
    if failed:
        total = sum(failed.values())
        yield Table(
            [
                Column(words.say("reason")),
                Column(words.say("recipients"), number=True),
                Column(words.say("share"), number=True),
            ],
            [
                (words.known("reasons", why), words.number(count), words.percent(count, total))
                for why, count in [*failed.most_common()]
            ]
            + [(words.say("sum"), words.number(total), words.percent(total, total))],
            total=True,
        )
    else:
        yield Paragraph(words.say("nothing"))
    yield Heading(words.say("unknowns"))
    if not sending.unknown_since:
        yield Paragraph(words.say("nothing"))
        return
    ages = [words.say("up_to", time=words.duration(end)) for end in AGES_MS]
    ages.append(words.say("beyond", time=words.duration(AGES_MS[-1])))
    rows = []
    for why in sorted({why for _, why in sending.unknown_since}):
        counts = histogram(
            [max(0, now_ms - since) for since, reason in sending.unknown_since if reason == why],
            AGES_MS,
        )
        rows.append((words.known("reasons", why), *map(words.number, counts)))
    yield Table([Column(words.say("reason")), *(Column(age, number=True) for age in ages)], rows)
    oldest = words.duration(max(0, now_ms - sending.unknown_since[0][0]))
    yield Paragraph(words.say("oldest", time=oldest))
    yield Paragraph(words.say("unknown_key"), "note")
