"""`mawja campaign watch`: a campaign while it runs, on a terminal as a table that changes, into a
pipe as a line every few seconds. Looking changes nothing."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from queue import Empty, Queue
from threading import Event, Thread

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BucketCount,
    GetCampaignResponse,
    WatchCampaignResponse,
)
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from services.runtime.clock import now_ms
from services.runtime.errors import Away
from services.tools.campaigns import tables, words
from services.tools.campaigns.office import Office

_PLAIN_EVERY_S = 5.0
_AGAIN_S = 1.0
_SLOWEST = 0.1
GOT_IT = frozenset(
    {
        campaigns_pb2.BUCKET_UNDER_WAY,
        campaigns_pb2.BUCKET_DELIVERED,
        campaigns_pb2.BUCKET_UNKNOWN,
    }
)
"""Buckets of those who got the message or may have."""
GIVEN = GOT_IT | {campaigns_pb2.BUCKET_FAILED}
"""Buckets of those whose message a carrier was given."""
_OPEN = frozenset({campaigns_pb2.BUCKET_WAITING, campaigns_pb2.BUCKET_UNDER_WAY})


def waiting(found: GetCampaignResponse) -> int:
    """Pure. Recipients of whom nothing was given to a carrier yet; 0 where that is not known."""
    if found.counted_ms:
        return 0
    return _in(found.buckets, frozenset({campaigns_pb2.BUCKET_WAITING}))


def out_and_waiting(found: GetCampaignResponse) -> str:
    """Pure. How many messages are out already and stay so, and how many wait and would never go."""
    out = _in(found.buckets, GIVEN)
    if not found.campaign.HasField("started"):
        return "Nothing of it was sent"
    if found.counted_ms:
        return "How many are out, and stay sent, can't be told now; who waits never gets it"
    return f"{out:,} were given to carriers and stay sent; {waiting(found):,} wait and never go"


def followed(
    office: Office, campaign_id: str, away: Callable[[str], None] = lambda _: None
) -> Iterator[WatchCampaignResponse]:
    """The campaign whenever it changes; goes on when the service was away. `away` is told."""
    while True:
        try:
            yield from office.watch(campaign_id)
        except Away as error:
            away(str(error))
        time.sleep(_AGAIN_S)


def over(seen: WatchCampaignResponse) -> bool:
    """Pure. Whether nothing of it will change any more by itself: it has ended, and nothing of it
    or of its correction is under way."""
    state = seen.campaign.state
    if state == campaigns_pb2.CAMPAIGN_STATE_COMPLETED:
        return True
    if seen.counted_ms:
        # Nobody can say what is under way.
        return False
    if state == campaigns_pb2.CAMPAIGN_STATE_CANCELLED:
        return not _in(seen.buckets, _OPEN)
    if state == campaigns_pb2.CAMPAIGN_STATE_RECALLED:
        return bool(seen.campaign.corrected_ms) and not _in(seen.corrections, _OPEN)
    return False


def reached(found: GetCampaignResponse) -> str:
    """Pure. The people who got the message or may have, in words: "the 1,200", "all"."""
    return "all" if found.counted_ms else f"the {_in(found.buckets, GOT_IT):,}"


def line(seen: WatchCampaignResponse, at_ms: int, zone: tzinfo | None = None) -> str:
    """Pure. All of it in a line, for a pipe."""
    counts = Counter[str]()
    for one in seen.buckets:
        counts[words.name_of(one, "bucket")] += one.recipients
    buckets = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    parts = [
        words.hour(at_ms, zone),
        words.name_of(seen.campaign, "state"),
        *([f"{buckets or 'nothing yet'} of {seen.recipients:,}"] if seen.counted_ms >= 0 else []),
        *_speed(seen),
    ]
    if seen.corrections:
        parts.append(f"corrected {_in(seen.corrections, GOT_IT):,}")
    notes = tables.why_it_waits(seen.campaign, at_ms, zone)
    notes += tables.how_old(seen.counted_ms, zone)
    return " · ".join([*parts, *map(str, notes)])


def screen(
    seen: WatchCampaignResponse, at_ms: int, zone: tzinfo | None = None, note: str = ""
) -> Group:
    """Pure. All of it as a table, for a terminal."""
    lines = tables.head(seen.campaign)
    lines += tables.why_it_waits(seen.campaign, at_ms, zone)
    if speed := _speed(seen):
        lines.append(Text(", ".join(speed)))
    lines += tables.how_old(seen.counted_ms, zone)
    if seen.counted_ms >= 0:
        lines += tables.buckets(seen.buckets)
    if (oldest := tables.oldest(seen.buckets)).plain:
        lines.append(oldest)
    if seen.corrections:
        lines += tables.buckets(seen.corrections, "correction")
    if note:
        lines.append(Text(note, style="yellow"))
    return Group(*lines)


def watch(office: Office, campaign_id: str, console: Console, *, as_json: bool) -> None:
    """Shows the campaign until it is over. Ctrl-C raises KeyboardInterrupt."""
    if as_json:
        for seen in followed(office, campaign_id):
            print(json.dumps(words.as_dict(seen), ensure_ascii=False), flush=True)
            if over(seen):
                return
    elif console.is_terminal:
        _watch_live(office, campaign_id, console)
    else:
        _watch_plain(office, campaign_id)


def _watch_live(office: Office, campaign_id: str, console: Console) -> None:
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        last: list[WatchCampaignResponse] = []

        def show(note: str = "") -> None:
            with _undisturbed():
                live.update(screen(last[0], now_ms(), note=note), refresh=True)

        def away(why: str) -> None:
            if last:
                show(why)

        for seen in followed(office, campaign_id, away):
            last[:] = [seen]
            show()
            if over(seen):
                return


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until what is being written stands whole: a write to a slow terminal that is
    interrupted loses its rest, and leaves lines that run into each other."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _watch_plain(office: Office, campaign_id: str) -> None:
    told, state = float("-inf"), -1
    last: WatchCampaignResponse | None = None
    for came in _ticking(lambda away: followed(office, campaign_id, away), _PLAIN_EVERY_S):
        if isinstance(came, str):
            print(came, flush=True)
            continue
        # What came too soon to be told is told when nothing comes after it.
        seen, late = came or last, came is None
        if seen is None:
            continue
        ended, now = over(seen), time.monotonic()
        if ended or late or seen.campaign.state != state or now - told >= _PLAIN_EVERY_S:
            print(line(seen, now_ms()), flush=True)
            told, state, last = now, seen.campaign.state, None
        else:
            last = seen
        if ended:
            return


def _ticking(
    follow: Callable[[Callable[[str], None]], Iterator[WatchCampaignResponse]], every_s: float
) -> Iterator[WatchCampaignResponse | str | None]:
    """What comes, and None whenever nothing came for so many seconds. `follow` is given whom to
    tell that the service is away; that comes, too."""
    came: Queue[WatchCampaignResponse | str | BaseException] = Queue()
    left = Event()

    def take() -> None:
        try:
            for one in follow(came.put):
                came.put(one)
                if left.is_set():
                    return
        except BaseException as error:
            came.put(error)

    Thread(target=take, name="watch", daemon=True).start()
    try:
        while True:
            try:
                one = came.get(timeout=every_s)
            except Empty:
                yield None
                continue
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        left.set()


def _speed(seen: WatchCampaignResponse) -> list[str]:
    if seen.campaign.state != campaigns_pb2.CAMPAIGN_STATE_RUNNING or seen.counted_ms:
        return []
    rate = seen.recipients_per_second
    # Until something went there is no rate, and nobody must read that nothing goes.
    found = [f"{rate:,.0f}/s" if rate >= 1 else f"{rate:.1f}/s"] if rate >= _SLOWEST else []
    if seen.eta_ms >= 0:
        found.append(f"all given to carriers in {words.lasting(seen.eta_ms)}")
    return found


def _in(counts: Sequence[BucketCount], wanted: "frozenset[campaigns_pb2.Bucket.ValueType]") -> int:
    return sum(one.recipients for one in counts if one.bucket in wanted)
