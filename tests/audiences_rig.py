"""Cases as dedup states them, and audiences made of those who are in them, over gRPC."""

from typing import Any

import grpc
from kafka import KafkaProducer
from mawja.broadcast.v1 import audiences_pb2, audiences_pb2_grpc
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview, AudienceQuery, Callers, Subscribers
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceFile, AudienceSlice
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1.events_pb2 import Case, CaseDecision

from services.local.system import System, token
from services.runtime import ids, topics
from services.runtime.clock import now_ms
from services.runtime.identity import Role, issue
from services.runtime.own import EPOCH, MARKER, Record
from services.runtime.privacy import Keyring
from services.runtime.scan import Scan
from tests.campaigns_rig import Shown


class Dedup:
    """Writes dedup's log as its owner would: a marker, two days ago, then decisions with its
    epoch."""

    def __init__(self, bootstrap: str, keyring: Keyring, partitions: int) -> None:
        self.keyring = keyring
        self._partitions = partitions
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._epochs = {partition: self._marked(partition) for partition in range(partitions)}

    def _marked(self, partition: int) -> int:
        sent = self._producer.send(
            topics.CASE.name,
            partition=partition,
            value=b"",
            headers=[(MARKER, b"test")],
            timestamp_ms=now_ms() - 2 * topics.DAY_MS,
        )
        return int(sent.get(10).offset)

    def case(self, name: str, number: str, **given: Any) -> Case:
        """A case of the person at `number`; withheld when there is none."""
        now = now_ms()
        fields: dict[str, Any] = {
            "case_id": ids.derive("case", name),
            "person": self.keyring.person(number) if number else b"",
            "sealed_number": self.keyring.seal("number", number, now),
            "state": events_pb2.CASE_STATE_OPEN,
            "language": "ar",
            "drill": True,
            "accepted_ms": now,
            "last_contact_ms": now,
            **given,
        }
        return Case(**fields)

    def contact(
        self, name: str, number: str, line: str = "109", at_ms: int = 0, **given: Any
    ) -> Case:
        """A person reaches out about something new."""
        stands = self.case(name, number, **given)
        self.decide(self.opened(stands, at_ms or now_ms(), line))
        return stands

    def opened(self, stands: Case, at_ms: int, line: str = "109") -> CaseDecision:
        """The decision that a contact opened a case."""
        contact_id = ids.derive("contact", stands.case_id)
        link = events_pb2.Link(contact_id=contact_id, event_ms=at_ms, line=line)
        return CaseDecision(change=events_pb2.CASE_CHANGE_OPENED, case=stands, link=link)

    def decide(self, decision: CaseDecision, place: str = "", at_ms: int = 0) -> None:
        """Appends a decision to the partition of its person, now or at a time."""
        if place:
            decision.needs.add(case_id=decision.case.case_id, places=[place])
        key = decision.case.person or bytes.fromhex(decision.case.case_id.replace("-", ""))
        partition = topics.partition_of(key, self._partitions)
        self._producer.send(
            topics.CASE.name,
            partition=partition,
            key=key,
            value=decision.SerializeToString(),
            headers=[(EPOCH, self._epochs[partition].to_bytes(8, "big"))],
            timestamp_ms=at_ms or now_ms(),
        )

    def flush(self) -> None:
        self._producer.flush(30)

    def close(self) -> None:
        self._producer.close()


class Finder:
    """A person with a token who asks for audiences."""

    def __init__(
        self, system: System, subject: str, role: Role = Role.COORDINATOR, agency: str = ""
    ) -> None:
        shown = token(system.keys, subject, role)
        if agency:
            shown = issue(system.keys, subject, frozenset({role}), now=now_ms(), agency=agency)
        plain = grpc.insecure_channel(system.target("broadcast"))
        channel = grpc.intercept_channel(plain, Shown(shown))
        self.stub: Any = audiences_pb2_grpc.AudienceServiceStub(channel)
        self._agency = agency
        self._asked = 0

    def make(
        self, callers: Callers, *, drill: bool = True, request_id: str = "", name: str = "callers"
    ) -> AudienceFile:
        """A list of the callers that are meant."""
        return self._make(AudienceQuery(callers=callers), drill, request_id, name)

    def make_of(self, subscribers: Subscribers) -> AudienceFile:
        """A list of the subscribers that are meant."""
        return self._make(AudienceQuery(subscribers=subscribers), True, "", "subscribers")

    def _make(self, query: AudienceQuery, drill: bool, request_id: str, name: str) -> AudienceFile:
        self._asked += 1
        request = audiences_pb2.MakeAudienceRequest(
            request_id=request_id or f"{self._asked}-{now_ms()}",
            name=name,
            agency=self._agency,
            drill=drill,
            query=query,
        )
        answers = list(self.stub.MakeAudience(request, timeout=60))
        made: AudienceFile = answers[-1].audience
        assert answers[-1].found == made.recipients
        return made

    def preview(self, audience: Audience) -> AudiencePreview:
        """Who is in an audience."""
        request = audiences_pb2.PreviewAudienceRequest(audience=audience)
        found: AudiencePreview = list(self.stub.PreviewAudience(request, timeout=60))[-1].preview
        return found


def people_of(bootstrap: str, file: AudienceFile, keyring: Keyring) -> list[str]:
    """The numbers in a list, read from the topic."""
    found: list[str] = []

    def take(record: Record) -> None:
        piece = AudienceSlice.FromString(record.value or b"")
        if (piece.audience_id, piece.attempt) == (file.audience_id, file.attempt):
            found.extend(keyring.unseal("number", one.sealed_number) for one in piece.recipients)

    with Scan(bootstrap, [topics.AUDIENCE]) as scan:
        scan.advance(take)
    assert len(found) == file.recipients
    return sorted(found)
