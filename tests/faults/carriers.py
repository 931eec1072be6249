"""Ten carriers, each bad in its own way, and what must have become of a message at each.

The judge is the carrier's own record of submits: what it took, what it refused with which status,
and, since each carrier's way with receipts is one for all, which receipts it has sent.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.local.smsc.record import Submit, duplicates
from services.runtime.clock import now_ms
from services.runtime.privacy import Keyring
from tests.broadcast_rig import Smsc

DELIVERED = events_pb2.MESSAGE_STATE_DELIVERED
FAILED = events_pb2.MESSAGE_STATE_FAILED
UNKNOWN = events_pb2.MESSAGE_STATE_UNKNOWN
SUPPRESSED = events_pb2.MESSAGE_STATE_SUPPRESSED
EXPIRED = events_pb2.MESSAGE_STATE_EXPIRED
SUBMITTED = events_pb2.MESSAGE_STATE_SUBMITTED
NOT_SENT = frozenset({SUPPRESSED, EXPIRED})

# Statuses of SMPP 3.4, 5.1.3, and what they are called here.
FOR_THE_MOMENT = {0x58: "throttled", 0x08: "system-error", 0x45: "temporary"}
FOR_GOOD = {0x0B: "invalid-destination"}


@dataclass(frozen=True, slots=True)
class Way:
    """How a carrier is: its profile, what the carriers file says of it, which receipts it sends,
    and a count of the SMS centre's that shows that it was as bad as it is called."""

    name: str
    profile: Mapping[str, object]
    spec: Mapping[str, object] = field(default_factory=dict)
    receipts: Literal["delivered", "undelivered", "none"] = "delivered"
    shows: str = "accepted"


_ANSWERED_WITHIN_S = 4.0
_OWED_MS = 3_600_000
"""Of a message that may be sent for longer, the receipt is owed for longer than a test lasts."""
_MUTE = {"echo_reference": False, "receipt_tlvs": False}
_SOON = {"uniform": [100, 600]}
WAYS = (
    Way(
        "timeouts",
        {"accept_silently": 0.1, "receipt_delay_ms": _SOON},
        {"response_timeout_s": 1},
        shows="unanswered",
    ),
    Way("drops", {"drop_bind_every": 12, "receipt_delay_ms": _SOON}, shows="binds_dropped"),
    # It takes a quarter of what was agreed with it.
    Way(
        "throttles",
        {"throttle_parts_per_s": 10},
        {"parts_per_second": 40},
        shows="refused_ESME_RTHROTTLED",
    ),
    Way(
        "refuses",
        {"refuse": {"ESME_RINVDSTADR": 0.2, "ESME_RSYSERR": 0.1, "ESME_RSUBMITFAIL": 0.1}},
        shows="refused_ESME_RINVDSTADR",
    ),
    # Its receipts have only ids, and the ids come after their time.
    Way(
        "late",
        {"answer_delay_ms": {"uniform": [1_300, 2_500]}, "echo_reference": False},
        {"response_timeout_s": 1},
    ),
    Way("hex", {"answer_id": "hex", **_MUTE}, {"id_format": "hex_to_dec"}),
    Way("decimal", {"receipt_id": "hex", **_MUTE}, {"id_format": "dec_to_hex"}),
    Way(
        "shuffled",
        {
            "receipt_shuffle": True,
            "receipt_copies": 3,
            "receipt_before_answer": 0.5,
            "receipt_delay_ms": {"uniform": [0, 1_500]},
            "answer_delay_ms": {"uniform": [5, 200]},
            "echo_reference": False,
        },
    ),
    Way("never", {"receipt_never": 1.0, "accept_silently": 0.1}, {"response_timeout_s": 1}, "none"),
    Way("undelivered", {"undelivered": 1.0, "receipt_before_answer": 0.3}, {}, "undelivered"),
)
"""One for each digit that may follow +9995: a crowd's numbers are spread evenly over them."""


_REASONS = frozenset({"timeout", "bind-lost", "takeover", "no-receipt", "stopped"})
"""Why it can be unknown what became of a message."""


@contextmanager
def centres(home: Path) -> Iterator[dict[str, Smsc]]:
    """The ten SMS centres, each a process of its own, by name."""
    made = {
        way.name: Smsc(home / way.name, {"deliver_timeout_ms": 2_000, **way.profile})
        for way in WAYS
    }
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(Smsc.start, made.values()))
        yield made
    finally:
        for centre in made.values():
            centre.stop()


def routes() -> list[dict[str, str]]:
    """Every carrier gets the numbers of one digit."""
    return [{"prefix": f"+9995{digit}", "carrier": way.name} for digit, way in enumerate(WAYS)]


@dataclass(slots=True)
class Verdict:
    """What was found at one carrier: how many messages are in which state, how many parts a phone
    got again, and what is not as it must be."""

    states: Counter[str] = field(default_factory=Counter)
    again: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(
    way: Way,
    submits: Sequence[Submit],
    changes: Iterable[MessageChange],
    keyring: Keyring,
    kills: Sequence[float],
) -> Verdict:
    """Holds the last changes of a carrier's messages against its record. `kills`: when broadcast
    was killed, Unix seconds."""
    found = Verdict(again=len(duplicates(submits)))
    person = lru_cache(maxsize=None)(lambda digits: keyring.person(f"+{digits}"))
    parts: dict[tuple[bytes, int], list[Submit]] = defaultdict(list)
    for submit in submits:
        parts[person(submit.destination), submit.reference or 0].append(submit)
    for change in changes:
        found.states[_name(change.state)] += 1
        mine = [
            parts.pop((change.person, change.reference + index), [])
            for index in range(change.parts)
        ]
        found.again += sum(max(0, sum(s.accepted for s in part) - 1) for part in mine)
        if (wanted := _wrong(way, change, mine, kills)) is not None:
            found.wrong.append(f"{_name(change.state)} ({change.reason}), but {wanted}")
    stray = sum(submit.accepted for part in parts.values() for submit in part)
    if stray:
        found.wrong.append(f"{stray} parts belong to no message")
    return found


def _wrong(
    way: Way,
    change: MessageChange,
    parts: Sequence[Sequence[Submit]],
    kills: Sequence[float],
) -> str | None:
    """What ought to be, when `change` is not right for what became of its parts."""
    state, reason = change.state, change.reason
    taken = sum(any(submit.accepted for submit in part) for part in parts)
    refused = [
        submit.status
        for part in parts
        if not any(submit.accepted for submit in part)
        for submit in part[-1:]
    ]
    if state in NOT_SENT:
        return f"it has {taken} parts" if taken else None
    if state == UNKNOWN and reason not in _REASONS:
        return "nothing says why"
    # Killed before the answer was kept, in its time or late: what the carrier said is not known,
    # and a receipt that has its id only tells nothing.
    unheard = state == UNKNOWN and reason == "takeover"
    if not way.profile.get("echo_reference", True) and (
        unheard or (state == UNKNOWN and _killed_before_the_answer(parts, kills))
    ):
        return None
    if taken == len(parts):
        longer = change.expires_ms > now_ms() + _OWED_MS
        if way.receipts == "none" and state == SUBMITTED and longer:
            return None
        wanted = {"delivered": DELIVERED, "undelivered": FAILED, "none": UNKNOWN}[way.receipts]
        right = state == wanted and (state != FAILED or reason == "undeliverable")
        return None if right else f"its receipts say {_name(wanted)}"
    for status in refused:
        if status in FOR_GOOD and not unheard:
            right = state == FAILED and reason == FOR_GOOD[status]
            return None if right else f"it was refused: {FOR_GOOD[status]}"
    if taken and way.receipts == "undelivered":
        return None if state == FAILED else "a part of it was not delivered"
    if taken and refused and not unheard:
        right = state == FAILED and reason in (*FOR_THE_MOMENT.values(), "not-sent")
        return None if right else "a part of it was never taken"
    return None if state == UNKNOWN else f"{taken} of {len(parts)} parts were taken"


def _killed_before_the_answer(parts: Sequence[Sequence[Submit]], kills: Sequence[float]) -> bool:
    return any(
        submit.t <= kill <= submit.t + _ANSWERED_WITHIN_S
        for part in parts
        for submit in part
        for kill in kills
    )


def _name(state: "events_pb2.MessageState.ValueType") -> str:
    return events_pb2.MessageState.Name(state).removeprefix("MESSAGE_STATE_").lower()
