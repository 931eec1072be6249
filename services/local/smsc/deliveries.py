"""What is on its way to clients: a receipt or message waits, goes out, and comes again.

It is delivered until its client acknowledged it, on whatever bind the client has then. What waits
belongs to an account, so that it outlives a connection.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.local.smsc.profile import Profile
from services.local.smsc.schedule import Schedule

_THROTTLE_BURST_S = 0.1


@dataclass(slots=True)
class Delivery:
    """A ``deliver_sm`` that the client has not acknowledged yet; ``raw`` lacks its sequence."""

    raw: bytes
    kind: str
    attempts: int = 0


class Receiver(Protocol):
    """What a delivery asks of a connection."""

    system_id: str
    can_receive: bool
    writable: bool
    unacknowledged: dict[int, tuple[Delivery, float]]

    def deliver(self, delivery: Delivery) -> None:
        """Send a delivery and wait for its acknowledgement."""


@dataclass(slots=True)
class _Bucket:
    """Token bucket of one account."""

    tokens: float = 0.0
    at: float = 0.0

    def take(self, rate: float, now: float) -> bool:
        burst = max(1.0, rate * _THROTTLE_BURST_S)
        self.tokens = min(burst, self.tokens + (now - self.at) * rate) if self.at else burst
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Account:
    """What outlives a connection: deliveries waiting for their client, and its pace."""

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.sessions: list[Receiver] = []
        self.bucket = _Bucket()
        self.turn = 0


class Deliveries:
    """The accounts and what waits for each. ``behaviour`` gives the profile as it is now."""

    def __init__(
        self,
        behaviour: Callable[[], Profile],
        counts: "Counter[str]",
        rng: random.Random,
        schedule: Schedule,
    ) -> None:
        self._behaviour = behaviour
        self._counts = counts
        self._rng = rng
        self._schedule = schedule
        self._accounts: dict[str, Account] = {}
        self._unclaimed: deque[Delivery] = deque()
        self._dirty: dict[str, None] = {}

    @property
    def binds(self) -> int:
        """How many connections are bound."""
        return sum(len(one.sessions) for one in self._accounts.values())

    @property
    def waiting(self) -> int:
        """How many have not gone out."""
        return len(self._unclaimed) + sum(len(one.waiting) for one in self._accounts.values())

    def account(self, system_id: str) -> Account:
        """The account of a client; made when it is new."""
        return self._accounts.setdefault(system_id, Account())

    def put(self, system_id: str | None, delivery: Delivery) -> None:
        """Something for the client ``system_id`` (None: whoever is bound)."""
        if system_id is None:
            self._unclaimed.append(delivery)
            self.claim()
        else:
            self.account(system_id).waiting.append(delivery)
            self._dirty[system_id] = None

    def redeliver(self, system_id: str, delivery: Delivery, after_s: float) -> None:
        """Deliver again, later: it was refused, not answered, or its connection is gone."""

        def again() -> None:
            self._counts[f"{delivery.kind}_redelivered"] += 1
            self.put(system_id, delivery)

        self._schedule.after(after_s, again)

    def wake(self, system_id: str) -> None:
        """A window has room again, or a client has bound."""
        self._dirty[system_id] = None
        self.claim()

    def claim(self) -> None:
        """What is for whoever is bound goes to the first that is."""
        if not self._unclaimed:
            return
        for system_id, account in self._accounts.items():
            if any(one.can_receive for one in account.sessions):
                account.waiting.extend(self._unclaimed)
                self._unclaimed.clear()
                self._dirty[system_id] = None
                return

    def pump(self) -> None:
        """Send what the windows have room for."""
        accounts, self._dirty = self._dirty, {}
        for system_id in accounts:
            self._send(self.account(system_id))

    def leave(self, session: Receiver) -> None:
        """A connection is gone: what it did not acknowledge is delivered again."""
        account = self._accounts.get(session.system_id)
        if account is None or session not in account.sessions:
            return
        account.sessions.remove(session)
        for delivery, _ in session.unacknowledged.values():
            self.redeliver(session.system_id, delivery, 0)
        session.unacknowledged.clear()

    def _send(self, account: Account) -> None:
        profile = self._behaviour()
        waiting, window = account.waiting, profile.deliver_window
        if profile.receipt_shuffle and len(waiting) > 1:
            shuffled = list(waiting)
            self._rng.shuffle(shuffled)
            waiting.clear()
            waiting.extend(shuffled)
        sessions = [one for one in account.sessions if one.can_receive and one.writable]
        while waiting and sessions:
            account.turn += 1
            session = sessions[account.turn % len(sessions)]
            room = window - len(session.unacknowledged)
            if room <= 0:
                sessions.remove(session)
                continue
            for _ in range(min(room, len(waiting), max(1, len(waiting) // len(sessions)))):
                session.deliver(waiting.popleft())
