"""What the partitions of a process share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.broadcast.books import Books
from services.broadcast.campaigns.part import Part
from services.broadcast.campaigns.tally import Tally
from services.broadcast.routes import Routes
from services.broadcast.sender import Sender
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.replies import Replies
from services.runtime.store import Item, PartitionView
from services.runtime.views import Views


@dataclass(frozen=True, slots=True)
class Desk:
    """Keys, Kafka, carriers and views. `view` makes the view of a partition for an epoch, `part`
    the part that it has in campaigns; `fail` ends the process."""

    keyring: Keyring
    producer: Producer
    routes: Routes
    sender: Sender
    replies: Replies
    views: Views
    view: Callable[[int, int, Callable[[], Iterable[Item]]], PartitionView]
    part: Callable[[int, Books, Tally], Part]
    fail: Callable[[BaseException], None]
