"""`python -m services.intake`: wires intake's parts."""

from mawja.intake.v1 import service_pb2_grpc

from services.intake.inbound import PLAN, Inbound
from services.intake.index import Index
from services.intake.server import IntakeServicer
from services.intake.submit import Submitter
from services.intake.telling import Teller
from services.intake.webhook import Webhook
from services.runtime import collecting
from services.runtime.announced import Announced
from services.runtime.consume import Worker
from services.runtime.own import LogReader
from services.runtime.service import Service, main


async def build(service: Service) -> None:
    """Adds intake's server, webhook, worker and index to the process."""
    settings = service.settings
    reader = LogReader(settings.kafka, f"{service.replica}-reader")
    service.closing.push_async_callback(reader.close)
    index = Index(service.redis, reader, settings.partitions, service.replica)
    submitter = Submitter(
        service.keyring, index, service.producer, reader, settings.partitions, settings.inflight
    )
    service_pb2_grpc.add_IntakeServiceServicer_to_server(
        IntakeServicer(
            submitter, service.keyring, service.producer, settings.partitions, service.ending
        ),
        service.server,
    )
    announced = Announced(settings, f"{service.replica}-announced")
    service.tasks.append(announced.follow)
    webhook = Webhook(submitter, settings.keys, announced)
    service.ports["webhook"] = await webhook.start(settings.webhook)
    service.closing.push_async_callback(webhook.stop)
    teller = Teller(submitter, service.keyring)
    worker = Worker(
        settings,
        PLAN,
        service.producer,
        lambda context: Inbound(context, teller, service.keyring, reader, worker.fail),
        service.replica,
    )
    service.workers.append(worker)
    # Messages from people may wait a moment in Kafka; contacts are taken all the same.
    service.needs_partitions = False
    service.tasks.append(index.keep)

    async def index_is_whole() -> bool:
        return index.whole

    service.ready.append(index_is_whole)
    collecting.seldom()


if __name__ == "__main__":
    main("intake", build)
