"""`python -m services.wave`: wires wave's parts."""

import tempfile
from pathlib import Path

from mawja.wave.v1 import service_pb2_grpc

from services.runtime.clock import now_ms
from services.runtime.own import LogReader
from services.runtime.service import Service, main
from services.wave.book import Book
from services.wave.bursts import Bursts
from services.wave.count import Count
from services.wave.publish import Publisher
from services.wave.raising import Raiser
from services.wave.server import WaveServicer
from services.wave.stream import Follower, faust_app


async def build(service: Service) -> None:
    """Adds wave's server and the Faust app to the process."""
    settings = service.settings
    # Nothing is kept there: see services/wave/stream.py.
    folder = service.closing.enter_context(tempfile.TemporaryDirectory(dir=settings.state))
    started_ms = now_ms()
    book = Book()
    publisher = Publisher(book, service.producer, settings.partitions)
    bursts = Bursts(book)
    follower = Follower(
        faust_app(
            f"{service.replica}-{started_ms}", settings.kafka, settings.partitions, Path(folder)
        ),
        LogReader(settings.kafka, f"{service.replica}-reader"),
        settings.partitions,
        Count(book, publisher),
        publisher,
        Raiser(bursts, service.producer, settings.partitions),
        started_ms,
    )
    service_pb2_grpc.add_WaveServiceServicer_to_server(
        WaveServicer(book, publisher, bursts, lambda: follower.caught_up, service.ending),
        service.server,
    )
    service.tasks.append(follower.run)

    async def history_is_read() -> bool:
        return follower.caught_up

    service.ready.append(history_is_read)


if __name__ == "__main__":
    main("wave", build)
