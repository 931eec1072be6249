"""Who got what, when: one row for every recipient, as the SMS centre's own record has it."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceSet,
    BucketCount,
    ExportCampaignRequest,
    ExportedRecipient,
    ExportEnd,
    ExportStart,
)
from typer.testing import CliRunner

from services.local.parts import Parts
from services.local.system import token
from services.runtime.identity import Role
from services.runtime.privacy import mask
from services.tools.__main__ import app
from services.tools.local import write_addresses
from tests.broadcast_rig import Rig, digits, numbers, running, wait_until
from tests.campaigns_rig import MAKER, OTHER, Office, agrees, code_of, listed, plan, started

Bucket = campaigns_pb2.Bucket
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    slow = {"parts_per_second": 80}
    refusing = {"refuse": {"ESME_RINVDSTADR": 0.1}}
    with running(
        parts,
        "campaign-export",
        {"one": (slow, {}), "two": (slow, refusing)},
        [{"prefix": "+", "carrier": "one"}, {"prefix": "+99952", "carrier": "two"}],
    ) as made:
        write_addresses(made.system)
        yield made
        assert made.replica.process.exits == ()
        assert "Traceback" not in made.log()
        assert "+9995" not in made.log()


@pytest.fixture(scope="module")
def maker(rig: Rig) -> Office:
    return Office(rig.system, MAKER)


@pytest.fixture(scope="module")
def other(rig: Rig) -> Office:
    return Office(rig.system, OTHER)


@pytest.fixture(scope="module")
def auditor(rig: Rig) -> Office:
    return Office(rig.system, "amal", Role.AUDITOR)


@dataclass(slots=True)
class Export:
    """All pieces of one."""

    start: ExportStart = field(default_factory=ExportStart)
    rows: list[ExportedRecipient] = field(default_factory=list)
    end: ExportEnd = field(default_factory=ExportEnd)


def exported(office: Office, campaign_id: str, numbers: bool = False, reason: str = "") -> Export:
    request = ExportCampaignRequest(campaign_id=campaign_id, numbers=numbers, reason=reason)
    found = Export()
    for piece in office.stub.ExportCampaign(request, timeout=60):
        kind = piece.WhichOneof("piece")
        if kind == "rows":
            found.rows += piece.rows.recipients
        else:
            setattr(found, str(kind), getattr(piece, str(kind)))
    assert found.end.rows == len(found.rows)
    return found


def keyed(counts: Sequence[BucketCount]) -> dict[tuple[str, str, str, str], tuple[int, int]]:
    return {
        (Bucket.Name(one.bucket), one.reason, one.language, one.carrier): (
            one.recipients,
            one.parts,
        )
        for one in counts
    }


def same_as_counts(office: Office, campaign_id: str) -> Export:
    """An export at rest, held against the counts: each has one row, and they add up to them."""
    found, told = Export(), campaigns_pb2.GetCampaignResponse()

    def sums() -> tuple[object, object]:
        return (
            (keyed(found.end.buckets), keyed(found.end.corrections)),
            (keyed(told.buckets), keyed(told.corrections)),
        )

    def same() -> bool:
        nonlocal found, told
        found, told = exported(office, campaign_id), office.get(campaign_id)
        mine, theirs = sums()
        return mine == theirs

    try:
        wait_until(same, 20, 0.5)
    finally:
        mine, theirs = sums()
        assert mine == theirs
    places = [(one.file, one.line) for one in found.rows]
    assert len(places) == len(set(places))
    return found


def numbered(found: Export) -> dict[str, ExportedRecipient]:
    """The rows by number as SMPP carries it; those of people who stand there twice once."""
    return {
        digits(one.number): one
        for one in found.rows
        if one.bucket != campaigns_pb2.BUCKET_DUPLICATE
    }


def test_every_recipient_has_one_row_from_the_rehearsal_to_the_recall(
    rig: Rig, maker: Office, other: Office, auditor: Office
) -> None:
    here, there = numbers("10", 300), numbers("20", 300)
    rows = [*here, *there, here[0], "12"]
    file = maker.upload(listed(rows))
    assert file.bad == 1
    campaign = maker.rehearsed(
        maker.create(plan(file.audience_id, corrections=plan("").corrections)).campaign_id
    )
    name = campaign.campaign_id
    before = same_as_counts(maker, name)
    assert Counter(one.bucket for one in before.rows) == {
        campaigns_pb2.BUCKET_WAITING: 600,
        campaigns_pb2.BUCKET_DUPLICATE: 1,
    }
    assert {one.decided_ms for one in before.rows} == {0}
    assert [one.name for one in before.start.files] == ["list.csv"]

    other.approve(campaign)
    maker.do("Start", name)
    wait_until(lambda: len(rig.smsc["two"].submits()) > 20, 30)
    # While it moves each has one row all the same.
    moving = exported(maker, name)
    assert (len(moving.rows), sum(one.recipients for one in moving.end.buckets)) == (601, 602)
    maker.do("Pause", name, reason="look")
    wait_until(lambda: agrees(rig, maker, name, 602)["UNDER_WAY"] == 0, 30, 0.5)
    held = Counter(one.bucket for one in same_as_counts(maker, name).rows)
    assert held[campaigns_pb2.BUCKET_WAITING] > 0
    assert held[campaigns_pb2.BUCKET_DELIVERED] > 0
    maker.do("Resume", name, reason="go")
    maker.until(name, COMPLETED)

    # What stands in Redis is not asked.
    same_as_counts(maker, name)
    whole = exported(auditor, name, numbers=True, reason="ticket 4711")
    people = numbered(whole)
    assert set(people) == {digits(one) for one in (*here, *there)}
    accepted = {
        centre: {one.destination for one in rig.smsc[centre].submits() if one.accepted}
        for centre in ("one", "two")
    }
    for number, row in people.items():
        by = "two" if number.startswith("99952") else "one"
        assert row.carrier == by
        assert (row.bucket == campaigns_pb2.BUCKET_DELIVERED) == (number in accepted[by])
        assert row.language == "ar"
        assert row.parts == 1
        # A claim that met the pause was given back.
        assert row.attempts in (1, 2)
        assert row.decided_ms >= whole.start.campaign.started.done_ms
    failed = [one for one in people.values() if one.bucket == campaigns_pb2.BUCKET_FAILED]
    assert {one.reason for one in failed} == {"invalid-destination"}
    # By line the file says who it was.
    assert {rows[one.line - 2] for one in whole.rows} == {*here, *there}
    exported_by = maker.get(name).campaign.exported
    assert (exported_by.subject, exported_by.reason) == ("amal", "ticket 4711")
    assert '"by": "amal"' in rig.log()
    # Why is said in the decision only: staff may name somebody in it.
    assert "ticket 4711" not in rig.log()

    maker.do("Recall", name, reason="closed")
    reached = sum(map(len, accepted.values()))

    def corrected() -> int:
        corrections = maker.get(name).corrections
        delivered = campaigns_pb2.BUCKET_DELIVERED
        return sum(one.recipients for one in corrections if one.bucket == delivered)

    wait_until(lambda: corrected() > 0.8 * reached, 60, 0.5)
    found = same_as_counts(maker, name)
    assert sum(one.HasField("correction") for one in found.rows) >= corrected()
    assert not any(
        one.HasField("correction")
        for one in found.rows
        if one.bucket != campaigns_pb2.BUCKET_DELIVERED
    )


def test_several_files_are_told_apart(maker: Office, other: Office) -> None:
    all_of = numbers("13", 60)
    one, two = (maker.upload(listed(some)).audience_id for some in (all_of[:40], all_of[20:]))
    audience = Audience(any_of=AudienceSet(audiences=[Audience(upload=one), Audience(upload=two)]))
    name = started(maker, other, plan(audience))
    maker.until(name, COMPLETED)
    found = same_as_counts(maker, name)
    duplicate = campaigns_pb2.BUCKET_DUPLICATE
    assert Counter((row.file, row.bucket == duplicate) for row in found.rows) == {
        (0, False): 40,
        (1, False): 20,
        (1, True): 20,
    }
    assert [file.audience_id for file in found.start.files] == [one, two]


def test_numbers_are_for_who_may_see_them(
    rig: Rig, maker: Office, other: Office, auditor: Office
) -> None:
    people = numbers("14", 20)
    name = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    maker.until(name, COMPLETED)
    masked = {one.number for one in exported(maker, name).rows}
    assert masked == {mask(one) for one in people}

    def code(office: Office, numbers: bool = False, reason: str = "") -> grpc.StatusCode:
        return code_of(lambda: exported(office, name, numbers, reason))

    assert code(maker, True, "because") is grpc.StatusCode.PERMISSION_DENIED
    assert code(auditor, True) is grpc.StatusCode.INVALID_ARGUMENT
    agent = Office(rig.system, "agent", Role.AGENT)
    assert code(agent) is grpc.StatusCode.PERMISSION_DENIED
    stranger = Office(rig.system, "liaison", Role.LIAISON, "another")
    assert code(stranger) is grpc.StatusCode.NOT_FOUND
    draft = maker.create(plan(maker.upload(listed(people)).audience_id)).campaign_id
    told = code_of(lambda: exported(maker, draft))
    assert told is grpc.StatusCode.FAILED_PRECONDITION
    # One at a time; who hangs up keeps nobody waiting.
    stream = auditor.stub.ExportCampaign(ExportCampaignRequest(campaign_id=name))
    next(iter(stream))
    stream.cancel()
    wait_until(lambda: code(maker) is grpc.StatusCode.OK, 10)


def test_the_command_writes_a_file_for_a_spreadsheet(
    rig: Rig, maker: Office, other: Office, tmp_path: Path
) -> None:
    people = numbers("15", 700)
    name = started(maker, other, plan(maker.upload(listed(people)).audience_id))
    maker.until(name, COMPLETED)

    def typed(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(
            app,
            ["campaign", "export", name[:8], *words, f"--home={rig.parts.home}"],
            env={"MAWJA_TOKEN": None},
        )
        assert done.exit_code == code, done.output
        return done.stderr if code else done.stdout

    to = tmp_path / "reached.csv"
    typed(f"--as={MAKER}", f"--to={to}", "--language=ar")
    assert to.stat().st_mode & 0o777 == 0o600
    text = to.read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 700
    assert {row["الخانة"] for row in rows} == {"delivered"}
    assert not any(number in text for number in people)
    assert [one.name for one in tmp_path.iterdir()] == ["reached.csv"]
    assert "auditor" in typed(f"--as={MAKER}", "--numbers", "--reason=look", code=1)
    shown = token(rig.system.keys, "amal", Role.AUDITOR)
    out = typed(f"--token={shown}", "--numbers", "--reason=look")
    found = csv.DictReader(io.StringIO(out.removeprefix("\ufeff")))
    assert {row["number"].removeprefix("'") for row in found} == set(people)
    assert "--reason" in typed(f"--token={shown}", "--numbers", code=1)
