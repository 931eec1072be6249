"""Wires proposals into outreach's process."""

import asyncio
from collections.abc import Sequence
from functools import partial

from services.outreach.proposals import assumptions_file
from services.outreach.proposals.board import Board
from services.outreach.proposals.book import Proposals
from services.outreach.proposals.growing import Growing
from services.outreach.proposals.reading import Reading, follow
from services.outreach.proposals.server import Proposing
from services.outreach.proposals.worker import PLAN, ProposalWork
from services.outreach.rules import Rule
from services.runtime.consume import Worker
from services.runtime.knowledge import Knowledge
from services.runtime.own import LogReader
from services.runtime.replies import Replies
from services.runtime.service import Service

_KEEP_S = 1.0


def add(
    service: Service, rules: Sequence[Rule], knowledge: Knowledge, replies: Replies
) -> Proposing:
    """Adds the worker and the board; gives what the RPCs need. Raises ConfigError."""
    settings = service.settings
    assumed = assumptions_file.read(settings.proposals)
    reader = LogReader(settings.kafka, f"{service.replica}-evidence")
    growing = Growing()
    worker = Worker(
        settings,
        PLAN,
        service.producer,
        lambda context: ProposalWork(
            context,
            Proposals(knowledge, assumed, rules),
            Reading(reader, settings.partitions, knowledge.ask),
            replies,
            growing,
        ),
        f"{service.replica}-proposals",
    )
    board = Board(settings, f"{service.replica}-proposals")
    service.workers.append(worker)
    service.ready.append(board.whole)
    service.tasks.append(board.run)
    service.tasks.append(partial(follow, growing, settings, f"{service.replica}-growing"))

    async def keep() -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            for partition in worker.partitions:
                work = worker.owned(partition)
                if isinstance(work, ProposalWork):
                    await work.keep()

    service.tasks.append(keep)
    return Proposing(board, service.producer, replies)
