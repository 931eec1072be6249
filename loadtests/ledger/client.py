"""The generator's truth and the client's record: who is behind a contact, and what was promised."""

from collections import defaultdict
from dataclasses import dataclass

from loadtests.ledger.account import Account, Problems
from loadtests.ledger.columns import NONE, key_of
from loadtests.ledger.contacts import ContactBook


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really behind a contact. `identity` is what the person can be known by (their
    number), None when they can't (withheld, a shared telephone, a handle only)."""

    identity: str | None
    person: str
    need: str


class ClientBook:
    """What was sent and what was acknowledged, by contact."""

    def __init__(self, contacts: ContactBook) -> None:
        self._contacts = contacts
        self._truth: dict[bytes, Truth] = {}
        self._acknowledged: set[bytes] = set()

    def expect(self, contact_id: str, truth: Truth) -> None:
        """The generator made this contact."""
        self._truth[key_of(contact_id)] = truth

    def acknowledge(self, contact_id: str) -> None:
        """The client was told that this contact is safe."""
        self._acknowledged.add(key_of(contact_id))

    def _case_of(self, key: bytes) -> int:
        number = self._contacts.numbers.get(key)
        return NONE if number == NONE else self._contacts.case[number]

    def _accepted(self, key: bytes) -> bool:
        number = self._contacts.numbers.get(key)
        return number != NONE and bool(self._contacts.accepted[number])

    def count(self, account: Account) -> None:
        """Fills the account in."""
        account.lost = sum(self._case_of(key) == NONE for key in self._acknowledged)
        account.unkept = sum(not self._accepted(key) for key in self._acknowledged)
        account.unacknowledged = len(self._truth.keys() - self._acknowledged)
        # One person with one need has one case.
        cases: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        # Needs, or people with numbers of their own, that share a case beyond the first.
        needs: defaultdict[int, set[str]] = defaultdict(set)
        people: defaultdict[int, set[str]] = defaultdict(set)
        for key, truth in self._truth.items():
            case = self._case_of(key)
            if case == NONE:
                continue
            needs[case].add(truth.need)
            if truth.identity is not None:
                cases[truth.identity, truth.need].add(case)
                people[case].add(truth.identity)
        account.duplicate_cases += sum(len(found) - 1 for found in cases.values())
        account.false_merges = sum(
            max(len(found), len(people[case])) - 1 for case, found in needs.items()
        )

    def hold(self, account: Account, problems: Problems) -> None:
        """What must hold of what was sent."""
        problems.note(account.lost, "acknowledged contacts are in no case")
        if self._truth:
            problems.note(
                len(self._acknowledged - self._truth.keys()),
                "contacts were acknowledged that nobody sent",
            )
        problems.note(account.unkept, "acknowledged contacts are not in intake.contact-accepted.v1")
        contacts = self._contacts
        problems.note(
            sum(
                self._accepted(key) and not contacts.drill[contacts.numbers.get(key)]
                for key in self._truth
            ),
            "synthetic contacts were accepted without their drill mark",
        )
