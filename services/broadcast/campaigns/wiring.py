"""Wires campaigns into broadcast's process."""

from collections.abc import Callable
from dataclasses import replace

from mawja.broadcast.v1 import alerts_pb2_grpc, audiences_pb2_grpc, campaigns_pb2_grpc

from services.broadcast.books import Books
from services.broadcast.campaigns.alert_server import AlertServicer
from services.broadcast.campaigns.asking import Asking
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.counting import Counting
from services.broadcast.campaigns.drafts import PLAN as DRAFTS
from services.broadcast.campaigns.drafts import Drafting, DraftWork
from services.broadcast.campaigns.exporting import Exporting
from services.broadcast.campaigns.looking import Looking
from services.broadcast.campaigns.part import Part, Shared
from services.broadcast.campaigns.register import Register
from services.broadcast.campaigns.server import CampaignServicer
from services.broadcast.campaigns.standings import Standings
from services.broadcast.campaigns.tally import Tally
from services.broadcast.campaigns.terms import terms_of
from services.broadcast.campaigns.watching import Watching, shares_of
from services.broadcast.campaigns.worker import PLAN, CampaignWork
from services.broadcast.cap import files
from services.broadcast.cap.rules import is_name
from services.broadcast.gathering.servicer import AudienceServicer
from services.broadcast.routes import Routes
from services.broadcast.rules.reading import read as read_rules
from services.broadcast.sender import Sender
from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.errors import ConfigError
from services.runtime.floors import Floors, staff_of
from services.runtime.own import LogReader
from services.runtime.service import Service
from services.runtime.views import Views
from services.runtime.work import Context

PartOf = Callable[[int, Books, Tally], Part]


def add(
    service: Service,
    routes: Routes,
    counted: Views,
    sender: Sender,
    fail: Callable[[BaseException], None],
) -> PartOf:
    """Adds the worker, the board and the RPCs of campaigns; gives what makes a partition's part.
    `counted`: the view of buckets."""
    settings = service.settings
    rules = read_rules(settings.sending_rules)
    shares = shares_of(settings.calls_back)
    terms = replace(terms_of(routes, rules), calls_back=shares)

    def work(context: Context) -> CampaignWork:
        return CampaignWork(context, Register(settings.partitions, terms))

    worker = Worker(settings, PLAN, service.producer, work, f"{service.replica}-campaigns")
    service.workers.append(worker)
    board = Board(settings, f"{service.replica}-board")
    service.tasks.append(board.run)
    service.ready.append(board.ready)
    drafting = Drafting(
        board,
        service.keyring,
        LogReader(settings.kafka, f"{service.replica}-drafts"),
        service.producer,
        settings.partitions,
    )
    drafter = Worker(
        settings,
        DRAFTS,
        service.producer,
        lambda context: DraftWork(context, drafting, drafter.fail),
        f"{service.replica}-proposals",
    )
    service.workers.append(drafter)
    watching = Watching(
        settings,
        board,
        service.producer,
        shares,
        sum(terms.paces.values()),
        lambda: worker.partitions,
        Floors(settings, f"{service.replica}-watching", staff_of(settings.agents)),
    )
    service.tasks.append(watching.run)
    shared = Shared(
        partitions=settings.partitions,
        board=board,
        keyring=service.keyring,
        routes=routes,
        rules=rules,
        terms=terms,
        reader=LogReader(settings.kafka, f"{service.replica}-audiences"),
        producer=service.producer,
        wake=sender.wake,
        fail=fail,
    )
    # By partition, the latest part that this process made.
    parts: dict[int, Part] = {}

    def part(partition: int, books: Books, tally: Tally) -> Part:
        parts[partition] = Part(partition, books, tally, shared)
        return parts[partition]

    def sending() -> dict[int, Part]:
        return {partition: one for partition, one in parts.items() if one.running}

    standings = Standings(service.redis, settings.partitions, sender, sending)
    service.tasks.append(standings.run)
    asking = Asking(service.producer, board, settings.partitions)
    looking = Looking(
        board, Counting(counted, settings.partitions), terms, standings, watching.room
    )
    campaigns_pb2_grpc.add_CampaignServiceServicer_to_server(
        CampaignServicer(
            service.keyring,
            service.producer,
            asking,
            looking,
            rules,
            Exporting(
                service.keyring,
                LogReader(settings.kafka, f"{service.replica}-export"),
                asking,
                settings.partitions,
            ),
            settings.partitions,
            tuple(routes.carriers.values()),
        ),
        service.server,
    )
    alerts_pb2_grpc.add_AlertServiceServicer_to_server(alerts_of(settings, looking), service.server)
    audiences_pb2_grpc.add_AudienceServiceServicer_to_server(
        AudienceServicer(
            service.keyring, service.producer, asking, looking, shared.reader, settings.partitions
        ),
        service.server,
    )
    return part


def alerts_of(settings: Settings, looking: Looking) -> AlertServicer:
    """AlertService with the files that the settings name. Raises ConfigError."""
    sender = settings.cap_sender
    if sender and not is_name(sender):
        raise ConfigError("MAWJA_CAP_SENDER must have no blanks, commas, < or &")
    return AlertServicer(
        looking,
        sender,
        () if settings.cap_trusted is None else files.trusted(settings.cap_trusted),
        None if settings.cap_signing is None else files.seal(settings.cap_signing),
    )
