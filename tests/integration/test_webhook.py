"""The signed webhook of a running intake: what is taken, what is refused, and garbage."""

import asyncio
import base64
import hmac
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.local.kafka import wait_ready
from services.local.parts import Parts
from services.runtime import ids
from services.runtime.config import Settings
from services.runtime.privacy import Keyring
from services.runtime.webhooks import TOLERANCE_S, verify
from tests.intake_rig import NUMBER, contacts, intake, signed

SECRET = b"a secret of at least 24 bytes"


@dataclass
class Answer:
    """What the webhook said."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Door:
    """A running intake's webhook."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def post(
        self,
        body: bytes,
        *,
        source: str = "portal",
        delivery: str = "d1",
        secret: bytes = SECRET,
        timestamp: str | None = None,
        headers: dict[str, Any] | None = None,
    ) -> Answer:
        sent = {**signed(secret, delivery, body, timestamp), **(headers or {})}
        return self.send(f"/v1/webhooks/{source}", body, sent)

    def send(self, path: str, body: bytes, headers: dict[str, Any]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            present = {k: v for k, v in headers.items() if v is not None}
            connection.request("POST", path, body, present)
            response = connection.getresponse()
            raw = response.read()
            try:
                said = json.loads(raw)
            except ValueError:
                said = raw
            return Answer(response.status, said, {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    @property
    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture(scope="module")
def door(
    settings: Settings, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    secrets = keys / "webhooks"
    secrets.mkdir()
    encoded = base64.b64encode(SECRET).decode()
    (secrets / "portal.secret").write_text(f"whsec_{encoded}\n")
    (secrets / "plain.secret").write_text(encoded)
    (secrets / "empty.secret").write_text("")
    (secrets / "broken.secret").write_text("no base64!")
    with intake(settings, tmp_path_factory.mktemp("webhook"), "webhook") as started:
        yield Door(started.webhook, started.process, started.log)


def body(**changes: Any) -> bytes:
    fields = {
        "channel": "CHANNEL_WEB",
        "number": NUMBER,
        "text": "لا يوجد ماء",
        "eventMs": int(time.time() * 1000),
        "drill": True,
        **changes,
    }
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def test_a_signed_delivery_is_taken(door: Door, settings: Settings, keys: Path) -> None:
    sent = body()
    answer = door.post(sent, delivery="taken")
    assert answer.status == 200
    assert answer.body["contactId"] == ids.contact_id("portal", "taken")
    [event] = [e for e in contacts(settings) if e.contact_id == answer.body["contactId"]]
    assert event.source == "portal"
    assert event.accepted_ms == answer.body["acceptedMs"]
    assert Keyring(keys).unseal("text", event.sealed_text) == "لا يوجد ماء"
    # Delivered again, as Standard Webhooks senders do: the same answer, and nothing new.
    assert door.post(sent, delivery="taken").body == answer.body
    assert len([e for e in contacts(settings) if e.contact_id == event.contact_id]) == 1
    assert door.post(sent, source="plain", delivery="taken").status == 200


def test_the_same_id_with_another_body_is_refused(door: Door) -> None:
    at = int(time.time() * 1000)
    assert door.post(body(eventMs=at), delivery="other").status == 200
    answer = door.post(body(eventMs=at, text="else", place="x"), delivery="other")
    assert (answer.status, answer.body["code"]) == (409, 6)
    assert answer.body["message"].endswith("different: place, text")


def test_the_bodys_own_key_comes_before_the_deliverys_id(door: Door) -> None:
    sent = body(idempotencyKey="own")
    one, two = door.post(sent, delivery="x1"), door.post(sent, delivery="x2")
    assert one.body == two.body
    assert one.body["contactId"] == ids.contact_id("portal", "own")


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another secret", {"secret": b"another secret of enough bytes"}),
    ("no such source", {"source": "nobody"}),
    ("a path", {"source": "..%2Fperson"}),
    ("a newline", {"source": "portal%0A"}),
    ("an empty secret", {"source": "empty", "secret": b""}),
    ("a broken secret", {"source": "broken", "secret": b""}),
    ("too old", {"seconds_off": -TOLERANCE_S - 10}),
    ("from the future", {"seconds_off": TOLERANCE_S + 60}),
    ("no time", {"timestamp": "yesterday"}),
    ("an endless time", {"timestamp": "9" * 400}),
    ("a time without end", {"timestamp": "inf"}),
    ("no id", {"headers": {"webhook-id": None}}),
    ("no timestamp", {"headers": {"webhook-timestamp": None}}),
    ("no signature", {"headers": {"webhook-signature": None}}),
    ("an empty signature", {"headers": {"webhook-signature": ""}}),
    ("another version", {"headers": {"webhook-signature": "v2,AAAA"}}),
    ("bytes", {"headers": {"webhook-signature": b"v1,\xff\xfe\xd9\x85"}}),
    ("an id of bytes", {"headers": {"webhook-id": b"\xff\xfe"}}),
]


@pytest.mark.parametrize(("why", "changes"), WRONG, ids=[why for why, _ in WRONG])
def test_what_does_not_verify_is_told_one_sentence(
    door: Door, why: str, changes: dict[str, Any]
) -> None:
    changes = dict(changes)
    # Counted from now: a test may run long after it was collected.
    if (off := changes.pop("seconds_off", None)) is not None:
        changes["timestamp"] = str(int(time.time()) + off)
    answer = door.post(body(), **changes)
    assert answer.status == 401, why
    assert answer.body == {
        "code": 16,
        "message": "the webhook's signature does not verify (Standard Webhooks, v1)",
        "violations": [],
    }


def test_one_of_several_signatures_is_enough(door: Door) -> None:
    """Senders show two while they change their secret."""
    at, sent = str(int(time.time())), body()
    right = base64.b64encode(hmac.digest(SECRET, b"two." + at.encode() + b"." + sent, "sha256"))
    shown = "v1,AAAA v1a,x v1," + right.decode()
    answer = door.post(sent, delivery="two", timestamp=at, headers={"webhook-signature": shown})
    assert answer.status == 200


def test_a_body_changed_after_signing_is_refused() -> None:
    signature = base64.b64encode(hmac.digest(SECRET, b"i.1.a", "sha256")).decode()
    assert verify(SECRET, "i", "1", b"a", f"v1,{signature}")
    assert not verify(SECRET, "i", "1", b"b", f"v1,{signature}")
    assert not verify(SECRET, "i", "2", b"a", f"v1,{signature}")
    assert not verify(SECRET, "i.1", "", b"a", f"v1,{signature}")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"secret words",
        b"[]",
        b"null",
        b'{"text": "secret words"',
        b'{"secret words": 1}',
        b'{"text": 1}',
        b'{"text": "\\ud800 secret words"}',
        b'{"eventMs": "secret words"}',
        b'{"eventMs": 1e400}',
        b'{"number": NaN}',
        b"\xff\xfe",
        b"[" * 30_000,
        b'{"text":' * 5_000,
    ],
    ids=lambda b: b[:24].decode(errors="replace"),
)
def test_what_is_no_contact_is_refused_without_its_words(door: Door, sent: bytes) -> None:
    answer = door.post(sent)
    assert answer.status == 400
    assert answer.body["code"] == 3
    assert "secret words" not in json.dumps(answer.body)


def test_broken_rules_are_listed(door: Door) -> None:
    answer = door.post(body(number="12", channel=None, source="other"))
    assert answer.status == 400
    assert [v["field"] for v in answer.body["violations"]] == ["contact.source"]
    answer = door.post(body(number="12", language="??"))
    assert {v["field"] for v in answer.body["violations"]} == {
        "contact.number",
        "contact.language",
    }


def test_too_much_is_refused(door: Door) -> None:
    assert door.post(b"x" * (64 * 1024 + 1)).status == 413


def test_only_post_and_only_this_path(door: Door) -> None:
    assert door.send("/v1/webhooks/portal/x", b"", {}).status == 404
    assert door.send("/", b"", {}).status == 404
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    connection.request("GET", "/v1/webhooks/portal")
    assert connection.getresponse().status == 405
    connection.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["source", "idempotencyKey", "kind", "channel", "number", "text", "withheld", "eventMs", "x"]
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200)
    | st.dictionaries(names, json_values, max_size=6).map(lambda d: json.dumps(d).encode())
)
def test_any_signed_bytes_are_answered(door: Door, sent: bytes) -> None:
    assert door.post(sent, delivery="fuzz").status in {200, 400, 403, 409}
    assert door.process.poll() is None


@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "traceparent"]),
        st.binary(max_size=40).map(lambda b: bytes(c for c in b if c not in b"\r\n\0")),
    )
)
def test_any_headers_are_answered(door: Door, headers: dict[str, bytes]) -> None:
    answer = door.send("/v1/webhooks/portal", b"{}", headers)
    # aiohttp itself refuses bytes that no header may hold.
    assert answer.status in {400, 401}
    assert door.process.poll() is None


def test_nothing_personal_and_no_traceback_was_logged(door: Door) -> None:
    assert door.post(body(), delivery="after").status == 200
    assert NUMBER not in door.said
    assert "secret words" not in door.said
    assert "Traceback" not in door.said


# From here on Kafka is killed: keep this last.


async def test_without_kafka_the_sender_is_told_when_to_come_back(
    door: Door, parts: Parts, settings: Settings
) -> None:
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    node.kill9()
    sent = body()
    answer = await asyncio.to_thread(door.post, sent, delivery="away")
    assert (answer.status, answer.body["code"]) == (503, 14)
    assert int(answer.headers["retry-after"]) >= 1
    node.start()
    await asyncio.to_thread(wait_ready, settings.kafka, 1, 60.0, lambda: None)
    deadline = time.monotonic() + 60
    while answer.status != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
        answer = await asyncio.to_thread(door.post, sent, delivery="away")
    assert answer.body["contactId"] in {e.contact_id for e in contacts(settings)}
