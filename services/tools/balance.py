"""The account of a running system as a person reads it on a terminal. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtests.ledger import Bucket
from services.tools.account import Balance
from services.tools.screen import complaints, figures

_MEANING = {
    "opened": "opened a case",
    "linked": "joined a case",
    "passed over": "dedup went past them",
    "set aside": "in a dead letter",
}
_WAITS_FOR = {
    "waiting": "not judged yet",
    "queued": "in their lane, for the carrier",
    "claimed": "a sender has them",
    "submitted": "at the carrier, wait for the receipt",
    "unknown": "the carrier may have them",
    "set aside": "in a dead letter",
}
# Rows that say something only when there is something in them.
_QUIET = ("set aside", "passed over")
_NAMES = 14
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def render(balance: Balance) -> RenderableType:
    """The account, and whether it adds up."""
    standing = balance.standing
    at = datetime.fromtimestamp(balance.at_ms / 1000, UTC)
    parts: list[RenderableType] = [
        Text(f"as of {at:%Y-%m-%d %H:%M:%S} UTC, read in {balance.read_s:.1f} s"),
        _buckets("Contacts", standing.contacts, "accepted", standing.accepted, _MEANING),
        _buckets(
            "Messages",
            standing.messages,
            "asked for",
            standing.asked_for,
            _WAITS_FOR,
            f"{standing.by_outreach:,} by outreach, {standing.by_hand:,} by hand, "
            f"{standing.for_campaigns:,} for campaigns",
        ),
        _others(balance),
    ]
    parts += complaints(balance.wrong)
    if balance.good:
        parts.append(Text("It adds up.", style="bold green"))
    return Group(*parts)


def line(balance: Balance) -> str:
    """The account in a line, for watching."""
    standing, m = balance.standing, balance.standing.messages
    waiting = standing.contacts["waiting"].count
    at = datetime.fromtimestamp(balance.at_ms / 1000, UTC)
    under_way = sum(m[name].count for name in ("waiting", "queued", "claimed", "submitted"))
    told = "adds up" if balance.good else "DOES NOT ADD UP: " + "; ".join(balance.wrong)
    return (
        f"{at:%H:%M:%S} · {standing.accepted:,} contacts ({waiting:,} waiting) · "
        f"{standing.asked_for:,} messages ({under_way:,} under way, "
        f"{m['delivered'].count:,} delivered, {m['unknown'].count:,} unknown) · "
        f"{sum(standing.dead_letters.values()):,} dead letters · {told}"
    )


_ALWAYS = ("due", "withdrawn")


def _buckets(
    title: str,
    buckets: Mapping[str, Bucket],
    total_name: str,
    total: int,
    meanings: Mapping[str, str],
    total_note: str = "",
) -> Table:
    table = figures(title, _NAMES)
    table.add_row(total_name, f"{total:,}", total_note)
    for name, bucket in buckets.items():
        if bucket.count or name not in _QUIET:
            table.add_row(f"  {name}", f"{bucket.count:,}", _note(bucket, meanings.get(name, "")))
    found = sum(bucket.count for bucket in buckets.values())
    table.add_row("  sum", f"{found:,}", "" if found == total else f"not {total:,}")
    return table


def _note(bucket: Bucket, meaning: str) -> str:
    notes = [meaning] if meaning else []
    if bucket.count and bucket.oldest_ms is not None:
        notes.append(f"the oldest for {duration(bucket.oldest_ms)}")
    reasons = sorted(bucket.reasons.items(), key=lambda item: -item[1])
    notes += [f"{count:,} {reason or 'without a reason'}" for reason, count in reasons]
    return ", ".join(notes)


def _others(balance: Balance) -> Table:
    standing = balance.standing
    table = figures("Besides", _NAMES)
    table.add_row("cases", f"{balance.account.cases:,}", "")
    table.add_row("redeliveries", f"{standing.again:,}", "contacts that came again: nothing new")
    ages = [f"{count:,} {name}" for name, count in standing.unknown_for.items() if count]
    if ages:
        table.add_row("unknown for", "", ", ".join(ages))
    states = [f"{n:,} {name}" for name, n in standing.callbacks.items() if n or name in _ALWAYS]
    table.add_row("callbacks", f"{sum(standing.callbacks.values()):,}", ", ".join(states))
    letters = ", ".join(f"{count:,} of {room}" for room, count in standing.dead_letters.items())
    table.add_row("dead letters", f"{sum(standing.dead_letters.values()):,}", letters)
    if standing.unreadable:
        table.add_row("unreadable", f"{standing.unreadable:,}", "records, not set aside yet")
    if balance.smsc:
        again = balance.account.duplicate_messages
        table.add_row(
            "at the carrier",
            f"{balance.account.carrier_messages:,}",
            f"by the SMS centre's own record, {again:,} more than once",
        )
    return table


def duration(ms: int) -> str:
    """E.g. "3 min" or "2 h"; whole units, rounded down."""
    seconds = ms // 1000
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "less than a second"
