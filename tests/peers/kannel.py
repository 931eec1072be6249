"""Kannel: its two boxes as processes beside the test, at an SMS centre of somebody else's.

smsbox takes messages over HTTP and brings receipts and people's messages as HTTP calls; bearerbox
holds the SMPP bind. Everything is on loopback.
"""

import os
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from services.local.child import Child
from services.local.ports import LOOPBACK, answers, free_ports
from tests.broadcast_rig import wait_until
from tests.peers import install

USER, PASSWORD = "mawja", "secret"
_CONFIGURATION = """\
group = core
admin-port = {admin}
admin-interface = "127.0.0.1"
admin-password = secret
smsbox-port = {box}
smsbox-interface = "127.0.0.1"
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = far
host = 127.0.0.1
port = {smsc}
transceiver-mode = 1
smsc-username = kannel
smsc-password = secret
system-type = ""
source-addr-autodetect = yes
dest-addr-ton = 1
dest-addr-npi = 1
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {sendsms}
sendsms-interface = "127.0.0.1"

group = sendsms-user
username = mawja
password = secret
max-messages = 255
concatenation = true
user-deny-ip = "*.*.*.*"
user-allow-ip = "127.0.0.1"

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{people}?id=%I&from=%p&to=%P&charset=%C&text=%b"
"""


@dataclass(slots=True)
class Kannel:
    """Kannel at the SMS centre on port `smsc`. `people`: the URL that it calls for a message from
    a person, which it puts together of its parts."""

    folder: Path
    smsc: int
    people: str
    _ports: list[int] = field(default_factory=list)
    _boxes: list[Child] = field(default_factory=list)

    @property
    def sendsms(self) -> str:
        """Where it takes messages."""
        return f"http://{LOOPBACK}:{self._ports[2]}/cgi-bin/sendsms"

    @property
    def smsbox(self) -> Child:
        """The box that takes messages."""
        return self._boxes[1]

    def start(self) -> None:
        """Starts both boxes and waits until they are bound. Raises NotThere without Kannel."""
        found = install.kannel()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ports = free_ports(3)
        admin, box, sendsms = self._ports
        written = self.folder / "kannel.conf"
        written.write_text(
            _CONFIGURATION.format(
                admin=admin, box=box, sendsms=sendsms, smsc=self.smsc, people=self.people
            )
        )
        self._boxes = [
            Child(
                program.name,
                [str(program), str(written)],
                log=self.folder / f"{program.name}.log",
                env={**os.environ, **found.env},
            )
            for program in (found.bearerbox, found.smsbox)
        ]
        self._boxes[0].start()
        wait_until(lambda: answers(LOOPBACK, box))
        self.start_smsbox()
        wait_until(self._bound)

    def start_smsbox(self) -> None:
        """Starts the box that takes messages, the first time or again."""
        self.smsbox.start()
        wait_until(lambda: answers(LOOPBACK, self._ports[2]))

    def stop(self) -> None:
        """Ends both."""
        for box in reversed(self._boxes):
            box.stop()

    def _bound(self) -> bool:
        status = f"http://{LOOPBACK}:{self._ports[0]}/status.txt?password=secret"
        try:
            with urllib.request.urlopen(status, timeout=2) as answer:
                return "(online" in answer.read().decode("utf-8", "replace")
        except OSError:
            return False
