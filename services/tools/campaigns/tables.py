"""How a campaign is laid out for a terminal: narrow ones too. Pure.

What people wrote in any script stands on a line of its own or in a table's last column, so that
nothing after it can be displaced.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BucketCount,
    CallsBack,
    Campaign,
    CampaignDeed,
    CampaignText,
    RecipientSample,
    Rehearsal,
)
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from services.broadcast.texts.template import TemplateError, differences, parse
from services.tools.campaigns import words
from services.tools.campaigns.words import said, when

GOES = campaigns_pb2.BUCKET_WAITING
Lines = list[RenderableType]
_SHORT_ID = 8
_EXAMPLES = 6
_GAP = "field-missing"
_TOGETHER = "+"
_STATES = {
    "rehearsed": "cyan",
    "approved": "bold cyan",
    "running": "bold green",
    "paused": "bold yellow",
    "completed": "green",
    "cancelled": "red",
    "recalled": "red",
}
_BUCKETS = {"delivered": "green", "failed": "red", "unknown": "yellow", "expired": "yellow"}


def mark(campaign: Campaign) -> Text:
    """Whether it reaches people: never to be taken for the other."""
    if campaign.plan.drill:
        return Text(" DRILL ", style="black on yellow")
    return Text(" LIVE ", style="bold white on red")


def head(campaign: Campaign) -> Lines:
    """What it is and how it stands."""
    state = words.name_of(campaign, "state")
    line = Text.assemble(mark(campaign), (f" {state}", _STATES.get(state, "")))
    if campaign.plan.kind == events_pb2.CAMPAIGN_KIND_EMERGENCY:
        line.append(" emergency", style="bold red")
    return [line, Text(said(campaign.plan.name), style="bold"), Text(campaign.campaign_id)]


def why_it_waits(campaign: Campaign, now_ms: int, zone: tzinfo | None = None) -> list[Text]:
    """What a person wants to know who sees that nothing goes."""
    found = []
    paused = campaign.state == campaigns_pb2.CAMPAIGN_STATE_PAUSED
    if paused and campaign.paused.subject == "brake":
        found.append(Text("held by the brake: too many of its messages fail", style="bold yellow"))
    elif paused:
        found.append(Text(_deed("held by", campaign.paused, zone), style="yellow"))
    running = campaign.state == campaigns_pb2.CAMPAIGN_STATE_RUNNING
    if running and campaign.plan.starts_ms > now_ms:
        found.append(Text(f"begins at {when(campaign.plan.starts_ms, zone)}", style="yellow"))
    if campaign.waits:
        found.append(Text(said(campaign.waits), style="yellow"))
    return found


def how_old(counted_ms: int, zone: tzinfo | None = None) -> list[Text]:
    """What a person must know who is shown buckets that may not be so any more, or none. As
    `counted_ms` of campaigns.proto."""
    if not counted_ms:
        return []
    at = "not known" if counted_ms < 0 else f"known as of {words.hour(counted_ms, zone)} only"
    told = f"where its recipients are is {at}: the counts can't be read now"
    return [Text(told, style="bold yellow")]


def deeds(campaign: Campaign, zone: tzinfo | None = None) -> list[Text]:
    """Who did what, and when."""
    told = [("made by", "made"), ("approved by", "approved"), ("started by", "started")]
    if campaign.changed != campaign.made:
        told.insert(1, ("changed by", "changed"))
    told.append((f"{words.name_of(campaign, 'state')} by", "ended"))
    told.append(("whole numbers exported by", "exported"))
    return [
        Text(_deed(what, getattr(campaign, name), zone))
        for what, name in told
        if campaign.HasField(name)  # type: ignore[arg-type]
    ]


def _deed(what: str, deed: CampaignDeed, zone: tzinfo | None) -> str:
    why = f": {said(deed.reason)}" if deed.reason else ""
    return f"{what} {said(deed.subject)}, {when(deed.done_ms, zone)}{why}"


def plan(campaign: Campaign, zone: tzinfo | None = None) -> Lines:
    """What it says, when, and what is particular about it."""
    wanted = campaign.plan
    about = [f"for {said(wanted.agency) or 'the centre'}", f"language {said(wanted.language)}"]
    if wanted.starts_ms:
        about.append(f"from {when(wanted.starts_ms, zone)}")
    about.append(f"until {when(wanted.expires_ms, zone)}")
    found: Lines = [Text(", ".join(about))]
    if wanted.accept_missing:
        found.append(Text("who has no text in their language gets the campaign's", style="yellow"))
    if wanted.held_back:
        told = f"{wanted.held_back:.0%} of those who would get it are held back, to compare"
        found.append(Text(told))
    if wanted.most_parts_per_second:
        found.append(Text(f"at most {wanted.most_parts_per_second:,g} parts/s"))
    if wanted.HasField("override"):
        law = wanted.override
        also = ", also to who opted out" if law.ignores_opt_out else ""
        line = f"rules give way by {said(law.legal_basis)}{also}: {said(law.order)}"
        found.append(Text(line, style="bold red"))
    found += texts("says", wanted.texts)
    found += _unlike(wanted.texts, wanted.language)
    if wanted.corrections:
        found += texts("would correct itself so", wanted.corrections)
        found += _unlike(wanted.corrections, wanted.language)
    else:
        found.append(Text("no corrections: nobody can approve it so", style="yellow"))
    return found


def texts(title: str, some: Iterable[CampaignText]) -> Lines:
    """Texts, a language on a line of its own."""
    found: Lines = [Text(f"{title}:")]
    for one in some:
        found.append(Text(f"  {one.language}", style="bold"))
        found += [Text(f"    {line}") for line in words.said_lines(one.template)]
    return found


def _unlike(some: Iterable[CampaignText], language: str) -> Lines:
    """Where a translation has other placeholders than the text in the campaign's own language."""
    try:
        read = {one.language: parse(one.language, one.template) for one in some}
    except TemplateError:
        return []
    faults = differences(read, language) if language in read else ()
    return [Text(f"look again: {said(str(one))}", style="yellow") for one in faults]


def excluded(some: Mapping[str, int]) -> Table:
    """Who is left out, by reason."""
    table = figures("left out", "recipients")
    for reason, count in sorted(some.items()):
        table.add_row(Text(said(reason), "yellow"), f"{count:,}")
    return table


def languages(some: Mapping[str, int]) -> str:
    """How many there are of each language, the most first."""
    ranked = sorted(some.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{language or 'not said'} {count:,}" for language, count in ranked)


def figures(*headings: str, right: Sequence[str] = ("recipients", "parts", "share")) -> Table:
    """A table to be filled; columns named `right` hold figures."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left")
    return table


def buckets(counts: Sequence[BucketCount], title: str = "") -> Lines:
    """Where all recipients are, with the reasons below each."""
    recipients, reasons = Counter[int](), Counter[tuple[int, str]]()
    names: dict[int, str] = {}
    for one in counts:
        names[one.bucket] = words.name_of(one, "bucket")
        recipients[one.bucket] += one.recipients
        reasons[one.bucket, one.reason] += one.recipients
    total = sum(recipients.values())
    table = figures(title, "recipients", "share")
    for bucket in sorted(recipients):
        name, style = names[bucket], _BUCKETS.get(names[bucket], "")
        table.add_row(
            Text(name, style), f"{recipients[bucket]:,}", _share(recipients[bucket], total)
        )
        for (of, reason), count in sorted(reasons.items()):
            if of == bucket and reason:
                table.add_row(Text(f"  {said(reason)}", "dim"), Text(f"{count:,}", "dim"), "")
    table.add_row(Text("all", "bold"), Text(f"{total:,}", "bold"), "")
    return [table]


def oldest(counts: Sequence[BucketCount], zone: tzinfo | None = None) -> Text:
    """Since when the unknown are."""
    since = [one.oldest_ms for one in counts if one.oldest_ms]
    return Text(f"unknown since {when(min(since), zone)}" if since else "", style="yellow")


def _share(count: int, total: int) -> str:
    if not total:
        return ""
    # Nobody must read that there are none of what there is one.
    return "< 0.1 %" if 0 < count < total / 1000 else f"{100 * count / total:.1f} %"


def goes(counts: Sequence[BucketCount]) -> int:
    """Recipients to whom a message would go."""
    return sum(one.recipients for one in counts if one.bucket == GOES)


def left_out(counts: Sequence[BucketCount]) -> Counter[str]:
    """Those to whom none would, by reason."""
    found = Counter[str]()
    for one in counts:
        if one.bucket != GOES:
            bucket = words.name_of(one, "bucket")
            found[one.reason if one.reason else bucket] += one.recipients
    return found


def rehearsal(seen: Campaign, zone: tzinfo | None = None) -> Lines:
    """What its rehearsal found: who would get it by which carrier, who not and why, cost, time."""
    found = seen.rehearsal
    table = figures("carrier", "language", "recipients", "parts", "")
    parts = 0
    for one in found.buckets:
        if one.bucket == GOES:
            parts += one.parts
            later = f"later: {one.reason}" if one.reason else ""
            table.add_row(one.carrier, one.language, f"{one.recipients:,}", f"{one.parts:,}", later)
    table.add_row(
        *(Text(cell, "bold") for cell in ("all", "", f"{goes(found.buckets):,}", f"{parts:,}"))
    )
    lines: Lines = [Text(f"rehearsed {when(found.rehearsed_ms, zone)}; nothing was sent"), table]
    if not goes(found.buckets):
        lines.append(Text("nobody would get it", style="bold red"))
    out = left_out(found.buckets)
    if out:
        lines.append(excluded(out))
    lines += [Text(said(one), style="bold yellow") for one in gaps(found)]
    if found.without_text:
        line = f"no text in their language: {languages(found.without_text)}"
        if seen.plan.accept_missing:
            lines.append(Text(f"{line}; they get the campaign's", style="yellow"))
        else:
            what = "write it, or set accept_missing: nobody can approve it so"
            lines.append(Text(f"{line}; {what}", style="bold red"))
    for eta in found.etas:
        name = f"{eta.carrier}, {eta.language}" if eta.language else eta.carrier
        lines.append(Text(f"{name}: {eta.parts:,} parts in {words.lasting(eta.takes_ms)}"))
    if (most := seen.plan.most_parts_per_second) and parts:
        # The carriers' own pace says nothing when the plan asks for less.
        takes = words.lasting(int(parts / most * 1000))
        lines.append(Text(f"at most {most:,g} parts/s, as the plan says: all of it in {takes}"))
    for currency, milli in sorted(found.cost_milli.items()):
        lines.append(Text(f"cost: {milli / 1000:,.3f} {currency}"))
    if found.HasField("calls_back"):
        lines += _calls_back(found.calls_back)
    if found.samples:
        examples = figures("for example", "language", "parts")
        # Of every language some.
        turn = Counter[str]()
        ranked: list[tuple[int, int, RecipientSample]] = []
        for sample in found.samples:
            turn[sample.language] += 1
            ranked.append((turn[sample.language], len(ranked), sample))
        for _, _, sample in sorted(ranked, key=lambda one: one[:2])[:_EXAMPLES]:
            examples.add_row(sample.masked_number, sample.language, str(sample.parts))
        lines.append(examples)
    lines.append(Text(f"hash {found.hash.hex()}", overflow="fold"))
    return lines


def _calls_back(found: CallsBack) -> Lines:
    told = f"brings back about {found.calls:,.0f} calls: {found.share:.1%} of {found.recipients:,}"
    if found.campaigns:
        low, high = (
            max(0.0, one) * found.recipients for one in (found.share_low, found.share_high)
        )
        told += f", from {low:,.0f} to {high:,.0f}"
    lines: Lines = [Text(told), Text(f"  {said(found.source)}", style="dim")]
    if found.HasField("room_per_minute"):
        free = found.room_per_minute
        line = f"  agents have room for {free:,.0f} calls/min now"
        if found.calls and free:
            line += f", so for all of them in {words.lasting(int(found.calls / free * 60_000))}"
        lines.append(Text(line, style="" if free else "bold yellow"))
    return lines


def gaps(found: Rehearsal) -> Iterator[str]:
    """Placeholders that rows can't fill: where, of how many, and what comes of it."""
    for one in found.gaps:
        of = sum(
            bucket.recipients
            for bucket in found.buckets
            if one.language in bucket.language.split(_TOGETHER)
            and (bucket.bucket == GOES or (bucket.reason == _GAP and not one.correction))
        )
        what = "too long" if one.too_long else "missing"
        rows = f"all {of:,} rows" if one.recipients >= of else f"{one.recipients:,} of {of:,} rows"
        text = "the correction" if one.correction else "the text"
        comes = "; they could not be told by a recall" if one.correction else ""
        yield f"{{{one.field}}} in {text} ({one.language}) is {what} in {rows}{comes}"


def many(some: Sequence[Campaign], zone: tzinfo | None = None) -> RenderableType:
    """A list of campaigns; ids as short as tells them apart."""
    if not some:
        return Text("no campaigns")
    length = short_length([one.campaign_id for one in some])
    table = figures("id", "", "state", "recipients", "changed", "name")
    # A person types it: of all columns this one keeps its letters on a narrow terminal.
    table.columns[0].min_width = length
    for one in some:
        state = words.name_of(one, "state")
        last = max(
            (getattr(one, name) for name in ("changed", "approved", "started", "paused", "ended")),
            key=lambda deed: deed.done_ms,
        )
        count = sum(bucket.recipients for bucket in one.rehearsal.buckets)
        table.add_row(
            one.campaign_id[:length],
            mark(one),
            Text(state, _STATES.get(state, "")),
            f"{count:,}" if one.HasField("rehearsal") else "–",
            when(last.done_ms, zone),
            Text(said(one.plan.name)),
        )
    return table


def short_length(names: Sequence[str]) -> int:
    """Letters from the beginning that tell these ids apart, at least 8."""
    length = _SHORT_ID
    while len({name[:length] for name in names}) < len(set(names)):
        length += 1
    return length


def short(campaign: Campaign) -> str:
    """As much of an id as a person types."""
    return campaign.campaign_id[:_SHORT_ID]
