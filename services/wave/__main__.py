"""`python -m services.wave`: wires wave's parts."""

import tempfile
from pathlib import Path

from mawja.wave.v1 import contracts_pb2_grpc, service_pb2_grpc

from services.runtime.clock import now_ms
from services.runtime.own import LogReader
from services.runtime.service import Service, main
from services.runtime.tail import Tail
from services.runtime.topics import QUEUE_STATE
from services.wave.behind import Behind
from services.wave.book import Book
from services.wave.bursts import Bursts
from services.wave.contracts import file
from services.wave.contracts.server import ContractServicer
from services.wave.contracts.switchboard import Switchboard, state_of
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
    bursts, drills = Bursts(book), Bursts(book, drill=True)
    reader = LogReader(settings.kafka, f"{service.replica}-reader")
    behind = Behind(reader, settings.partitions)
    follower = Follower(
        faust_app(
            f"{service.replica}-{started_ms}", settings.kafka, settings.partitions, Path(folder)
        ),
        reader,
        settings.partitions,
        Count(book, publisher),
        behind,
        publisher,
        Raiser(bursts, drills, service.producer),
        started_ms,
    )
    service_pb2_grpc.add_WaveServiceServicer_to_server(
        WaveServicer(book, publisher, bursts, drills, lambda: follower.caught_up, service.ending),
        service.server,
    )
    service.tasks += [follower.run, behind.run]
    board = Switchboard(file.read(settings.contracts), settings, service.producer, service.replica)
    queues = Tail(settings, QUEUE_STATE, f"{service.replica}-watched-queues", state_of)
    contracts_pb2_grpc.add_ContractServiceServicer_to_server(
        ContractServicer(board, service.producer, settings.partitions, queues, service.ending),
        service.server,
    )
    service.tasks += [board.follow, board.count, board.state, queues.run]

    async def history_is_read() -> bool:
        return follower.caught_up

    service.ready.append(history_is_read)


if __name__ == "__main__":
    main("wave", build)
