"""What becomes of sessions, told to the rooms' audit: who signed in, who failed to, how each ended.

The console owns no topic, so a room with an audit notes it; whichever answers first, since they
chain it alike. Nobody is signed in unnoted. An end is never kept waiting for its note.
"""

import asyncio

from mawja.audit.v1 import service_pb2 as audit

from services.console.calls import Calls, Refused
from services.console.sessions import Session, Sessions
from services.runtime import log
from services.runtime.errors import Away

LOOKS_S = 30.0
"""How often it is looked whose session's time ended."""
_TIMEOUT_S = 2.0
_log = log.get("console.book")


class Book:
    """Tells the rooms what becomes of sessions."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def tell(self, told: audit.NoteSessionRequest) -> None:
        """Has `told` noted. Raises Refused when no room takes it."""
        failed = Refused("UNAVAILABLE", "no room keeps an audit", away=True)
        for stub in self._calls.audits.values():
            try:
                await self._calls.ask(self._calls.noting(), stub.NoteSession, told, _TIMEOUT_S)
                return
            except Refused as error:
                failed = error
        raise failed

    async def tell_of(
        self, session: Session, event: audit.SessionEvent.ValueType, by: str = ""
    ) -> None:
        """Has it noted of `session`; `by`: who revoked it. Raises Refused."""
        await self.tell(
            audit.NoteSessionRequest(
                event=event,
                user=session.sub,
                roles=session.roles,
                agency=session.agency,
                session_id=session.id,
                way=session.way,
                by=by,
            )
        )

    async def ended(
        self, session: Session, event: audit.SessionEvent.ValueType, by: str = ""
    ) -> None:
        """The same, of what is over in any case: where no room takes it the log says so."""
        try:
            await self.tell_of(session, event, by)
        except Refused as error:
            _log.error(
                "the end of a session is not in the audit",
                session=session.id,
                what=audit.SessionEvent.Name(event),
                why=error.code,
            )

    async def tell_lapsed(self, sessions: Sessions) -> None:
        """Has noted whose time ended; what no room takes stays for the next time. Raises Away."""
        for key, session in await sessions.lapsed():
            try:
                await self.tell_of(session, audit.SESSION_EVENT_EXPIRED)
            except Refused as error:
                _log.warning("the end of a session waits for the audit", why=error.code)
                return
            await sessions.told(key)

    async def watch(self, sessions: Sessions) -> None:
        """Does so again and again."""
        while True:
            await asyncio.sleep(LOOKS_S)
            try:
                await self.tell_lapsed(sessions)
            except Away as error:
                _log.warning("nobody knows whose session ended", why=str(error))
