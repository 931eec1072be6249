"""A campaign to very many while broadcast is killed again and again, from the file's first bytes to
the last receipts: the sums are exact at every look, and nobody gets anything twice.

Short in `make test`, longer in `make faults`; `make soak` sends to a million with 20 kills.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import ExportCampaignRequest, UploadAudienceRequest

from services.broadcast.campaigns.people import message_id
from services.local.parts import Parts
from services.local.smsc.record import read_record
from services.local.supervised import RestartPolicy
from services.runtime import topics
from services.runtime.clock import now_ms
from services.runtime.own import Record
from services.runtime.scan import Scan
from tests.broadcast_rig import Rig, Smsc, digits, numbers, running, wait_until
from tests.campaigns_rig import MAKER, OTHER, Office, again, by_bucket, listed, plan
from tests.faults.stage import Size
from tests.faults.table import Row

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7_200)]
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
REHEARSED = campaigns_pb2.CAMPAIGN_STATE_REHEARSED
_PIECES = 60
_UPLOAD_S, _REHEARSAL_S, _RUN_S = 600, 900, 5_400
_EVERY_S = 1.0


@dataclass(slots=True)
class Sent:
    """How many submits the SMS centres have been given so far, without reading them again."""

    centres: list[Smsc]
    _read: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def __call__(self) -> int:
        for centre in self.centres:
            if not centre.record.exists():
                continue
            with centre.record.open("rb") as lines:
                lines.seek(self._read.get(str(centre.record), 0))
                data = lines.read()
                self._read[str(centre.record)] = lines.tell()
            self.count += data.count(b"\n")
        return self.count


@dataclass(slots=True)
class Looks:
    """Looks at the campaign all the time, in a thread, and at what memory broadcast takes."""

    rig: Rig
    office: Office
    campaign_id: str
    people: int
    count: int = 0
    wrong: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Looks":
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _look(self) -> None:
        delivered = 0
        while not self._over.wait(_EVERY_S):
            try:
                self.peak_mb = max(self.peak_mb, self.rig.replica.process.rss_bytes() / 1e6)
                found = self.office.get(self.campaign_id)
            except grpc.RpcError:
                continue
            self.count += 1
            buckets = by_bucket(found.buckets)
            if sum(buckets.values()) != self.people or found.recipients != self.people:
                self.wrong.append(f"{dict(buckets)} is not {self.people}")
            if buckets["DELIVERED"] < delivered:
                self.wrong.append(f"delivered fell from {delivered} to {buckets['DELIVERED']}")
            delivered = buckets["DELIVERED"]


def kill(rig: Rig) -> None:
    """SIGKILL; returns when it serves again, its partitions in hand."""
    rig.replica.process.kill9()
    wait_until(rig.replica.ready, 180)


def brought(rig: Rig, maker: Office, content: bytes, at: list[int]) -> str:
    """The file's id. Broadcast is killed while it takes it, once it was given so many bytes."""
    left, piece = sorted(at), 1 + len(content) // _PIECES

    def pieces() -> Iterator[UploadAudienceRequest]:
        yield maker.start_of(request_id="the file")
        for begin in range(0, len(content), piece):
            yield UploadAudienceRequest(data=content[begin : begin + piece])
            if left and begin + piece > left[0]:
                left.pop(0)
                kill(rig)

    taken = again(
        lambda: maker.stub.UploadAudience(pieces(), timeout=_UPLOAD_S), timeout_s=_UPLOAD_S
    )
    assert left == []
    return str(taken.audience_id)


@dataclass(slots=True)
class Accounts:
    """What stands in the log and in the SMS centres' records, read from outside."""

    states: Counter[int] = field(default_factory=Counter)
    unlike: int = 0
    """Changes of a message that is not the one that its person has."""
    accepted: int = 0
    got: set[str] = field(default_factory=set)


def accounts(rig: Rig, campaign_id: str) -> Accounts:
    found, last = Accounts(), dict[bytes, int]()

    def take(record: Record) -> None:
        for change in events_pb2.StatusRecord.FromString(record.value or b"").changes:
            if change.message_id != message_id(campaign_id, change.person, correction=False):
                found.unlike += 1
            last[change.person] = change.state

    with Scan(rig.parts.kafka, [topics.MESSAGE_STATUS]) as scan:
        scan.advance(take)
    found.states.update(last.values())
    for centre in rig.smsc.values():
        for submit in read_record(centre.record):
            if submit.accepted:
                found.accepted += 1
                found.got.add(submit.destination)
    return found


@pytest.fixture
def people(pytestconfig: pytest.Config, size: Size) -> int:
    """How many recipients."""
    return int(pytestconfig.getoption("--people") or size.of(50_000, 2_000))


@pytest.mark.row(
    "a campaign, broadcast killed from the file to the last receipt",
    must="sums exact at every look, everyone in one bucket, 0 duplicates",
)
def test_soak(parts: Parts, size: Size, rng: random.Random, row: Row, people: int) -> None:
    kills = int(size.of(20, 3))
    started = time.monotonic()
    profile = {"receipt_delay_ms": {"uniform": [0, 300]}}
    spec = {"window": 200 if size.full else 60, "parts_per_second": 5_000 if size.full else 600}
    with running(
        parts,
        "soak",
        {"one": (spec, profile), "two": (spec, profile)},
        [{"prefix": "+", "carrier": "one"}, {"prefix": "+99952", "carrier": "two"}],
    ) as rig:
        rig.replica.process.policy = RestartPolicy(factor=1.0)
        maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
        everyone = [*numbers("10", people // 2), *numbers("20", people - people // 2)]
        rng.shuffle(everyone)
        content = listed(everyone)
        early = max(1, kills // 10)
        name = brought(rig, maker, content, [rng.randrange(len(content)) for _ in range(early)])
        row.figure("file taken after s", time.monotonic() - started)

        wanted = plan(name, expires_ms=now_ms() + 6 * 3_600_000)
        campaign_id = again(lambda: maker.create(wanted, "campaign")).campaign_id
        again(lambda: maker.do("Rehearse", campaign_id, request_id="rehearse"))
        for _ in range(early):
            time.sleep(rng.uniform(0, people / 50_000))
            kill(rig)
        seen = maker.until(campaign_id, REHEARSED, timeout_s=_REHEARSAL_S).campaign
        assert by_bucket(seen.rehearsal.buckets) == {"WAITING": people}
        row.figure("rehearsed after s", time.monotonic() - started)

        again(lambda: other.approve(seen, "approve"))
        again(lambda: maker.do("Start", campaign_id, request_id="start"))
        sent, began = Sent(list(rig.smsc.values())), time.monotonic()
        with Looks(rig, maker, campaign_id, people) as looks:
            # Not to the last: what is unknown after a kill is never submitted.
            for goal in sorted(rng.sample(range(1, people * 9 // 10), kills - 2 * early)):
                wait_until(lambda goal=goal: sent() >= goal, _RUN_S, 0.02)  # type: ignore[misc]
                kill(rig)
            done = maker.until(campaign_id, COMPLETED, timeout_s=_RUN_S)
        assert looks.wrong == []
        row.figure("looks", looks.count)
        row.figure("sent in s", time.monotonic() - began)
        row.figure("MB at most", looks.peak_mb)
        assert len(rig.replica.process.exits) == kills
        row.figure("kills", kills)

        buckets = by_bucket(done.buckets)
        assert buckets["DELIVERED"] + buckets["UNKNOWN"] == people
        unknown = buckets["UNKNOWN"]
        found = accounts(rig, campaign_id)
        row.duplicate_messages = found.accepted - len(found.got)
        assert row.duplicate_messages == 0
        assert found.unlike == 0
        assert found.states == Counter(
            {
                state: count
                for state, count in (
                    (events_pb2.MESSAGE_STATE_DELIVERED, buckets["DELIVERED"]),
                    (events_pb2.MESSAGE_STATE_UNKNOWN, unknown),
                )
                if count
            }
        )
        # The SMS centres send a receipt for all that they accept.
        assert found.accepted == buckets["DELIVERED"]
        assert found.got <= {digits(number) for number in everyone}
        # A claim that was lost with its process may have been used: at most a window each time.
        row.at_most("unknown", unknown, kills * 2 * int(spec["window"]))
        assert exported(maker, campaign_id) == buckets
        row.figure("recipients", people)


def exported(office: Office, campaign_id: str) -> Counter[str]:
    """Where everybody is, by the rows of an export, of which each is of another line."""
    found, lines = Counter[str](), set[int]()
    request = ExportCampaignRequest(campaign_id=campaign_id)
    for piece in office.stub.ExportCampaign(request, timeout=600):
        for one in piece.rows.recipients:
            lines.add(one.line)
            found[campaigns_pb2.Bucket.Name(one.bucket).removeprefix("BUCKET_")] += 1
    assert len(lines) == sum(found.values())
    return found
