"""`python -m services.dedup`: wires dedup's parts."""

from functools import partial

from mawja.dedup.v1 import service_pb2_grpc

from services.dedup import catalogue, data, languages, learnt, views
from services.dedup.erasing import Erasing
from services.dedup.incidents import wiring
from services.dedup.incidents.server import IncidentServicer
from services.dedup.questions import Questions
from services.dedup.reading import Limits, Reader
from services.dedup.server import decision_of
from services.dedup.worker import PLAN, Dedup
from services.runtime.consume import Worker
from services.runtime.replies import Replies
from services.runtime.service import Service, main
from services.runtime.store import PartitionView
from services.runtime.tail import Tail
from services.runtime.topics import CASE
from services.runtime.views import Views
from services.runtime.work import Context


async def build(service: Service) -> None:
    """Adds dedup's server and worker to the process."""
    settings = service.settings
    rules, services = data.rules(), catalogue.read(settings.catalogue)
    limits = Limits(rules.life_enough, rules.topic_enough, rules.kind_enough)
    spoken = languages.read()
    known = data.knowledge(settings.knowledge, services)
    reader = Reader(
        spoken,
        services.agencies_of,
        learnt.weights(),
        limits,
        service.keyring.word_hash,
        Questions(known.entries.values(), known.asking, spoken),
        known.unclear,
    )
    trees = learnt.trees()
    shared = data.shared_numbers(settings.shared_numbers, service.keyring)
    replies = Replies(service.redis, service.replica)
    await replies.start()
    service.closing.push_async_callback(replies.stop)
    incidents = wiring.add(service, spoken, replies)

    def work(context: Context) -> Dedup:
        return Dedup(
            context,
            settings.partitions,
            rules,
            reader,
            trees,
            shared,
            service.keyring,
            service.producer,
            partial(PartitionView, service.redis, views.ROOM, context.partition),
            replies,
            incidents.teller,
            worker.fail,
        )

    worker = Worker(settings, PLAN, service.producer, work, service.replica)
    service.workers.append(worker)

    view = Views(service.redis, views.ROOM, settings.partitions)
    changes = Tail(settings, CASE, f"{service.replica}-watch", decision_of)
    service.tasks.append(changes.run)
    servicer = IncidentServicer(
        view,
        replies,
        service.producer,
        service.keyring,
        changes,
        services,
        Erasing(service.erasures, service.producer, settings.partitions),
        incidents.gazetteer,
    ).watch_incidents(incidents.view, incidents.changes)
    service_pb2_grpc.add_DedupServiceServicer_to_server(servicer, service.server)
    service.ready.append(view.whole)


if __name__ == "__main__":
    main("dedup", build)
