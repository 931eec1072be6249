"""A room's audit, page by page, the latest first: each call once, with what became of it."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mawja.audit.v1 import events_pb2, service_pb2

from services.runtime.errors import Invalid, Violation
from services.runtime.own import Epochs, LogReader, Record, counted_from_here
from services.runtime.privacy import Erased, Keyring
from services.runtime.topics import Topic

_SPAN = 500
"""Offsets of each partition that one page looks through."""
_OVER = 200
"""Offsets behind them that are looked through for answers to what they asked."""
_ERASED = "[erased]"
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Found:
    """One record of the chain, and the note in it."""

    record: events_pb2.AuditRecord
    note: events_pb2.AuditNote
    partition: int
    offset: int


def notes(record: Record) -> Found:
    """What stands in one record of an audit's log. Raises DecodeError."""
    chained = events_pb2.AuditRecord.FromString(record.value or b"")
    note = events_pb2.AuditNote.FromString(chained.note)
    return Found(chained, note, record.partition, record.offset)


def calls(found: Sequence[Found]) -> list[Found]:
    """Of each call its answer, or that it was asked where none is among `found`."""
    answered = {one.note.call_id for one in found if one.note.stage == events_pb2.STAGE_ANSWERED}
    return [
        one
        for one in found
        if one.note.stage == events_pb2.STAGE_ANSWERED or one.note.call_id not in answered
    ]


def shown(one: Found, keyring: Keyring) -> service_pb2.AuditedCall:
    """A call as an auditor reads it."""
    note = one.note
    try:
        reason = keyring.unseal("reason", note.sealed_reason)
    except Erased:
        reason = _ERASED
    answered = note.stage == events_pb2.STAGE_ANSWERED
    return service_pb2.AuditedCall(
        partition=one.partition,
        sequence=one.record.sequence,
        call_id=note.call_id,
        subject=note.subject,
        roles=note.roles,
        agency=note.agency,
        deed=note.deed,
        about=note.about,
        reason=reason,
        request_id=note.request_id,
        asked_ms=note.asked_ms,
        answered_ms=note.answered_ms,
        code=note.code if answered else None,
        session_id=note.session_id,
        way=note.way,
    )


def meant(note: events_pb2.AuditNote, asked: service_pb2.ListAuditRequest) -> bool:
    """Whether a call is one that was asked for; what is empty is not asked."""
    return (
        asked.subject in ("", note.subject)
        and asked.deed in note.deed
        and asked.about in ("", note.about)
        and note.asked_ms >= asked.since_ms
    )


class Pages:
    """Reads a room's chains from their ends, `span` offsets of each partition a page."""

    def __init__(self, reader: LogReader, chain: Topic, partitions: int, span: int = _SPAN) -> None:
        self._span = span
        self._reader = reader
        self._chain = chain
        self._partitions = range(partitions)

    async def page(self, request: service_pb2.ListAuditRequest) -> tuple[list[Found], str]:
        """The calls of a page, the latest first, and where the next begins; "" at the end.

        Raises Invalid for a token that no page gave, Away.
        """
        held = await self._reader.held(self._chain, self._partitions)
        ends = _ends(request.page_token, held)
        lows = {p: max(held[p][0], end - self._span) for p, end in ends.items()}
        read = {(self._chain, p): (lows[p], end + _OVER) for p, end in ends.items()}
        found: dict[int, list[Found]] = {p: [] for p in self._partitions}
        epochs = Epochs()

        def take(record: Record) -> None:
            if counted_from_here(epochs, record):
                found[record.partition].append(notes(record))

        await self._reader.read_many(
            {at: span for at, span in read.items() if lows[at[1]] < ends[at[1]]}, take
        )
        left = {
            p: [one for one in calls(all_of) if one.offset < ends[p] and meant(one.note, request)]
            for p, all_of in found.items()
        }
        # What is older in a partition whose span ends before its beginning is not known yet.
        known = {
            p: min((one.record.chained_ms for one in found[p]), default=0)
            for p, low in lows.items()
            if low > held[p][0]
        }
        page = latest(left, max(known.values(), default=0), request.page_size or _PAGE)
        following = {p: left[p][-1].offset + 1 if left[p] else low for p, low in lows.items()}
        more = any(left.values()) or any(at >= request.since_ms for at in known.values())
        return page, _token(following) if more else ""


def latest(left: dict[int, list[Found]], known_ms: int, size: int) -> list[Found]:
    """Takes from the ends of `left` the latest `size` that were chained at `known_ms` or later."""
    taken: list[Found] = []
    while len(taken) < size:
        ends = [of_one[-1] for of_one in left.values() if of_one]
        last = max(ends, key=lambda one: one.record.chained_ms, default=None)
        if last is None or last.record.chained_ms < known_ms:
            break
        taken.append(left[last.partition].pop())
    return taken


def _ends(token: str, held: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    if not token:
        return {p: end for p, (_, end) in held.items()}
    try:
        numbers = [int(part) for part in urlsafe_b64decode(token).decode("ascii").split(".")]
    except (ValueError, binascii.Error):
        numbers = []
    if len(numbers) != len(held) or any(number < 0 for number in numbers):
        raise Invalid([Violation("page_token", "must be one that the last page gave")])
    return {p: min(number, held[p][1]) for p, number in zip(sorted(held), numbers, strict=True)}


def _token(following: Mapping[int, int]) -> str:
    return urlsafe_b64encode(
        ".".join(str(following[p]) for p in sorted(following)).encode()
    ).decode()
