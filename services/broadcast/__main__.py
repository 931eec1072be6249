"""`python -m services.broadcast`: wires broadcast's parts. One set of carrier binds per process."""

from mawja.broadcast.v1 import service_pb2_grpc

from services.broadcast import binds
from services.broadcast.arrivals import Arrivals
from services.broadcast.campaigns import wiring
from services.broadcast.carriers.base import LateAnswer
from services.broadcast.carriers.hooks import Hooks
from services.broadcast.carriers.whole import Hooked
from services.broadcast.desk import Desk
from services.broadcast.opting import OptOuts
from services.broadcast.rules.door import Door
from services.broadcast.rules.links import Links
from services.broadcast.sender import Sender
from services.broadcast.server import BroadcastServicer, changes_of
from services.broadcast.shown import ROOM
from services.broadcast.worker import PLAN, Partition
from services.runtime import collecting
from services.runtime.consume import Worker
from services.runtime.replies import Replies
from services.runtime.service import Service, main
from services.runtime.store import PartitionView
from services.runtime.tail import Tail
from services.runtime.topics import MESSAGE_STATUS, partition_of
from services.runtime.views import Views


async def build(service: Service) -> None:
    """Adds broadcast's server, worker, sender and carriers to the process."""
    settings = service.settings
    routes = binds.load(settings.carriers)
    assert settings.carriers is not None, "binds.load has refused it"
    sender = Sender(binds.make(routes, settings.carriers.parent))
    views = Views(service.redis, ROOM, settings.partitions)
    replies = Replies(service.redis, service.replica)
    await replies.start()
    service.closing.push_async_callback(replies.stop)

    def fail(error: BaseException) -> None:
        worker.fail(error)

    part = wiring.add(service, routes, views, sender, fail)
    desk = Desk(
        keyring=service.keyring,
        producer=service.producer,
        routes=routes,
        sender=sender,
        replies=replies,
        views=views,
        view=lambda partition, epoch, everything: PartitionView(
            service.redis, ROOM, partition, epoch, everything
        ),
        part=part,
        fail=fail,
    )
    worker = Worker(
        settings,
        PLAN,
        service.producer,
        lambda context: Partition(context, desk),
        service.replica,
    )
    service.workers.append(worker)
    service.tasks.append(sender.run)

    def late(carrier: str, person: bytes, answer: LateAnswer) -> None:
        work = worker.owned(partition_of(person, settings.partitions))
        if isinstance(work, Partition):
            work.late(carrier, person, answer)

    for name, out in sender.outs.items():
        arrivals = Arrivals(
            name,
            out.carrier.declared,
            service.keyring,
            service.producer,
            settings.partitions,
            late,
        )
        await out.carrier.start(arrivals.receipts, arrivals.inbound, arrivals.late)
        # Stopped after the worker, which waits for the carriers' answers.
        service.closing.push_async_callback(out.carrier.stop)

    opt_outs = OptOuts(service.keyring, service.producer, settings.partitions)
    called = {n: o.carrier for n, o in sender.outs.items() if isinstance(o.carrier, Hooked)}
    door = Door(Links(service.keyring), opt_outs.by_link, also=Hooks(called).routes)
    service.ports["opt-out"] = await door.start(settings.opt_out)
    service.closing.push_async_callback(door.stop)

    tail = Tail(settings, MESSAGE_STATUS, f"{service.replica}-watch", changes_of)
    service.tasks.append(tail.run)
    service_pb2_grpc.add_BroadcastServiceServicer_to_server(
        BroadcastServicer(
            service.keyring, service.producer, replies, views, tail, settings.partitions, opt_outs
        ),
        service.server,
    )
    service.ready.append(views.begun)
    collecting.seldom()


if __name__ == "__main__":
    main("broadcast", build)
