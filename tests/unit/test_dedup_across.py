"""What becomes of cases of two people that a person merges, each in a partition of its own."""

import pytest
from mawja.dedup.v1 import events_pb2

from services.dedup import inputs
from services.dedup.case import Case
from services.dedup.cases import Decision
from services.runtime import ids
from tests.dedup_desk import ABANDONED, ALI, HOUR, MIN, MONA, NOW, Desk, snapshot

MERGED, OPEN = events_pb2.CASE_STATE_MERGED, events_pb2.CASE_STATE_OPEN
DONE = events_pb2.CASE_STATE_RESOLVED
REFUSED, REPEATED = events_pb2.CASE_CHANGE_REFUSED, events_pb2.CASE_CHANGE_REPEATED


class Pair:
    """Two partitions: Ali's case in 0 and Mona's in 1, and a third of Mona's."""

    def __init__(self) -> None:
        self.desks = (Desk(), Desk())
        self.ali = self.desks[0].contact("a", person=ALI).case.case_id
        self.mona = self.desks[1].contact("m", MIN, person=MONA).case.case_id
        self.sent: list[tuple[int, events_pb2.CaseCommand]] = []

    def case(self, at: int, case_id: str) -> Case:
        number = self.desks[at].cases.number_of(case_id)
        assert number is not None
        return self.desks[at].cases.case(number)

    def notes(self, at: int, case_id: str) -> list[events_pb2.Note]:
        return [events_pb2.Note.FromString(n) for n in self.desks[at].cases.notes_of(case_id)]

    def merge(
        self, name: str, source_at: int, source_id: str, into_id: str, seen: Case | None = None
    ) -> Decision:
        """Merges into the case of the other partition, which decides. `seen`: as a replica saw it
        that was behind."""
        into_at = 1 - source_at
        asked = events_pb2.Merge(
            source=events_pb2.CaseRef(case_id=source_id, partition=source_at),
            partition=into_at,
            sealed_reason=b"why",
            seen=seen or self.case(source_at, source_id),
        )
        decision = self.desks[into_at].command(name, into_id, HOUR, merge=asked)
        return self.send(decision)

    def split(self, name: str, at: int, case_id: str) -> Decision:
        asked = events_pb2.Split(sealed_reason=b"not so")
        return self.send(self.desks[at].command(name, case_id, split=asked))

    def send(self, decision: Decision) -> Decision:
        self.sent += [(one.partition, one.command) for one in decision.follow_ups]
        return decision

    def follow(self, again: bool = False) -> list[Decision]:
        """What was asked of the partitions is decided, and what follows from it."""
        decided = []
        sent, self.sent = self.sent, []
        for at, command in sent * (2 if again else 1):
            read = inputs.command(command.SerializeToString(), 4)
            desk = self.desks[at]
            decided.append(desk._took(desk.cases.command(read, desk._at("command"), NOW)))
            self.send(decided[-1])
        return decided

    def fold(self) -> None:
        for desk in self.desks:
            assert snapshot(desk.folded()) == snapshot(desk.cases)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_one_is_linked_and_the_other_follows(pair: Pair) -> None:
    told = pair.merge("1", 0, pair.ali, pair.mona)
    assert told.change == events_pb2.CASE_CHANGE_MERGED
    assert not told.HasField("other")
    assert not told.moved
    [link] = told.case.linked
    assert (link.linked.case_id, link.linked.partition) == (pair.ali, 0)
    assert link.case_number == ids.case_number(pair.ali)
    assert link.level == events_pb2.LINK_LEVEL_BY_HAND
    assert (link.score, link.author, link.linked_ms) == (1.0, "agent", NOW + HOUR)
    # Until its owner was told the other stands as before: nobody is in no list.
    assert pair.case(0, pair.ali).state == OPEN
    [followed] = pair.follow()
    assert followed.change == events_pb2.CASE_CHANGE_MERGED
    assert followed.outcome.code == 0
    ali = pair.case(0, pair.ali)
    assert ali.state == MERGED
    assert (ali.merged_into.into.case_id, ali.merged_into.into.partition) == (pair.mona, 1)
    assert (ali.merged_into.case_number, ali.merged_into.was) == (told.case.case_number, OPEN)
    assert ali.merged_into.across
    # Each keeps what is theirs, and is counted as a person of their own.
    assert (ali.contacts, pair.case(1, pair.mona).contacts) == (1, 1)
    assert [desk.total("cases") for desk in pair.desks] == [1, 1]
    for at, case_id, other in ((0, pair.ali, pair.mona), (1, pair.mona, pair.ali)):
        [note] = pair.notes(at, case_id)
        assert (note.author, note.sealed_text) == ("agent", b"why")
        assert note.other_number == ids.case_number(other)
    pair.fold()


def test_the_danger_and_need_of_either_counts(pair: Pair) -> None:
    pair.desks[0].contact("a2", MIN, person=ALI, life_safety=True)
    pair.desks[1].command("r", pair.mona, MIN, resolve=events_pb2.Resolve())
    told = pair.merge("1", 0, pair.ali, pair.mona)
    assert told.case.life_safety
    assert (told.case.state, told.case.resolved_ms) == (OPEN, 0)


def test_what_is_told_twice_is_done_once(pair: Pair) -> None:
    told = pair.merge("1", 0, pair.ali, pair.mona)
    again = pair.merge("1", 0, pair.ali, pair.mona)
    assert (again.change, again.outcome) == (REPEATED, told.outcome)
    first, second = pair.follow(again=True)
    assert (first.outcome, second.outcome) == (second.outcome, first.outcome)
    assert second.change == REPEATED
    assert not second.follow_ups
    assert len(pair.notes(0, pair.ali)) == 1
    pair.fold()


def test_what_is_told_again_long_after_takes_nothing_back(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    sent = list(pair.sent)
    pair.follow()
    # By then nobody remembers what the command was told.
    pair.desks[0].cases.memory.told.clear()
    pair.sent = sent
    [again] = pair.follow()
    assert again.change == REFUSED
    assert not pair.sent
    assert pair.case(0, pair.ali).state == MERGED
    assert len(pair.case(1, pair.mona).linked) == 1


def test_who_reaches_out_behind_a_merged_case_is_heard(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.desks[1].command("r", pair.mona, 2 * HOUR, resolve=events_pb2.Resolve())
    later = pair.send(pair.desks[0].contact("a2", 3 * HOUR, person=ALI, life_safety=True))
    # It stays in its own case, which stays merged.
    assert (later.case.case_id, later.case.contacts, later.case.state) == (pair.ali, 2, MERGED)
    [heard] = pair.follow()
    assert heard.change == events_pb2.CASE_CHANGE_HEARD
    assert (heard.case.case_id, heard.case.state) == (pair.mona, OPEN)
    assert heard.case.life_safety
    # A redelivery is nothing.
    assert not pair.desks[0].contact("a2", person=ALI).follow_ups
    pair.fold()


def test_what_an_agent_resolves_is_resolved_for_both(pair: Pair) -> None:
    pair.desks[0].command("x", pair.ali, assign=events_pb2.Assign(assignee="ag-7"))
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.send(pair.desks[1].command("r", pair.mona, 2 * HOUR, resolve=events_pb2.Resolve()))
    [resolved] = pair.follow(again=True)[:1]
    # Whoever calls back what was promised learns that it is settled.
    assert resolved.change == events_pb2.CASE_CHANGE_RESOLVED
    assert (resolved.case.state, resolved.case.merged_into.was) == (MERGED, DONE)
    assert resolved.case.resolved_ms == NOW + 2 * HOUR
    pair.send(pair.desks[1].command("o", pair.mona, 3 * HOUR, reopen=events_pb2.Reopen()))
    [reopened] = pair.follow()
    assert reopened.change == events_pb2.CASE_CHANGE_REOPENED
    assert (reopened.case.merged_into.was, reopened.case.resolved_ms) == (OPEN, 0)
    parted = pair.split("2", 0, pair.ali).case
    assert (parted.state, parted.assignee) == (OPEN, "")
    pair.fold()


def test_who_reached_out_since_is_not_resolved(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.desks[0].contact("a2", 3 * HOUR, person=ALI)
    pair.send(pair.desks[1].command("r", pair.mona, 2 * HOUR, resolve=events_pb2.Resolve()))
    [refused] = pair.follow()
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert pair.split("2", 0, pair.ali).case.state == OPEN


def test_what_was_resolved_while_merged_stays_so_until_its_person_comes_back(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.send(pair.desks[1].command("r", pair.mona, 2 * HOUR, resolve=events_pb2.Resolve()))
    pair.follow()
    assert pair.split("2", 0, pair.ali).case.state == DONE
    pair.follow()
    assert pair.desks[0].contact("a2", 3 * HOUR, person=ALI).case.state == OPEN
    pair.fold()


def test_an_answered_call_does_not_resolve_a_merged_case(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.desks[0].answered("a", 2 * HOUR, 3 * HOUR)
    ali = pair.case(0, pair.ali)
    assert (ali.state, ali.resolved_ms, ali.answered) == (MERGED, 0, 1)


def test_parting_undoes_it_on_both_sides_and_they_stay_apart(pair: Pair) -> None:
    pair.desks[0].command("x", pair.ali, assign=events_pb2.Assign(assignee="ag-7"))
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    told = pair.split("2", 0, pair.ali)
    assert told.change == events_pb2.CASE_CHANGE_SPLIT
    assert (told.case.state, told.case.assignee) == (events_pb2.CASE_STATE_ASSIGNED, "ag-7")
    assert not told.case.HasField("merged_into")
    [followed] = pair.follow(again=True)[:1]
    assert not followed.case.linked
    assert [note.sealed_text for note in pair.notes(1, pair.mona)] == [b"why", b"not so"]
    for desk in pair.desks:
        assert desk.cases.apart.apart(pair.ali, pair.mona)
    pair.fold()
    # Only a person merges them again.
    pair.merge("3", 0, pair.ali, pair.mona)
    pair.follow()
    for desk in pair.desks:
        assert not desk.cases.apart.apart(pair.ali, pair.mona)
    assert pair.case(0, pair.ali).state == MERGED
    pair.fold()


def test_a_late_word_of_an_earlier_parting_leaves_a_later_merge_alone(pair: Pair) -> None:
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.split("2", 0, pair.ali)
    late, pair.sent = pair.sent, []
    pair.sent = [*late]
    pair.follow()
    pair.merge("3", 0, pair.ali, pair.mona)
    pair.follow()
    # A crashed owner asks once more, and the first asking was forgotten.
    pair.desks[1].cases.memory.told.clear()
    pair.sent = late
    [again] = pair.follow()
    assert again.change == REFUSED
    assert len(pair.case(1, pair.mona).linked) == 1


def test_two_that_are_merged_into_each_other_at_once_both_stay(pair: Pair) -> None:
    seen = pair.case(1, pair.mona)
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.merge("2", 1, pair.mona, pair.ali, seen)
    while pair.sent:
        pair.follow()
    states = {pair.case(0, pair.ali).state, pair.case(1, pair.mona).state}
    assert OPEN in states
    linked = [len(pair.case(0, pair.ali).linked), len(pair.case(1, pair.mona).linked)]
    assert sum(linked) == (MERGED in states)
    notes = [*pair.notes(0, pair.ali), *pair.notes(1, pair.mona)]
    assert REFUSED in {note.about for note in notes}
    # Nobody parted them: a merge that could not be followed says nothing of the two.
    assert not any(desk.cases.apart.apart(pair.ali, pair.mona) for desk in pair.desks)
    pair.fold()


def test_a_merge_into_what_is_merged_or_linked_is_refused(pair: Pair) -> None:
    third = pair.desks[1].contact("m2", MIN, person=b"", agency="interior").case.case_id
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    for name, at, source, into, sentence in (
        ("2", 0, pair.ali, third, "ask for that one"),
        ("3", 1, third, pair.ali, "ask for that one"),
        ("4", 0, pair.ali, pair.mona, "merged already"),
    ):
        refused = pair.merge(name, at, source, into)
        assert (refused.change, refused.outcome.code) == (REFUSED, 9)
        assert sentence in refused.outcome.message
    assert not pair.sent


def test_a_case_with_others_behind_it_is_not_merged_itself(pair: Pair) -> None:
    own = pair.desks[1].contact("m2", MIN, person=MONA, agency="interior").case
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    asked = events_pb2.Merge(source=events_pb2.CaseRef(case_id=pair.mona, partition=1), partition=1)
    refused = pair.desks[1].command("2", own.case_id, merge=asked)
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert "split that first" in refused.outcome.message
    # The other way it goes: what is behind it stays there.
    asked.source.case_id = own.case_id
    taken = pair.desks[1].command("3", pair.mona, merge=asked)
    assert (taken.case.contacts, len(taken.case.linked)) == (2, 1)
    pair.fold()


def test_who_follows_is_told_when_the_case_is_not_there(pair: Pair) -> None:
    told = pair.merge("1", 0, pair.ali, pair.mona)
    [follow_up] = told.follow_ups
    follow_up.command.case_id = ids.case_id("nobody")
    pair.sent = [(0, follow_up.command)]
    [refused] = pair.follow()
    assert (refused.change, refused.outcome.code) == (REFUSED, 5)
    assert not refused.HasField("case")
    assert len(pair.sent) == 1


def test_withheld_callers_are_linked_and_never_one_person() -> None:
    desk = Desk()
    one, other = (desk.contact(name, person=b"").case for name in "ab")
    asked = events_pb2.Merge(
        source=events_pb2.CaseRef(case_id=one.case_id), seen=one, sealed_reason=b"why"
    )
    told = desk.command("1", other.case_id, merge=asked)
    assert not told.moved
    assert [link.linked.case_id for link in told.case.linked] == [one.case_id]
    assert told.case.contacts == 1


def test_a_call_owed_to_each_of_two_people_stays_theirs(pair: Pair) -> None:
    pair.desks[0].call("a", ABANDONED, MIN)
    told = pair.merge("1", 0, pair.ali, pair.mona)
    [followed] = pair.follow()
    for decision in (told, followed):
        assert not decision.HasField("owed")
        assert not decision.HasField("other")


def test_what_follows_can_be_read_by_any_owner(pair: Pair) -> None:
    """Ids that are ids, times that are times: nothing of it becomes a dead letter."""
    pair.merge("1", 0, pair.ali, pair.mona)
    pair.follow()
    pair.send(pair.desks[0].contact("a2", 3 * HOUR, person=ALI))
    pair.split("2", 0, pair.ali)
    kinds = []
    for _, command in pair.sent:
        read = inputs.command(command.SerializeToString(), 4)
        assert read.envelope.subject
        assert not read.envelope.reply_to
        kinds.append(read.WhichOneof("action"))
    assert kinds == ["hear", "follow_split"]
