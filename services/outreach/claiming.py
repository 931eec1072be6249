"""Finds the callback that an agent makes next, and has what agents ask decided by its owner.

Any replica serves. The view says who comes first; only the owner of the person's partition says who
has it. What this replica has asked for is left out for the next agent, so that hundreds at once are
given one each, in order, and a race is lost to an agent of another replica only: then the next in
order is asked for, until there is none.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import commands_pb2, events_pb2

from services.outreach import views
from services.outreach.working import CLAIMED, DUE, NAMES, PRACTICE, Work, work_of
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Forbidden, NotFound, NotInState
from services.runtime.produce import Producer
from services.runtime.replies import Replies
from services.runtime.topics import OUTREACH_COMMAND, partition_of
from services.runtime.views import Views

_PAGE = 64
_LEFT_S = 1.0
"""No other callback is asked for in the last second of a call: the outcome could not be told."""
_Place = tuple[float, bytes]


class Claiming:
    """`partitions`: of the whole service."""

    def __init__(self, shown: Views, producer: Producer, replies: Replies, partitions: int) -> None:
        self._views = shown
        self._producer = producer
        self._replies = replies
        self._partitions = partitions
        self._under_way: set[str] = set()

    async def this(self, callback_id: str, work: Work) -> events_pb2.Callback:
        """Has the caller claim one callback. Raises NotFound, NotInState when another has it, it is
        of another work or the caller has another one, Away."""
        callback = await self.get(callback_id)
        held = await self.held()
        if held is not None and held.callback_id != callback.callback_id:
            raise NotInState(
                f"you have the callback of case {held.case_number}: end it or give it back first"
            )
        return await self._claim(callback, work)

    async def again(self, work: Work) -> events_pb2.Callback | None:
        """The callback that the caller has already; None when there is none. Raises NotInState when
        it is of another work, Away."""
        held = await self.held()
        if held is None:
            return None
        if work_of(held) != work:
            raise NotInState(
                f"you have a callback of {NAMES[work_of(held)]} (case {held.case_number}): end it "
                "or give it back first"
            )
        try:
            return await self._claim(held, work)
        except (NotInState, NotFound):
            # The view is behind.
            return None

    async def next(
        self, languages: Sequence[str], agencies: Sequence[str], lines: Sequence[str], work: Work
    ) -> events_pb2.Callback | None:
        """Has the caller claim the callback of `work` that comes first; None when none is due. Of
        practice it is the caller's own, whatever the agency and line. Raises Away, Forbidden."""
        caller = rpc.CALLER.get()
        agencies = agencies or [caller.agency]
        if not all(caller.sees(agency) for agency in agencies):
            raise Forbidden("you see callbacks of your own agency only")
        if work == PRACTICE:
            agencies, lines = [views.trainee(caller.subject)], ()
        spoken = [*dict.fromkeys(languages), views.UNKNOWN] if languages else [""]
        lists = [views.due_index(agency, one, work) for agency in set(agencies) for one in spoken]
        lost: set[str] = set()
        while rpc.time_left_s() > _LEFT_S:
            found = await self._first(lists, frozenset(lines), lost, work)
            if found is None:
                return None
            try:
                return await self._claim(found, work)
            except (NotInState, NotFound):
                lost.add(found.callback_id)
            finally:
                self._under_way.discard(found.callback_id)
        return None

    async def _first(
        self, lists: Sequence[str], lines: frozenset[str], lost: set[str], work: Work
    ) -> events_pb2.Callback | None:
        """The first callback of `lists` that nobody here asks for, marked as asked for now."""
        cursors = {name: _Cursor(self._views, name, lines) for name in lists}
        while True:
            heads = [
                (head, name)
                for name, cursor in cursors.items()
                if (head := await cursor.head()) is not None
            ]
            if not heads:
                return None
            (_, member), name = min(heads)
            cursors[name].skip()
            callback_id = member.decode()
            if callback_id in self._under_way or callback_id in lost:
                continue
            [payload] = await self._views.get(views.key(callback_id))
            callback = events_pb2.Callback.FromString(payload or b"")
            # A view from before works were parted is no reason to mix them.
            if work_of(callback) != work:
                continue
            # Claimed since the list was read, by another agent's call perhaps.
            if callback.state != DUE or callback_id in self._under_way:
                continue
            self._under_way.add(callback_id)
            return callback

    async def get(self, callback_id: str) -> events_pb2.Callback:
        """A callback that the caller may see, as the view has it. Raises NotFound, Away."""
        [payload] = await self._views.get(views.key(callback_id.lower()))
        callback = events_pb2.Callback.FromString(payload or b"")
        if payload is None or not rpc.CALLER.get().sees(callback.agency):
            raise NotFound("there is no such callback that you may see")
        return callback

    async def held(self) -> events_pb2.Callback | None:
        """The callback that the caller has, as far as the view says."""
        subject = rpc.CALLER.get().subject
        members = await self._views.range(views.held_index(subject), 0, _PAGE)
        if not members:
            return None
        payloads = await self._views.get(*(views.key(member.decode()) for member in members))
        for callback in _read(payloads):
            if callback.state == CLAIMED and callback.claimed_by == subject:
                return callback
        return None

    async def _claim(self, callback: events_pb2.Callback, work: Work) -> events_pb2.Callback:
        asked_ms = now_ms()
        command = commands_pb2.OutreachCommand(
            claim=commands_pb2.Claim(work=work), until_ms=asked_ms + int(rpc.time_left_s() * 1000)
        )
        # A claim that comes twice is known by who has it, so each attempt is a command of its own.
        claimed = await self.decided("ClaimCallback", callback, str(asked_ms), command)
        if claimed.state != CLAIMED or claimed.claimed_by != rpc.CALLER.get().subject:
            raise NotInState("another agent has it")
        return claimed

    async def decided(
        self,
        method: str,
        callback: events_pb2.Callback,
        request_id: str,
        command: commands_pb2.OutreachCommand,
    ) -> events_pb2.Callback:
        """The callback after a command. Raises what it was refused with, Away."""
        subject = rpc.CALLER.get().subject
        # With the callback: a request_id used again for another one is another request.
        command_id = ids.command_id(subject, method, f"{callback.callback_id}/{request_id}")
        command.callback_id = callback.callback_id
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._replies.channel,
                subject=subject,
                asked_ms=now_ms(),
            )
        )
        told = await self._replies.ask(
            self._producer,
            OUTREACH_COMMAND,
            partition_of(callback.person, self._partitions),
            command_id,
            command.SerializeToString(),
            callback.person,
        )
        reply = commands_pb2.CallbackReply.FromString(told)
        rpc.raise_refusal(reply.code, reply.message)
        return reply.callback


class _Cursor:
    """One list of due callbacks, read page by page from its start; only of `lines`, if there are
    any."""

    def __init__(self, shown: Views, name: str, lines: frozenset[str]) -> None:
        self._views = shown
        self._name = name
        self._lines = lines
        self._page: deque[_Place] = deque()
        self._last: _Place | None = None
        self._over = False

    async def head(self) -> _Place | None:
        """The first entry that was not skipped; None at the end."""
        while not self._page and not self._over:
            page = await self._views.after(self._name, self._last, _PAGE)
            self._over = len(page) < _PAGE
            if page:
                self._last = page[-1]
                self._page.extend(await self._of_lines(page) if self._lines else page)
        return self._page[0] if self._page else None

    def skip(self) -> None:
        """Goes on behind the head."""
        self._page.popleft()

    async def _of_lines(self, page: Sequence[_Place]) -> list[_Place]:
        keys = [views.key(member.decode()) for _, member in page]
        wanted = {
            one.callback_id for one in _read(await self._views.get(*keys)) if self._takes(one)
        }
        return [place for place in page if place[1].decode() in wanted]

    def _takes(self, callback: events_pb2.Callback) -> bool:
        return callback.line in self._lines


def _read(payloads: Sequence[bytes | None]) -> Iterator[events_pb2.Callback]:
    for payload in payloads:
        if payload is not None:
            yield events_pb2.Callback.FromString(payload)
