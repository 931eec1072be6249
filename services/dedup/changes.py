"""What the decisions of a batch change in the views, each entry once. Pure."""

from mawja.dedup.v1 import events_pb2

from services.dedup import reversing, views
from services.dedup.case import Case
from services.dedup.cases import Cases, Decision
from services.dedup.known import key_of
from services.dedup.views import Listing
from services.runtime.store import Item

_CHANGED = (
    events_pb2.CASE_CHANGE_OPENED,
    events_pb2.CASE_CHANGE_LINKED,
    events_pb2.CASE_CHANGE_CALL,
    events_pb2.CASE_CHANGE_ASSIGNED,
    events_pb2.CASE_CHANGE_TRIAGED,
    events_pb2.CASE_CHANGE_RESOLVED,
    events_pb2.CASE_CHANGE_REOPENED,
    events_pb2.CASE_CHANGE_NOTED,
    events_pb2.CASE_CHANGE_ASKED,
    *reversing.CHANGES,
)
_LINKED = (events_pb2.CASE_CHANGE_OPENED, events_pb2.CASE_CHANGE_LINKED)


class Changes:
    """The changes of a batch. `again`: some of it may have been stated already."""

    def __init__(self, again: bool = False) -> None:
        self._again = again
        self._cases: dict[str, tuple[Case, int, Listing]] = {}
        self._opened: dict[str, int] = {}
        self._links: dict[str, tuple[str, events_pb2.Link, int]] = {}
        self._moved: dict[str, int] = {}
        self._noted: dict[str, int] = {}

    def add(self, decision: Decision, offset: int, listing: Listing) -> None:
        """Takes up a decision that stands in the log at `offset`."""
        change, case_id = decision.change, decision.case.case_id
        if change not in _CHANGED:
            return
        self._add(decision.case, offset, listing, change == events_pb2.CASE_CHANGE_OPENED)
        if change in _LINKED:
            self._links[decision.link.contact_id] = (case_id, decision.link, offset)
        if decision.HasField("note"):
            self._noted[case_id] = offset
        if decision.HasField("other"):
            split_off = change == events_pb2.CASE_CHANGE_SPLIT
            self._add(decision.other, offset, listing, split_off)
            self._noted[decision.other.case_id] = offset
            self._moved.update(dict.fromkeys(decision.moved, offset))

    def _add(self, case: Case, offset: int, listing: Listing, opened: bool) -> None:
        before = self._cases.get(case.case_id)
        if opened:
            self._opened[case.case_id] = offset
            # Stated again after a crash it may have been listed already.
            listing = listing if self._again else Listing.NEW
        elif before is not None:
            # Of all that happened to it in this batch; what was never listed leaves no list.
            listing = max(listing, before[2])
        self._cases[case.case_id] = (case, offset, listing)

    def items(self, cases: Cases, partition: int) -> list[Item]:
        """The entries, as the cases stand now."""
        made: list[Item] = []
        for case_id, (case, offset, listing) in self._cases.items():
            made.append(views.case_item(case, partition, offset, listing))
            if case_id in self._opened:
                made.append(views.opened_item(case, offset))
            if case_id in self._noted:
                made.append(views.notes_item(case_id, cases.notes_of(case_id), offset))
        made += [views.link_item(*link) for link in self._links.values()]
        for contact_id, offset in self._moved.items():
            contact = cases.contacts.number_of.get(key_of(contact_id))
            # The log may no longer keep the decision that linked it.
            if contact is not None:
                made.append(views.moved_item(cases, contact, offset))
        return made
