"""What Redis holds of cases, so that any replica can show them. Pure: keys and entries.

dedup:case:<id>        the case (CaseView)
dedup:number:<MW-…>    its id
dedup:notes:<id>       its notes (NotesView)
dedup:contact:<id>     why a contact is in its case (Link)
dedup:links:<id>       sorted set: a case's contacts by event time
dedup:person:<hash>    sorted set: the cases of a person by first arrival
dedup:list:<state>:<agency>  sorted set: cases by first arrival; "*" for every state or agency
dedup:unsure:<state>:<agency>  the same of those whose triage is unsure
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from mawja.dedup.v1 import events_pb2

from services.dedup.case import Case, unsure
from services.dedup.cases import Cases
from services.dedup.known import key_of
from services.runtime.store import IndexOp, Item

ROOM = "dedup"
ANY = "*"
_UNMET = (events_pb2.CASE_STATE_OPEN, events_pb2.CASE_STATE_ASSIGNED)
_STATES = (
    *_UNMET,
    events_pb2.CASE_STATE_RESOLVED,
    events_pb2.CASE_STATE_MERGED,
)


def case_key(case_id: str) -> str:
    """Where a case is kept."""
    return f"{ROOM}:case:{case_id}"


def number_key(case_number: str) -> str:
    """Where the id of a case number is kept."""
    return f"{ROOM}:number:{case_number}"


def notes_key(case_id: str) -> str:
    """Where a case's notes are kept."""
    return f"{ROOM}:notes:{case_id}"


def contact_key(contact_id: str) -> str:
    """Where the link of a contact is kept."""
    return f"{ROOM}:contact:{contact_id}"


def links_index(case_id: str) -> str:
    """The contacts of a case, as UUID bytes, by event time."""
    return f"{ROOM}:links:{case_id}"


def list_index(state: int | str, agency: str) -> str:
    """Cases of a state and agency (ANY: all), as UUID bytes, by first arrival."""
    return f"{ROOM}:list:{state}:{agency}"


def person_index(person: bytes) -> str:
    """The cases of a person (keyed hash), as UUID bytes, by first arrival."""
    return f"{ROOM}:person:{person.hex()}"


def unsure_index(state: int | str, agency: str) -> str:
    """The same of those whose triage is unsure: of no other state than open and assigned."""
    return f"{ROOM}:unsure:{state}:{agency}"


class Listing(IntEnum):
    """What an entry of a case does to the lists."""

    STAYS = 0
    MOVES = 1
    NEW = 2


def case_item(case: Case, partition: int, offset: int, listing: Listing) -> Item:
    """The entry of a case."""
    view = events_pb2.CaseView(case=case, partition=partition)
    view.case.ClearField("sealed_number")
    return Item(
        case_key(case.case_id),
        view.SerializeToString(),
        offset,
        tuple(_places(case, listing)) if listing else (),
    )


def opened_item(case: Case, offset: int) -> Item:
    """The entry that finds a case by its number."""
    return Item(number_key(case.case_number), case.case_id.encode(), offset)


def link_item(case_id: str, link: events_pb2.Link, offset: int, been: Iterable[str] = ()) -> Item:
    """The entry of a contact. `been`: the cases that it hung in before."""
    member = key_of(link.contact_id)
    hangs = IndexOp(links_index(case_id), member, float(link.event_ms))
    left = (IndexOp(links_index(before), member, None) for before in been if before != case_id)
    return Item(
        contact_key(link.contact_id),
        link.SerializeToString(),
        offset,
        (*dict.fromkeys(left), hangs),
    )


def moved_item(cases: Cases, contact: int, offset: int) -> Item:
    """The entry of a contact that a person moved, as it hangs now."""
    columns = cases.contacts
    been = (cases.case(number).case_id for number in columns.been.get(contact, ()))
    case_id = cases.case(columns.case[contact]).case_id
    return link_item(case_id, cases.link(contact), offset, been)


def notes_item(case_id: str, notes: Sequence[bytes], offset: int) -> Item:
    """The entry of a case's notes."""
    view = events_pb2.NotesView(notes=[events_pb2.Note.FromString(note) for note in notes])
    return Item(notes_key(case_id), view.SerializeToString(), offset)


def everything(cases: Cases, partition: int) -> Iterator[Item]:
    """The whole view of a partition, as of the last decision."""
    offset = cases.through
    for number in range(len(cases)):
        case = cases.case(number)
        # An earlier rebuild may have been cut short when the case was listed elsewhere.
        yield case_item(case, partition, offset, Listing.MOVES)
        yield opened_item(case, offset)
        for contact in cases.contacts.of_case(number):
            if contact in cases.contacts.been:
                yield moved_item(cases, contact, offset)
            else:
                yield link_item(case.case_id, cases.link(contact), offset)
        if number in cases.notes:
            yield notes_item(case.case_id, cases.notes[number], offset)


def _places(case: Case, listing: Listing) -> Iterator[IndexOp]:
    """Where a case is listed, and where it no longer is."""
    member, score = key_of(case.case_id), float(case.first_arrival_ms)
    agencies = {ANY, case.agency}
    here = [list_index(state, agency) for state in (ANY, case.state) for agency in agencies]
    if unsure(case):
        here += [unsure_index(state, agency) for state in (ANY, case.state) for agency in agencies]
    if case.person:
        here.append(person_index(case.person))
    for index in here:
        yield IndexOp(index, member, score)
    if listing == Listing.NEW:
        return
    # It may have been listed before its agency was known.
    before = {*agencies, ""}
    gone = [list_index(state, agency) for state in (ANY, *_STATES) for agency in before]
    # Where no text was read nothing was ever unsure.
    if case.HasField("triage"):
        gone += [unsure_index(state, agency) for state in (ANY, *_UNMET) for agency in before]
    for index in gone:
        if index not in here:
            yield IndexOp(index, member, None)
