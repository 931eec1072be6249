"""Which calls are audited, held against every service's proto: whoever adds one decides it here."""

import pytest
from mawja.audit.v1 import service_pb2 as audit_service

from services.runtime.audit.table import AUDITED, Deed, Kind, room_of, short
from services.runtime.identity import ROLES, Role
from services.runtime.topics import AUDITS
from tests.contract.test_roles import methods

# They show, reckon or explain; nothing is another afterwards, and no number is whole.
SHOWS = ("Get", "List", "Watch", "Preview", "Estimate", "Read", "Explain")
FACTS = {
    # What machines report, or an agent on the telephone takes down: a contact is its own record.
    "IntakeService/SubmitContact",
    "IntakeService/SubmitContacts",
    "IntakeService/ReportCalls",
    "ContractService/ReportQueue",
    "ContractService/RouteCall",
    # What the console tells of sessions, which its handler notes as the person's.
    "AuditService/NoteSession",
    # Reckons from the logs, with nobody's number in it.
    "ReportService/MakeReport",
}
METHODS = dict(methods())


def test_every_call_that_decides_is_audited() -> None:
    deciding = {
        name
        for name in METHODS
        if not short(name).split("/")[1].startswith(SHOWS) and short(name) not in FACTS
    }
    assert deciding == set(AUDITED)


def test_every_call_that_is_audited_has_a_room_with_an_audit() -> None:
    assert {room_of(method) for method in AUDITED} == set(AUDITS)
    assert all(ROLES[method] - {Role.GATEWAY, Role.LOAD_TESTER} for method in AUDITED)


def there(descriptor: object, path: str) -> bool:
    for name in path.split("."):
        fields = getattr(descriptor, "fields_by_name", {})
        if name not in fields:
            return False
        field = fields[name]
        descriptor = field.message_type or field
    return getattr(descriptor, "type", None) == getattr(descriptor, "TYPE_STRING", 0)


@pytest.mark.parametrize("method", sorted(AUDITED))
def test_what_a_call_is_about_and_why_stand_where_the_table_says(method: str) -> None:
    deed, called = AUDITED[method], METHODS[method]
    both = (called.input_type, called.output_type)
    if deed.about:
        assert any(there(message, deed.about) for message in both)
    has_reason = there(called.input_type, "reason")
    assert bool(deed.reason) == has_reason, "a reason that is asked for is kept"
    # What is shown is noted by what the answer has, and a number never as it is.
    assert (deed.kind is Kind.SHOWN) <= there(called.output_type, deed.about)
    assert deed.number == (deed.about == "number")


def test_files_of_many_people_are_about_nobody() -> None:
    assert [short(m) for m, deed in AUDITED.items() if deed == Deed()] == [
        "BroadcastService/ImportOptOuts",
        "AudienceService/ImportSubscribers",
    ]


def test_only_auditors_and_administrators_read_it() -> None:
    [service] = audit_service.DESCRIPTOR.services_by_name.values()
    read = {Role.AUDITOR, Role.ADMINISTRATOR}
    assert {m.name: ROLES[f"/{service.full_name}/{m.name}"] for m in service.methods} == {
        "ListAudit": read,
        "NoteSession": {Role.CONSOLE},
    }
