"""Broadcast with carriers that take whole messages: an aggregator, the Cloud API, a bureau's
folders; and who brings their receipts."""

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.local.parts import Parts
from tests.broadcast_rig import Rig, running, wait_until
from tests.web_peers import (
    APP_SECRET,
    AUTHORIZATION,
    PHONE,
    SECRET_TEXT,
    VERIFY_TOKEN,
    Act,
    CloudApi,
    Peer,
    brought,
    changed,
    hub_signed,
    in_a_thread,
    signed,
)

AGGREGATOR, WHATSAPP, BUREAU = "20", "21", "22"
"""Beginnings of the numbers of each carrier, for `broadcast_rig.numbers`."""


@dataclass(slots=True)
class Whole:
    """Broadcast, an aggregator, the Cloud API and a bureau's folders."""

    rig: Rig
    aggregator: Peer
    whatsapp: Peer
    outbox: Path
    inbox: Path

    def call(
        self,
        carrier: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> tuple[int, str]:
        """What broadcast answers to a carrier's call; a GET without a body."""
        port = self.rig.replica.address.webhook
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, f"/carriers/{carrier}{query}", body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def taken(self, carrier: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether broadcast took a delivery: else it is brought again."""
        try:
            return self.call(carrier, body, headers)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def bring(self, *receipts: Mapping[str, Any]) -> None:
        """Receipts of the aggregator, brought until they are taken."""
        body = brought(receipts)
        wait_until(lambda: self.taken("aggregator", body, signed(body)))


@contextmanager
def whole_running(
    parts: Parts,
    name: str,
    pace: Mapping[str, int] | None = None,
    command: Sequence[str] = (),
) -> Iterator[Whole]:
    """Starts the peers and broadcast. `pace`: parts per second by carrier, 2,000 if it says
    nothing; `command` runs in broadcast's place."""
    folder = parts.home / name
    folder.mkdir()
    for file, text in (
        ("aggregator.authorization", AUTHORIZATION),
        ("aggregator.secret", SECRET_TEXT),
        ("whatsapp.token", "token"),
        ("whatsapp.app-secret", APP_SECRET),
        ("whatsapp.verify-token", VERIFY_TOKEN),
    ):
        (folder / file).write_text(f"{text}\n")
    outbox, inbox = folder / "out", folder / "in"
    outbox.mkdir()
    inbox.mkdir()
    with ExitStack() as stack:
        aggregator = stack.enter_context(in_a_thread(Peer()))
        whatsapp = stack.enter_context(in_a_thread(CloudApi()))
        others: list[dict[str, object]] = [
            {
                "name": "aggregator",
                "kind": "http",
                "sender": "Mawja",
                "url": f"http://127.0.0.1:{aggregator.port}{aggregator.path}",
                "authorization_file": "aggregator.authorization",
                "secret_file": "aggregator.secret",
            },
            {
                "name": "whatsapp",
                "kind": "whatsapp",
                "url": f"http://127.0.0.1:{whatsapp.port}/v24.0",
                "phone_number_id": PHONE,
                "token_file": "whatsapp.token",
                "app_secret_file": "whatsapp.app-secret",
                "verify_token_file": "whatsapp.verify-token",
            },
            {
                "name": "bureau",
                "kind": "files",
                "sender": "Mawja",
                "outbox": "out",
                "inbox": "in",
                "batch_s": 0.2,
            },
        ]
        for one in others:
            one |= {
                "declared": "test",
                "parts_per_second": (pace or {}).get(str(one["name"]), 2000),
            }
        routes = [
            {"prefix": "+", "carrier": "aggregator"},
            {"prefix": f"+9995{WHATSAPP}", "carrier": "whatsapp"},
            {"prefix": f"+9995{BUREAU}", "carrier": "bureau"},
        ]
        rig = stack.enter_context(running(parts, name, {}, routes, others=others, command=command))
        yield Whole(rig, aggregator, whatsapp, outbox, inbox)


def fetch(outbox: Path) -> Iterator[dict[str, Any]]:
    """The messages of every batch that counts, held against its manifest; deleted as they are."""
    for manifest in sorted(outbox.glob("*.manifest.json")):
        said = json.loads(manifest.read_text())
        octets = (outbox / said["file"]).read_bytes()
        assert hashlib.sha256(octets).hexdigest() == said["sha256"]
        rows = [json.loads(line) for line in octets.decode().split("\n") if line]
        assert len(rows) == said["messages"]
        yield from rows
        (outbox / said["file"]).unlink()
        manifest.unlink()


@dataclass(slots=True)
class Bringing:
    """Brings a receipt for everything that carriers have, until it is taken: the carriers' side,
    which hears nothing of what happens to broadcast."""

    whole: Whole
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What the bureau has fetched."""
    _done: dict[str, int] = field(default_factory=lambda: {"aggregator": 0, "whatsapp": 0})
    _files: int = 0
    _ends: threading.Event = field(default_factory=threading.Event)
    _fault: list[BaseException] = field(default_factory=list)

    def texts(self, carrier: str) -> dict[str, str]:
        """What a carrier has for each number; nobody stands there twice."""
        found: dict[str, str] = {}
        keys: set[str] = set()
        for number, text, key in self._had(carrier):
            assert number not in found, "somebody got it twice"
            assert key not in keys, "two messages under one key"
            keys.add(key)
            found[number] = text
        return found

    def _had(self, carrier: str) -> Iterator[tuple[str, str, str]]:
        if carrier == "bureau":
            yield from ((row["to"], row["text"], row["id"]) for row in list(self.rows))
        elif carrier == "aggregator":
            for one in list(self.whole.aggregator.taken):
                yield one.body["to"], one.body["text"], one.headers["Idempotency-Key"]
        else:
            for one in list(self.whole.whatsapp.taken):
                yield one.body["to"], one.body["text"]["body"], f"{one.body['to']}"

    def _run(self) -> None:
        try:
            while not self._ends.wait(0.1):
                self._aggregator()
                self._whatsapp()
                self._bureau()
        except BaseException as error:
            self._fault.append(error)

    def _aggregator(self) -> None:
        done = self._done["aggregator"]
        some = self.whole.aggregator.asked[done : done + 50]
        body = brought(
            [
                {
                    "id": f"a{done + at}",
                    "to": one.body["to"],
                    "reference": one.body["reference"],
                    "status": "delivered",
                }
                for at, one in enumerate(some, 1)
                if one.taken
            ]
        )
        if some and self.whole.taken("aggregator", body, signed(body)):
            self._done["aggregator"] += len(some)

    def _whatsapp(self) -> None:
        done = self._done["whatsapp"]
        some = self.whole.whatsapp.asked[done : done + 50]
        statuses = [
            {
                "id": f"wamid.{done + at}",
                "recipient_id": one.body["to"].removeprefix("+"),
                "status": "delivered",
                "timestamp": "1763800000",
                "biz_opaque_callback_data": one.body["biz_opaque_callback_data"],
            }
            for at, one in enumerate(some, 1)
            if one.taken
        ]
        body = changed(statuses=statuses)
        if some and self.whole.taken("whatsapp", body, hub_signed(body)):
            self._done["whatsapp"] += len(some)

    def _bureau(self) -> None:
        rows = list(fetch(self.whole.outbox))
        self.rows += rows
        if not rows:
            return
        self._files += 1
        lines = [
            json.dumps(
                {
                    "id": row["id"],
                    "to": row["to"],
                    "reference": row["reference"],
                    "status": "delivered",
                }
            )
            for row in rows
        ]
        hidden = self.whole.inbox / ".receipts.part"
        hidden.write_text("\n".join(lines) + "\n")
        hidden.rename(self.whole.inbox / f"receipts-{self._files}.jsonl")

    @contextmanager
    def running(self) -> Iterator["Bringing"]:
        """Brings while the block lasts."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            thread.join(30)
        assert not self._fault, self._fault


SLOWLY = Act(after_s=0.05)
"""What a carrier does that has some under way at any moment."""
