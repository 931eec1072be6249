"""What was changed, taken out, put elsewhere or cut off a chain is named by its place."""

from collections.abc import Callable

import pytest
from mawja.audit.v1 import events_pb2, service_pb2
from mawja.common.v1 import common_pb2

from services.runtime.audit.chain import Check, Finding, Head, digest, link
from services.runtime.audit.reading import Found, calls, latest, meant
from services.runtime.audit.table import text_at

TOPIC, PARTITION, NOW = "dedup.audit.v1", 3, 1_800_000_000_000
Chain = list[events_pb2.AuditRecord]


def note(n: int, stage: int = events_pb2.STAGE_ASKED, **fields: object) -> events_pb2.AuditNote:
    given = {"call_id": str(n), "subject": "sara", "deed": "DedupService/AssignCase", **fields}
    made = events_pb2.AuditNote(asked_ms=NOW + n, **given)  # type: ignore[arg-type]
    made.stage = events_pb2.Stage.ValueType(stage)
    return made


def chain(count: int = 6) -> Chain:
    made: Chain = []
    head = Head()
    for n in range(count):
        at = common_pb2.Input(topic="dedup.audit-note.v1", offset=2 * n)
        made.append(link(TOPIC, PARTITION, head, note(n).SerializeToString(), at, NOW + n))
        head = Head(n + 1, made[-1].hash)
    return made


def findings(made: Chain, exported: Head | None = None) -> list[Finding]:
    check = Check(TOPIC, PARTITION, exported)
    found = [one for record in made for one in check.take(record.SerializeToString())]
    return [*found, *check.end()]


def changed(made: Chain) -> None:
    made[2].note = note(2, subject="nobody").SerializeToString()


def later(made: Chain) -> None:
    made[2].chained_ms += 1


def renumbered(made: Chain) -> None:
    made[2].sequence, made[2].input.offset = 3, 6


def taken_out(made: Chain) -> None:
    del made[2]


def two_taken_out(made: Chain) -> None:
    del made[2:4]


def first_taken_out(made: Chain) -> None:
    del made[0]


def swapped(made: Chain) -> None:
    made[2], made[3] = made[3], made[2]


def twice(made: Chain) -> None:
    made.insert(3, made[2])


def rewritten(made: Chain) -> None:
    """One is changed, and given the hash that it must have."""
    made[2].note = note(2, subject="nobody").SerializeToString()
    made[2].hash = digest(TOPIC, PARTITION, made[2])


@pytest.mark.parametrize(
    ("tamper", "sequences", "words"),
    [
        (changed, [2], "was changed"),
        (later, [2], "was changed"),
        (renumbered, [3, 2, 3, 4], "was changed"),
        (taken_out, [2], "is missing: 3 comes in its place"),
        (two_taken_out, [2], "to 3 are missing: 4 comes in its place"),
        (first_taken_out, [0], "is missing"),
        (swapped, [2, 2], "is missing: 3 comes in its place"),
        (twice, [2], "stands again"),
        (rewritten, [3], "does not follow"),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_what_was_done_to_a_chain_is_named(
    tamper: Callable[[Chain], None], sequences: list[int], words: str
) -> None:
    made = chain()
    assert findings(made) == []
    tamper(made)
    found = findings(made)
    assert [one.sequence for one in found] == sequences
    assert found[0].what.find(words) >= 0
    assert {one.partition for one in found} == {PARTITION}


def test_a_record_of_another_partition_or_topic_has_another_hash() -> None:
    record = chain(1)[0]
    assert len({digest(t, p, record) for t in (TOPIC, "x.audit.v1") for p in (3, 4)}) == 4


def test_a_foreign_record_is_named() -> None:
    found = list(Check(TOPIC, PARTITION).take(b"\xff\xff"))
    assert [one.sequence for one in found] == [0]


def test_what_was_cut_off_only_the_exported_head_tells() -> None:
    made = chain()
    exported = Head(len(made), made[-1].hash)
    assert findings(made, exported) == []
    assert findings(made[:-1]) == []
    [cut] = findings(made[:-1], exported)
    assert (cut.sequence, cut.what) == (5, "was cut off: the exported head has it")
    [cut] = findings(made[:2], exported)
    assert (cut.sequence, cut.what) == (2, "to 5 were cut off: the exported head has them")
    [gone] = findings([], exported)
    assert gone.sequence == 0


@pytest.mark.parametrize(("through", "cut"), [(-1, False), (10, False), (11, True), (40, True)])
def test_what_its_owner_had_chained_must_be_there(through: int, cut: bool) -> None:
    check = Check(TOPIC, PARTITION)
    for record in chain():
        assert not list(check.take(record.SerializeToString()))
    found = list(check.end("dedup.audit-note.v1", through))
    assert [one.sequence for one in found] == [6] * cut
    assert bool(list(Check(TOPIC, PARTITION).end("dedup.audit-note.v1", through))) == (through >= 0)


def test_a_chain_made_anew_is_whole_and_not_the_one_that_was_exported() -> None:
    made = chain()
    exported = Head(4, made[3].hash)
    anew: Chain = []
    head = Head()
    for n, old in enumerate(made):
        said = note(n, subject="nobody" if n == 1 else "sara").SerializeToString()
        anew.append(link(TOPIC, PARTITION, head, said, old.input, old.chained_ms))
        head = Head(n + 1, anew[-1].hash)
    assert findings(anew) == []
    [found] = findings(anew, exported)
    assert (found.sequence, found.what) == (3, "is another than when the head was exported")


def test_the_same_note_is_not_kept_twice() -> None:
    made = chain(2)
    again = link(TOPIC, PARTITION, Head(2, made[1].hash), made[1].note, made[1].input, NOW)
    [found] = findings([*made, again])
    assert (found.sequence, found.what) == (2, "keeps a note that an earlier one keeps")


def stood(n: int, at: int, partition: int = 0, **fields: object) -> Found:
    record = events_pb2.AuditRecord(sequence=at, chained_ms=NOW + at)
    return Found(record, note(n, **fields), partition, at)  # type: ignore[arg-type]


def test_a_call_is_shown_once_and_one_without_an_answer_too() -> None:
    answered = stood(1, 3, stage=events_pb2.STAGE_ANSWERED)
    assert calls([stood(1, 1), stood(2, 2), answered]) == [stood(2, 2), answered]


def test_a_page_takes_the_latest_of_all_chains_and_nothing_that_is_not_known() -> None:
    left = {
        0: [stood(1, 1), stood(2, 5)],
        1: [stood(3, 2, 1), stood(4, 4, 1)],
        2: [],
    }
    page = latest(left, NOW + 2, 10)
    assert [one.note.call_id for one in page] == ["2", "4", "3"]
    assert [len(one) for one in left.values()] == [1, 0, 0]
    assert latest({0: [stood(1, 1), stood(2, 5)]}, 0, 1) == [stood(2, 5)]


@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [
        ({}, True),
        ({"subject": "sara"}, True),
        ({"subject": "sar"}, False),
        ({"deed": "AssignCase"}, True),
        ({"deed": "Campaign"}, False),
        ({"about": "x"}, True),
        ({"about": "y"}, False),
        ({"since_ms": NOW + 1}, True),
        ({"since_ms": NOW + 2}, False),
    ],
)
def test_what_is_asked_for(asked: dict[str, object], is_meant: bool) -> None:
    request = service_pb2.ListAuditRequest(**asked)  # type: ignore[arg-type]
    assert meant(note(1, about="x"), request) is is_meant


def test_what_a_call_is_about_is_looked_for_where_it_may_stand() -> None:
    call = service_pb2.AuditedCall(subject="sara", sequence=4)
    answer = service_pb2.ListAuditResponse(calls=[call])
    assert text_at(call, "subject") == "sara"
    for message, path in ((call, "nothing"), (call, "sequence"), (answer, "calls.subject")):
        assert text_at(message, path) == ""
    assert text_at(None, "subject") == ""
