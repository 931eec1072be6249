"""Contacts that happen now, beside those of a row's surge, which happened an hour ago and before.

The ledger is told of each: it must be in a case like every other.
"""

import asyncio
import threading
import time
from dataclasses import dataclass

from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2

from loadtests.ledger import Ledger, Truth
from services.intake.client import ContactStream
from services.local.system import System, token
from services.runtime import ids, rpc
from services.runtime.identity import Role
from services.tools.report import Report
from services.tools.surge import SOURCE


def contact(key: str, ledger: Ledger) -> service_pb2.Contact:
    """A rehearsed enquiry of somebody who withheld who they are, which the ledger expects."""
    ledger.expect(ids.contact_id(SOURCE, key), Truth(None, key, key))
    return service_pb2.Contact(
        source=SOURCE,
        idempotency_key=key,
        kind=common_pb2.CONTACT_KIND_ENQUIRY,
        channel=common_pb2.CHANNEL_WEB,
        withheld=True,
        text="Is the centre open tomorrow?",
        event_ms=int(time.time() * 1000),
        drill=True,
    )


def counted(report: Report, more: int) -> Report:
    """The report, when `more` contacts were sent than those of the surge."""
    dialled = report["dialled"]
    assert isinstance(dialled, int)
    return report | {"dialled": dialled + more}


@dataclass(slots=True)
class Steady:
    """The shipped client, sending one contact after the other for as long as it is asked to."""

    system: System
    ledger: Ledger
    sent: int = 0
    accepted: int = 0
    refused: str = ""
    reconnects: int = 0

    async def send(self, ending: threading.Event, every_s: float) -> None:
        """Sends until `ending`, then waits for every answer."""
        async with rpc.channel(self.system.target("intake")) as channel:
            stream = ContactStream(channel, token(self.system.keys, SOURCE, Role.LOAD_TESTER))
            try:
                while not ending.is_set():
                    await stream.submit(contact(f"steady-{self.sent}", self.ledger), self._answered)
                    self.sent += 1
                    await asyncio.sleep(every_s)
                await stream.close()
                self.reconnects = stream.counts.reconnects
            finally:
                stream.abort()

    def _answered(self, answer: service_pb2.SubmitContactsResponse) -> None:
        if answer.HasField("accepted"):
            self.accepted += 1
            self.ledger.acknowledge(answer.accepted.contact_id)
        else:
            self.refused = self.refused or answer.refused.message
