"""`python -m services.outreach`: wires outreach's parts."""

import asyncio
from pathlib import Path

from mawja.outreach.v1 import announcements_pb2_grpc, playbooks_pb2_grpc, service_pb2_grpc

from services.outreach import shelf, views
from services.outreach.announcements.raising import Raising
from services.outreach.announcements.server import AnnouncementServicer
from services.outreach.announcements.setting import Setting
from services.outreach.claiming import Claiming
from services.outreach.easing import Easing
from services.outreach.playbook_file import Playbooks
from services.outreach.playbook_server import PlaybookServicer
from services.outreach.proposals import wiring as proposals
from services.outreach.server import OutreachServicer
from services.outreach.switches.following import Switching
from services.outreach.switches.state import Working
from services.outreach.worker import PLAN, OutreachWork
from services.runtime import knowledge_file, log, metrics
from services.runtime.announced import Announced
from services.runtime.consume import Worker
from services.runtime.floors import Floors, staff_of
from services.runtime.replies import Replies
from services.runtime.service import Service, main
from services.runtime.views import Views

_KEEP_S = 1.0


_log = log.get("outreach.playbooks")


def load(path: Path | None) -> Playbooks:
    """The playbooks at `path`, or the shipped ones. What is wrong with one is told loudly, and it
    is left out; the others work. Raises ConfigError when none could."""
    found = shelf.read(path)
    for file, problems in found.wrong.items():
        for problem in problems:
            _log.error("a playbook is left out", file=file, why=problem)
    metrics.PLAYBOOKS.labels("working").set(len(found.playbooks))
    metrics.PLAYBOOKS.labels("left-out").set(len(found.wrong))
    return found


async def build(service: Service) -> None:
    """Adds outreach's server and worker to the process."""
    settings = service.settings
    books = load(settings.rules)
    known = knowledge_file.read(settings.knowledge)
    floors = Floors(settings, f"{service.replica}-floors", staff_of(settings.agents))
    if any(rule.brings(False) for rule in books.rules):
        service.tasks.append(floors.follow)
    replies = Replies(service.redis, service.replica)
    await replies.start()
    service.closing.push_async_callback(replies.stop)
    switching = Switching(settings, service.producer, f"{service.replica}-switches")
    await switching.begin()
    service.tasks.append(switching.follow)
    working = Working(books.rules, switching.switches)
    worker = Worker(
        settings,
        PLAN,
        service.producer,
        lambda context: OutreachWork(
            context,
            working,
            books.shared.calling,
            known,
            service.keyring,
            service.redis,
            replies,
            service.producer,
            easing=Easing(floors.room, floors.why, settings.partitions),
        ),
        service.replica,
    )
    shown = Views(service.redis, views.ROOM, settings.partitions)
    claiming = Claiming(shown, service.producer, replies, settings.partitions)
    proposing = proposals.add(service, working, known, replies)
    service_pb2_grpc.add_OutreachServiceServicer_to_server(
        OutreachServicer(shown, claiming, service.keyring, proposing, service.ending),
        service.server,
    )
    announced = Announced(settings, f"{service.replica}-announced")
    setting = Setting(announced, service.producer, settings.partitions)
    announcements_pb2_grpc.add_AnnouncementServiceServicer_to_server(
        AnnouncementServicer(announced, setting), service.server
    )
    service.tasks.append(announced.follow)
    raising = Raising(working, setting, announced, settings, service.replica)
    service.tasks += raising.tasks()
    playbooks_pb2_grpc.add_PlaybookServiceServicer_to_server(
        PlaybookServicer(shown, service.producer, replies, settings.partitions, working, switching),
        service.server,
    )
    service.workers.append(worker)
    service.ready.append(shown.whole)

    async def keep_views() -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            for partition in worker.partitions:
                work = worker.owned(partition)
                if isinstance(work, OutreachWork):
                    await work.keep()

    service.tasks.append(keep_views)


if __name__ == "__main__":
    main("outreach", build)
