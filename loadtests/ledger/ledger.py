"""The ledger itself: gives each record to the book it belongs to, and adds the books up."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger.account import Account, Problems
from loadtests.ledger.callbacks import CallbackBook
from loadtests.ledger.carrier import CarrierBook
from loadtests.ledger.cases import Cases
from loadtests.ledger.client import ClientBook, Truth
from loadtests.ledger.contacts import ContactBook
from loadtests.ledger.letters import Letters
from loadtests.ledger.messages import MessageBook
from services.local.smsc.record import Submit
from services.runtime.own import Record
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    DEAD_LETTERS,
    DEDUP_DEAD,
    INTAKE_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OUTREACH_DEAD,
    QUEUED_BULK,
    QUEUED_NORMAL,
    QUEUED_URGENT,
    Topic,
)

_LANES: tuple[Topic, ...] = (QUEUED_URGENT, QUEUED_NORMAL, QUEUED_BULK)
TOPICS: tuple[Topic, ...] = (
    MESSAGE_STATUS,
    BROADCAST_DEAD,
    MESSAGE_REQUESTED,
    BROADCAST_COMMAND,
    CALLBACK,
    OUTREACH_DEAD,
    CASE,
    DEDUP_DEAD,
    CONTACT_ACCEPTED,
    INTAKE_DEAD,
)
"""The topics that the ledger reads. What follows from something stands before it: read up to ends
that are asked for in this order, a running system shows no effect without its cause. A room sets a
record aside before it says that it is past it: so its dead letters stand after its decisions."""
RUNNING: tuple[Topic, ...] = (MESSAGE_STATUS, BROADCAST_DEAD, *_LANES, *TOPICS[2:])
"""TOPICS and the lanes, which tell what waits for its carrier from what nobody has judged yet."""
# Nobody reads these but their own room and the views: what is broken in them no room sets aside.
_ENDS = frozenset({MESSAGE_STATUS.name, CALLBACK.name})


class Ledger:
    """Takes the records up in any number of rounds, and gives an account at any time."""

    def __init__(self) -> None:
        self.letters = Letters()
        self._cases = Cases()
        self.contacts = ContactBook(self._cases, self.letters)
        self.callbacks = CallbackBook(self._cases)
        self.messages = MessageBook(self._cases, self.letters)
        self._client = ClientBook(self.contacts)
        self._carrier = CarrierBook(self.messages)
        self._takers: dict[str, Callable[[bytes, Record], None]] = {
            CONTACT_ACCEPTED.name: self._contact,
            CASE.name: self._decision,
            MESSAGE_REQUESTED.name: self._request,
            BROADCAST_COMMAND.name: self._command,
            CALLBACK.name: self._callback,
            MESSAGE_STATUS.name: self._status,
            **dict.fromkeys((topic.name for topic in _LANES), self._lane),
            **dict.fromkeys((topic.name for topic in DEAD_LETTERS.values()), self._letter),
        }

    # The generator and the client.

    def expect(self, contact_id: str, truth: Truth) -> None:
        """The generator made this contact."""
        self._client.expect(contact_id, truth)

    def acknowledge(self, contact_id: str) -> None:
        """The client was told that this contact is safe."""
        self._client.acknowledge(contact_id)

    # The topics.

    def begins(self, topic: str, partition: int, offset: int) -> None:
        """Records of a partition below `offset` are not kept any more (retention has removed them).
        Told before any of its records."""
        if offset and topic == CONTACT_ACCEPTED.name:
            self.contacts.begins(partition, offset)
        elif offset and topic == BROADCAST_COMMAND.name:
            self.messages.begins(partition)

    def take(self, record: Record) -> None:
        """One record that counts, of one of RUNNING. In order within a partition."""
        taker = self._takers.get(record.topic)
        if taker is None:
            return
        try:
            taker(record.value or b"", record)
        except DecodeError:
            self.letters.unreadable(record)

    def _contact(self, value: bytes, record: Record) -> None:
        self.contacts.accept(intake_pb2.ContactAccepted.FromString(value), record)

    def _decision(self, value: bytes, record: Record) -> None:
        self.contacts.decide(dedup_pb2.CaseDecision.FromString(value), record.partition)

    def _request(self, value: bytes, record: Record) -> None:
        self.messages.request(outreach_pb2.MessageRequested.FromString(value), record)

    def _command(self, value: bytes, record: Record) -> None:
        self.messages.command(broadcast_pb2.BroadcastCommand.FromString(value), record)

    def _callback(self, value: bytes, _record: Record) -> None:
        self.callbacks.take(outreach_pb2.Callback.FromString(value))

    def _status(self, value: bytes, record: Record) -> None:
        self.messages.status(broadcast_pb2.StatusRecord.FromString(value), record.partition)

    def _lane(self, value: bytes, record: Record) -> None:
        self.messages.lane(broadcast_pb2.QueuedMessage.FromString(value), record)

    def _letter(self, value: bytes, record: Record) -> None:
        letter = common_pb2.DeadLetter.FromString(value)
        if self.letters.take(letter, record):
            # Of what it breaks now, its room makes another letter.
            with suppress(DecodeError):
                self._given_again(letter)

    def _given_again(self, letter: common_pb2.DeadLetter) -> None:
        """Mended, it may be another thing than the one that could not be processed."""
        if letter.topic == CONTACT_ACCEPTED.name:
            self.contacts.accept(intake_pb2.ContactAccepted.FromString(letter.value), None)
        elif letter.topic == MESSAGE_REQUESTED.name:
            self.messages.request(outreach_pb2.MessageRequested.FromString(letter.value), None)
        elif letter.topic == BROADCAST_COMMAND.name:
            self.messages.command(broadcast_pb2.BroadcastCommand.FromString(letter.value), None)

    # The SMS centre.

    def carrier_accepted(self, submits: Iterable[Submit]) -> None:
        """What the SMS centre says that it was given; what it refused counts for nothing. Until
        this is told, nothing is held against the SMS centre."""
        self._carrier.accepted(submits)

    # The account.

    @property
    def open_messages(self) -> int:
        """Messages that wait for a carrier, a receipt or a first status."""
        return self.messages.open

    def end_to_end_s(self) -> list[float]:
        """Seconds from acceptance of a contact to delivery of the message it caused, ascending."""
        return self.messages.end_to_end_s()

    def account(self, *, running: bool = False, late: Sequence[Submit] = ()) -> Account:
        """What adds up, and what does not. `running`: not everything has been worked through yet,
        so that what waits is no problem. `late`: what the SMS centre was given, by its own record,
        after the ends of the topics were asked for."""
        account = Account(dead_letters=len(self.letters))
        self.contacts.count(account)
        self._client.count(account)
        self.callbacks.count(account)
        self.messages.count(account)
        problems = Problems()
        self._client.hold(account, problems)
        self.contacts.hold(account, problems)
        self._cases.hold(problems)
        self.callbacks.hold(problems)
        self.messages.hold(account, problems)
        self._carrier.hold(account, problems, late)
        if running:
            problems.note(
                len(self.contacts.passed_over()),
                "accepted contacts were passed over: later ones are decided, and they are not",
            )
        else:
            problems.note(account.contacts.waiting, "accepted contacts are in no case")
            problems.note(account.messages.waiting, "messages were asked for and have no end")
            problems.note(account.dead_letters, "records were set aside as dead letters")
        problems.note(self._left_lying(running), "records can't be read and no room set them aside")
        account.problems = problems.found
        return account

    def _left_lying(self, running: bool) -> int:
        """Records that can't be read and that nobody is going to set aside."""
        return sum(
            not running
            or topic in _ENDS
            or (topic == CONTACT_ACCEPTED.name and offset <= self.contacts.decided_up_to(partition))
            for topic, partition, offset in self.letters.left_lying()
        )
