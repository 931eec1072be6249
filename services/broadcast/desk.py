"""What the partitions of a process share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.broadcast.routes import Routes
from services.broadcast.sender import Sender
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.replies import Replies
from services.runtime.store import Item, PartitionView
from services.runtime.views import Views


@dataclass(frozen=True, slots=True)
class Desk:
    """Keys, Kafka, carriers and views. `view` makes the view of a partition for an epoch; `fail`
    ends the process."""

    keyring: Keyring
    producer: Producer
    routes: Routes
    sender: Sender
    replies: Replies
    views: Views
    view: Callable[[int, int, Callable[[], Iterable[Item]]], PartitionView]
    fail: Callable[[BaseException], None]
