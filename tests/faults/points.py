"""The effects of every service after which the fault matrix crashes it: one point for each kind.

`tests/contract/test_crash_points.py` holds the list against the code: an effect without a point, or
a point without its effect, is found there.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.runtime import topics

RECORD, MARK, REDIS, COMMIT, PDU, CALL = "record", "marker", "redis", "commit", "pdu", "call"
INDEX = "services.intake.entries"
STORE = "services.runtime.store"
SCRIPTED = (INDEX, STORE)
"""The modules that hold scripts for Redis."""


def always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of effect of a room.

    `key` by `kind`: a topic's name (RECORD, MARK), a script as module:NAME or a command (REDIS), a
    consumer group (COMMIT), an SMPP command (PDU), a function as module:qualified.name (CALL).
    `when` narrows it: told the value of a record, else the arguments of what was called. The crash
    comes after 1 to `most` of them in one life of the process.
    """

    room: str
    name: str
    kind: str
    key: str
    when: Callable[[Any], bool] = always
    most: int = 4

    @property
    def flag(self) -> str:
        """The name of the file that tells that it has crashed."""
        return f"{self.room}.{self.name}"


def states(*wanted: "broadcast_pb2.MessageState.ValueType") -> Callable[[bytes], bool]:
    """Whether a status record holds a change to one of `wanted`."""
    return lambda value: any(
        change.state in wanted for change in broadcast_pb2.StatusRecord.FromString(value).changes
    )


def contact_from(source: str) -> Callable[[bytes], bool]:
    """Whether an accepted contact came from `source`, or below it."""
    return lambda value: intake_pb2.ContactAccepted.FromString(value).source.startswith(source)


def opt_out_by(source: "broadcast_pb2.OptOutSource.ValueType") -> Callable[[bytes], bool]:
    """Whether an opt-out was told in this way."""
    return lambda value: broadcast_pb2.OptOut.FromString(value).source == source


def changes(*wanted: "dedup_pb2.CaseChange.ValueType") -> Callable[[bytes], bool]:
    """Whether a decision changed its case in one of these ways."""
    return lambda value: dedup_pb2.CaseDecision.FromString(value).change in wanted


def _told(value: bytes) -> bool:
    return bool(dedup_pb2.CaseDecision.FromString(value).outcome.command_id)


def _claimed(value: bytes) -> bool:
    claimed = outreach_pb2.CALLBACK_STATE_CLAIMED
    return outreach_pb2.Callback.FromString(value).state == claimed


def _writes(args: Sequence[Any]) -> bool:
    # EVALSHA, the script, one key, the epoch: a view that is only looked after has no more.
    return len(args) > 5


def _worker(room: str, dead: topics.Topic) -> tuple[Point, ...]:
    """What every room with a worker does."""
    return (
        Point(room, "committed", COMMIT, room),
        Point(room, "dead-letter", RECORD, dead.name, most=1),
    )


def _audit(room: str) -> tuple[Point, ...]:
    """What every room in which people decide does for its audit."""
    audit = topics.AUDITS[room]
    return (
        Point(room, "audit-noted", RECORD, audit.notes.name, most=2),
        Point(room, "marker-of-audit", MARK, audit.chain.name, most=8),
        Point(room, "audit-chained", RECORD, audit.chain.name, most=2),
        Point(room, "audit-committed", COMMIT, f"{room}-audit"),
    )


def _view(room: str) -> tuple[Point, ...]:
    """What every room with a view does to it."""
    return (
        Point(room, "view-taken-over", REDIS, f"{STORE}:_CLAIM", most=8),
        Point(room, "view-written", REDIS, f"{STORE}:_PUT", _writes),
        Point(room, "view-rebuilding", REDIS, f"{STORE}:_BEGIN"),
        Point(room, "view-rebuilt", REDIS, f"{STORE}:_END"),
    )


_STATUS = topics.MESSAGE_STATUS.name

POINTS: tuple[Point, ...] = (
    Point("intake", "key-claimed", REDIS, f"{INDEX}:CLAIM"),
    Point("intake", "contact", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("load-test")),
    Point(
        "intake", "webhook", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("portal"), most=2
    ),
    Point("intake", "inbound", RECORD, topics.CONTACT_ACCEPTED.name, contact_from("sms/"), most=2),
    Point("intake", "key-completed", REDIS, f"{INDEX}:COMPLETE"),
    Point("intake", "call-event", RECORD, topics.CALL_EVENT.name),
    Point("intake", "answered", CALL, "services.intake.server:_Stream.answers"),
    Point("intake", "claim-renewed", REDIS, f"{INDEX}:RENEW", most=1),
    Point("intake", "claim-settled", REDIS, f"{INDEX}:SETTLE", most=1),
    Point("intake", "index-locked", REDIS, "SET", most=1),
    Point("intake", "index-read-back", REDIS, "PIPELINE", most=1),
    Point("intake", "index-whole", REDIS, f"{INDEX}:WHOLE", most=1),
    Point("intake", "index-unlocked", REDIS, f"{INDEX}:RELEASE", most=1),
    *_audit("intake"),
    *_worker("intake", topics.INTAKE_DEAD),
    Point("dedup", "marker", MARK, topics.CASE.name, most=8),
    Point(
        "dedup",
        "contact-decided",
        RECORD,
        topics.CASE.name,
        changes(dedup_pb2.CASE_CHANGE_OPENED, dedup_pb2.CASE_CHANGE_LINKED),
    ),
    Point(
        "dedup",
        "call-decided",
        RECORD,
        topics.CASE.name,
        changes(dedup_pb2.CASE_CHANGE_CALL, dedup_pb2.CASE_CHANGE_RESOLVED),
    ),
    Point("dedup", "command-decided", RECORD, topics.CASE.name, _told, most=2),
    Point("dedup", "tally", RECORD, topics.TALLY.name),
    Point("dedup", "command", RECORD, topics.DEDUP_COMMAND.name, most=2),
    Point("dedup", "erased", RECORD, topics.ERASED.name, most=1),
    Point("dedup", "reply-told", REDIS, "PUBLISH", most=2),
    Point("dedup", "need-stated", RECORD, topics.NEED.name),
    Point("dedup", "marker-of-incidents", MARK, topics.INCIDENT.name, most=8),
    Point("dedup", "incident-decided", RECORD, topics.INCIDENT.name),
    Point("dedup", "incident-command", RECORD, topics.INCIDENT_COMMAND.name, most=1),
    Point("dedup", "incidents-committed", COMMIT, "dedup-incidents"),
    *_view("dedup"),
    *_audit("dedup"),
    *_worker("dedup", topics.DEDUP_DEAD),
    Point("outreach", "marker-of-messages", MARK, topics.MESSAGE_REQUESTED.name, most=8),
    Point("outreach", "marker-of-callbacks", MARK, topics.CALLBACK.name, most=8),
    Point("outreach", "callback", RECORD, topics.CALLBACK.name),
    Point("outreach", "message", RECORD, topics.MESSAGE_REQUESTED.name),
    Point("outreach", "command", RECORD, topics.OUTREACH_COMMAND.name, most=2),
    Point("outreach", "announced", RECORD, topics.ANNOUNCEMENT.name, most=2),
    Point("outreach", "switched", RECORD, topics.PLAYBOOK_SWITCH.name, most=1),
    Point("outreach", "marker-of-watches", MARK, topics.WATCH.name, most=8),
    Point("outreach", "watch", RECORD, topics.WATCH.name, most=2),
    Point("outreach", "case-request", RECORD, topics.CASE_REQUEST.name, most=2),
    Point("outreach", "callback-claimed", RECORD, topics.CALLBACK.name, _claimed, most=2),
    Point("outreach", "marker-of-proposals", MARK, topics.PROPOSAL.name, most=8),
    Point("outreach", "proposal", RECORD, topics.PROPOSAL.name, most=1),
    Point("outreach", "proposal-command", RECORD, topics.PROPOSAL_COMMAND.name, most=1),
    Point("outreach", "proposals-committed", COMMIT, "outreach-proposals", most=2),
    Point("outreach", "reply-told", REDIS, "PUBLISH", most=2),
    *_view("outreach"),
    *_audit("outreach"),
    *_worker("outreach", topics.OUTREACH_DEAD),
    Point("broadcast", "marker", MARK, _STATUS, most=8),
    Point("broadcast", "command", RECORD, topics.BROADCAST_COMMAND.name, most=2),
    Point("broadcast", "lane-urgent", RECORD, topics.QUEUED_URGENT.name, most=2),
    Point("broadcast", "lane-normal", RECORD, topics.QUEUED_NORMAL.name),
    Point("broadcast", "lane-bulk", RECORD, topics.QUEUED_BULK.name, most=2),
    Point("broadcast", "claim", RECORD, _STATUS, states(broadcast_pb2.MESSAGE_STATE_CLAIMED)),
    Point("broadcast", "parts-written", PDU, "SUBMIT_SM"),
    Point(
        "broadcast",
        "carrier-answered",
        CALL,
        "services.broadcast.carriers.smpp:SmppCarrier.answered",
    ),
    Point("broadcast", "result", RECORD, _STATUS, states(broadcast_pb2.MESSAGE_STATE_SUBMITTED)),
    Point(
        "broadcast",
        "claim-released",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_RELEASED),
        most=1,
    ),
    Point(
        "broadcast",
        "unknown",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_UNKNOWN),
        most=1,
    ),
    Point(
        "broadcast",
        "suppressed",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_SUPPRESSED),
        most=1,
    ),
    Point(
        "broadcast",
        "receipt-applied",
        RECORD,
        _STATUS,
        states(broadcast_pb2.MESSAGE_STATE_DELIVERED),
    ),
    Point("broadcast", "receipt-kept", RECORD, topics.RECEIPT.name),
    Point("broadcast", "inbound-kept", RECORD, topics.INBOUND_MESSAGE.name, most=2),
    Point("broadcast", "delivery-acknowledged", PDU, "DELIVER_SM_RESP"),
    Point(
        "broadcast",
        "stop-kept",
        RECORD,
        topics.OPT_OUT.name,
        opt_out_by(broadcast_pb2.OPT_OUT_SOURCE_REPLY),
        most=2,
    ),
    Point(
        "broadcast",
        "opt-out",
        RECORD,
        topics.OPT_OUT.name,
        opt_out_by(broadcast_pb2.OPT_OUT_SOURCE_AGENT),
        most=2,
    ),
    Point("broadcast", "subscription-kept", RECORD, topics.SUBSCRIPTION.name, most=2),
    Point("broadcast", "reply-told", REDIS, "PUBLISH", most=2),
    Point("broadcast", "standing-told", REDIS, "SET", most=2),
    Point("broadcast", "marker-of-campaigns", MARK, topics.CAMPAIGN.name, most=8),
    Point("broadcast", "audience-kept", RECORD, topics.AUDIENCE.name),
    Point("broadcast", "campaign-command", RECORD, topics.CAMPAIGN_COMMAND.name),
    Point("broadcast", "campaign-decided", RECORD, topics.CAMPAIGN.name),
    Point("broadcast", "campaigns-committed", COMMIT, "broadcast-campaigns"),
    Point("broadcast", "proposals-committed", COMMIT, "broadcast-proposals", most=1),
    *_view("broadcast"),
    *_audit("broadcast"),
    *_worker("broadcast", topics.BROADCAST_DEAD),
    Point("wave", "read-up", CALL, "services.wave.stream:Follower._read_up", most=1),
    Point("wave", "tally-taken", CALL, "services.wave.count:Count.take", most=50),
    Point("wave", "level", RECORD, topics.LEVEL.name, most=50),
    Point("wave", "burst", RECORD, topics.BURST.name, most=2),
    Point("wave", "queue-stated", RECORD, topics.QUEUE_STATE.name),
    Point("wave", "call-decided", RECORD, topics.CALL_DECISION.name),
)
_CARRIERS = "services.broadcast.carriers"
WHOLE: tuple[Point, ...] = (
    Point("broadcast", "request-written", CALL, "aiohttp.client_reqrep:ClientRequest.write_bytes"),
    Point("broadcast", "request-answered", CALL, f"{_CARRIERS}.web:WebCarrier._asked"),
    Point("broadcast", "batch-unnamed", CALL, f"{_CARRIERS}.drops:Drop._put", most=2),
    Point("broadcast", "batch-written", CALL, f"{_CARRIERS}.drops:Drop.write", most=2),
    Point("broadcast", "aggregator-taken", CALL, f"{_CARRIERS}.http:HttpCarrier.take", most=2),
    Point(
        "broadcast", "statuses-taken", CALL, f"{_CARRIERS}.whatsapp:WhatsappCarrier.take", most=2
    ),
    Point("broadcast", "receipts-moved", CALL, f"{_CARRIERS}.filedrop:_move", most=1),
)
"""What the carriers do that take whole messages: the surge of the fault matrix goes by SMPP, and a
campaign over each of them crashes here (`test_campaign_carriers`)."""
EVERY = (*POINTS, *WHOLE)
ALWAYS = frozenset(
    {
        "intake.key-claimed",
        "intake.contact",
        "intake.inbound",
        "dedup.contact-decided",
        "outreach.callback",
        "outreach.message",
        "broadcast.claim",
        "broadcast.parts-written",
        "broadcast.carrier-answered",
        "broadcast.result",
        "broadcast.receipt-applied",
        "broadcast.lane-normal",
        "broadcast.receipt-kept",
        "broadcast.inbound-kept",
        "broadcast.stop-kept",
        "broadcast.view-written",
        "broadcast.committed",
        "wave.level",
    }
)
"""What a choice of the points has at least: claiming, publishing, decisions, all about sending."""


def chosen(chance: random.Random, of_each: int) -> tuple[Point, ...]:
    """At most `of_each` points of each room, by chance; those of ALWAYS are among them."""
    found: list[Point] = []
    for room in dict.fromkeys(point.room for point in POINTS):
        of_room = [point for point in POINTS if point.room == room]
        chance.shuffle(of_room)
        of_room.sort(key=lambda point: point.flag not in ALWAYS)
        least = sum(point.flag in ALWAYS for point in of_room)
        found += of_room[: max(of_each, least)]
    return tuple(found)
