"""Who was reached when, who was called back, which calls were not needed. Pure, given the words."""

from collections import Counter
from collections.abc import Iterator, Sequence

from services.tools.afteraction.callbacks import OPEN, STATES
from services.tools.afteraction.facts import Facts, Origin, Share
from services.tools.afteraction.saying import Saying
from services.tools.effects.measuring import Part
from services.tools.reports.charts import (
    COLOURS,
    Bar,
    Curve,
    Piece,
    bars,
    curve,
    stacked,
    thinned,
    ticks,
)
from services.tools.reports.document import Block, Chart, Column, Heading, Paragraph, Table
from services.tools.reports.facts import BUCKETS, may_be_reached, middle, reached_at
from services.tools.reports.facts import Facts as CampaignFacts
from services.tools.reports.words import apart, rightwards

_LATE = ("failed", "expired")
_OPEN = ("waiting", "under_way")
_MARKS, _SHARE = 5, 95
_STATE_COLOURS = {
    "completed": "#009e73",
    "withdrawn": "#56b4e9",
    "given_up": "#d55e00",
    "claimed": "#e69f00",
    "later": "#a8c4d8",
    "due": "#cc79a7",
}


def reached(facts: Facts, saying: Saying) -> Iterator[Block]:
    """Messages that the system asked for, then campaigns."""
    words = saying.words
    if not facts.whole["contacts"] and not facts.sent():
        return
    yield Heading(saying.say("reached"), fresh=True)
    if not facts.sent():
        yield Paragraph(saying.say("no_messages"))
        return
    yield Paragraph(saying.say("reached_intro"))
    people = words.count("people", facts.people_reached)
    yield Paragraph(saying.say("people_reached", people=people))
    if facts.reached_ms:
        yield _over_time(facts.reached_ms, saying)
    if facts.origins:
        yield _picture([(_step(one, saying), one.buckets) for one in facts.origins], saying)
        yield _steps(facts.origins, saying)
        yield Paragraph(saying.say("buckets_key"), "note")
        yield Heading(saying.say("by_language_messages"))
        yield _languages(facts.origins, saying)
    if facts.proposals:
        yield Heading(saying.say("proposals"))
        yield _proposals(facts, saying)
    yield Heading(saying.say("campaigns"))
    if facts.campaigns:
        yield Paragraph(
            saying.say("campaign_more", command=rightwards("mawja campaign report ID")), "note"
        )
        yield _campaigns(facts.campaigns, saying)
    else:
        yield Paragraph(saying.say("no_campaigns"))


def _step(origin: Origin, saying: Saying) -> str:
    return saying.words.known("steps", origin.step)


def _over_time(at_ms: Sequence[int], saying: Saying) -> Chart:
    words = saying.words
    first, last = at_ms[0], max(at_ms[-1], at_ms[0] + 1)
    marks = [first + (last - first) * mark // (_MARKS - 1) for mark in range(_MARKS)]
    shown = Curve(
        points=[(first, 0), *thinned(at_ms)],
        across=[(at, words.near(at, first)) for at in marks],
        up=[(count, words.number(count)) for count in ticks(len(at_ms))],
        levels=[],
    )
    says = saying.say("over_time_alt")
    return Chart(curve(shown, words.direction, says), says)


def _picture(rows: Sequence[tuple[str, Counter[str]]], saying: Saying) -> Chart:
    words, says = saying.words, saying.say("reached")
    bars_ = [
        (
            name,
            [Piece(words.of("buckets", one), buckets[one], COLOURS[one]) for one in BUCKETS],
            words.number(sum(buckets.values())),
        )
        for name, buckets in rows
    ]
    return Chart(stacked(bars_, words.direction, says), says)


def _sums(buckets: Counter[str], saying: Saying) -> list[str]:
    every, delivered, unknown = sum(buckets.values()), buckets["delivered"], buckets["unknown"]
    late, under_way = (sum(buckets[one] for one in some) for some in (_LATE, _OPEN))
    # Whatever else there is was never meant to be sent.
    kept_back = every - delivered - late - unknown - under_way
    return [
        saying.words.number(count)
        for count in (every, delivered, late, kept_back, unknown, under_way)
    ]


_HEADS = ("head_delivered", "head_not", "head_withheld", "head_unknown", "head_open")


def _steps(origins: Sequence[Origin], saying: Saying) -> Table:
    rows = []
    for one in origins:
        times = (middle(one.took_ms, share) for share in (50, _SHARE))
        took = (saying.say("none") if ms is None else saying.seconds(ms / 1000) for ms in times)
        rows.append((_step(one, saying), *_sums(one.buckets, saying), *took))
    every = sum((one.buckets for one in origins), Counter[str]())
    rows.append((saying.say("sum"), *_sums(every, saying), "", ""))
    columns = [
        Column(saying.say("kind_of_message")),
        *saying.numbers("asked", *_HEADS),
        Column(saying.say("half_in")),
        Column(saying.say("most_in")),
    ]
    return Table(columns, rows, total=True)


def _languages(origins: Sequence[Origin], saying: Saying) -> Table:
    found: dict[str, Counter[str]] = {}
    for origin in origins:
        for code, buckets in origin.by_language.items():
            found.setdefault(code, Counter()).update(buckets)
    ordered = sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    columns = [Column(saying.say("language")), *saying.numbers("asked", *_HEADS)]
    rows = [(saying.words.language_of(code), *_sums(own, saying)) for code, own in ordered]
    return Table(columns, rows)


def _proposals(facts: Facts, saying: Saying) -> Table:
    words = saying.words
    rows = []
    for one in facts.proposals:
        after = saying.say("none")
        if one.burst_ms and not facts.replayed:
            after = saying.seconds(max(0, one.proposed_ms - one.burst_ms) / 1000)
        rows.append(
            (
                saying.subject(one.dimension, one.about),
                words.near(one.proposed_ms, facts.made.at_ms),
                after,
                words.of("proposal_states", one.state),
                words.number(one.people),
                words.number(round(one.avoided)),
            )
        )
    columns = [
        *(
            Column(saying.say(entry))
            for entry in ("proposal_about", "proposal_at", "proposal_after", "proposal_state")
        ),
        *saying.numbers("fig_people", "proposal_expected"),
    ]
    return Table(columns, rows)


def _campaigns(campaigns: Sequence[CampaignFacts], saying: Saying) -> Table:
    rows = []
    for one in campaigns:
        parts = [(one.name, one.sending)]
        if one.correction is not None:
            parts.append((saying.say("correction"), one.correction))
        for name, sending in parts:
            totals = sending.totals()
            at = reached_at(sending.delivered_ms(), may_be_reached(totals))[_SHARE]
            took = (
                saying.seconds((at - sending.first_ms) / 1000)
                if at is not None and sending.first_ms
                else saying.say("never")
            )
            rows.append((apart(name), *_sums(totals, saying), took))
    columns = [
        Column(saying.say("campaign")),
        *saying.numbers("head_audience", *_HEADS),
        Column(saying.say("first_to_last")),
    ]
    return Table(columns, rows)


def callbacks(facts: Facts, saying: Saying) -> Iterator[Block]:
    """Who was to be called back, and what became of it."""
    words = saying.words
    if not facts.whole["contacts"]:
        return
    yield Heading(saying.say("callbacks"), fresh=True)
    yield Paragraph(saying.say("callbacks_key"))
    if not facts.callbacks:
        yield Paragraph(saying.say("no_callbacks"))
        return
    states, all_of = facts.callback_states(), len(facts.callbacks)
    says = saying.say("callbacks")
    rows = [
        Bar(
            words.of("callback_states", state),
            states[state],
            _STATE_COLOURS[state],
            f"{words.number(states[state])} ({words.percent(states[state], all_of)})",
        )
        for state in STATES.values()
        if states[state]
    ]
    yield Chart(bars(rows, words.direction, says), says)
    table = [(bar.name, words.number(bar.value), words.percent(bar.value, all_of)) for bar in rows]
    table.append((saying.say("sum"), words.number(all_of), words.percent(all_of, all_of)))
    columns = [Column(saying.say("callback_state")), *saying.numbers("count", "share")]
    yield Table(columns, table, total=True)
    waited = facts.waited_ms()
    half, most = middle(waited, 50), middle(waited, 90)
    if half is not None and most is not None:
        yield Paragraph(
            saying.say("callbacks_waited", half=words.duration(half), most=words.duration(most))
        )
    life = [one for one in facts.callbacks if one.life_safety]
    if life:
        left = sum(one.state in OPEN for one in life)
        every, opened = words.number(len(life)), words.number(left)
        told = saying.say("callbacks_life", all=every, open=opened)
        yield Paragraph(told, "bad") if left else Paragraph(told)


def avoided(facts: Facts, saying: Saying) -> Iterator[Block]:
    """Calls that were not needed, as far as the log can tell."""
    words, known = saying.words, facts.avoided
    if not facts.whole["contacts"]:
        return
    yield Heading(saying.say("avoided"))
    joined = words.count("contacts", known.joined)
    yield Paragraph(saying.say("avoided_joined", contacts=joined))
    if facts.replayed:
        yield Paragraph(saying.say("avoided_replayed"), "note")
    elif known.answered is not None and known.answered.whole:
        yield Paragraph(
            saying.say(
                "avoided_answered",
                cases=words.count("cases", known.answered.whole),
                part=words.number(known.answered.part),
                share=words.percent(known.answered.part, known.answered.whole),
            )
        )
    else:
        yield Paragraph(saying.say("avoided_none"))
    if known.told is not None and known.untold is not None and known.told.whole:
        rows = [
            _again("avoided_told", known.told, saying),
            _again("avoided_untold", known.untold, saying),
        ]
        columns = [
            Column(saying.say("avoided_group")),
            *saying.numbers("count", "avoided_again", "share", "avoided_interval"),
        ]
        yield Table(columns, rows)
        yield Paragraph(saying.say("avoided_key"), "note")
    if facts.effects:
        yield from _effects(facts, saying)
    elif facts.campaigns:
        yield Paragraph(saying.say("no_held_back"), "note")


def _effects(facts: Facts, saying: Saying) -> Iterator[Block]:
    """What campaigns did to calls, where a share was held back."""
    rows = []
    for one in facts.campaigns:
        effect = facts.effects.get(one.campaign_id)
        if effect is not None:
            found, low, high = (f"{number:,.0f}" for number in effect.avoided)
            told = rightwards(f"{found} ({low} … {high})") if effect.known else saying.say("none")
            rows.append((apart(one.name), _called(effect.sent, saying),
                         _called(effect.held, saying), told))  # fmt: skip
    heads = ("effect_sent", "effect_held", "effect_avoided")
    yield Table([Column(saying.say("campaign")), *(Column(saying.say(one)) for one in heads)], rows)
    command = rightwards("mawja campaign effect ID")
    yield Paragraph(saying.say("effect_key", command=command), "note")


def _called(part: Part, saying: Saying) -> str:
    words = saying.words
    return saying.say(
        "effect_part",
        called=words.number(part.callers),
        people=words.number(part.people),
        share=words.percent(part.callers, part.people),
    )


def _again(entry: str, share: Share, saying: Saying) -> tuple[str, ...]:
    words = saying.words
    low, high = share.interval()
    return (
        saying.say(entry),
        words.number(share.whole),
        words.number(share.part),
        words.percent(share.part, share.whole),
        rightwards(f"{low * 100:.0f}–{high * 100:.0f}%") if share.whole else saying.say("none"),
    )
