"""The SMS centre's side: what it was given and accepted, held against what broadcast says."""

from collections import Counter
from collections.abc import Iterable, Sequence

from loadtests.ledger.account import Account, Problems
from loadtests.ledger.messages import MessageBook
from services.local.smsc.record import Submit, duplicates, reassemble


class CarrierBook:
    """The record of the SMS centre. Until it is told, nothing is held against the SMS centre."""

    def __init__(self, messages: MessageBook) -> None:
        self._messages = messages
        self._submits: list[Submit] | None = None

    def accepted(self, submits: Iterable[Submit]) -> None:
        """What it says that it was given; what it refused counts for nothing."""
        if self._submits is None:
            self._submits = []
        self._submits.extend(submit for submit in submits if submit.accepted)

    def hold(self, account: Account, problems: Problems, late: Sequence[Submit]) -> None:
        """What must hold of the SMS centre. `late`: what it was given after the topics were read;
        they may speak of it already, and need not."""
        if self._submits is None:
            return
        submits = [*self._submits, *(submit for submit in late if submit.accepted)]
        at_carrier = reassemble(submits)
        account.carrier_messages = len(at_carrier)
        account.duplicate_messages = sum(
            found.count - (found.text is not None) for found in duplicates(submits)
        )
        problems.note(account.duplicate_messages, "messages reached the SMS centre more than once")
        known = {submit.carrier_id for submit in submits}
        told: Counter[str] = Counter()
        unheard = 0
        for joined in self._messages.carrier_ids:
            ids = [carrier_id for carrier_id in joined.decode().split("\0") if carrier_id]
            told.update(ids)
            unheard += any(carrier_id not in known for carrier_id in ids)
        untold = sum(
            not any(part.carrier_id in told for part in message.parts)
            for message in (reassemble(self._submits) if late else at_carrier)
        )
        problems.note(
            max(unheard, account.messages.delivered - len(at_carrier)),
            "messages are said to be with the SMS centre, which knows not of them",
        )
        problems.note(
            max(0, untold - self._messages.silent()),
            "messages are at the SMS centre and no status tells of them",
        )
        problems.note(
            sum(n - 1 for n in told.values()),
            "ids of the SMS centre stand for more than one message",
        )
