"""Wires what finds incidents into dedup's process."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.dedup import levels
from services.dedup.incidents import data as incident_data
from services.dedup.incidents import views
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.server import Decision, decision_of
from services.dedup.incidents.state import Incidents
from services.dedup.incidents.worker import PLAN, IncidentWork
from services.dedup.language import Language, stop_stems
from services.dedup.telling import Teller
from services.runtime.consume import Worker
from services.runtime.replies import Replies
from services.runtime.service import Service
from services.runtime.store import Item, PartitionView
from services.runtime.tail import Tail
from services.runtime.topics import INCIDENT
from services.runtime.views import Views
from services.runtime.work import Context


@dataclass(frozen=True, slots=True)
class Parts:
    """What the others need: who tells of cases, and where incidents are shown and watched."""

    teller: Teller
    view: Views
    changes: Tail[Decision]


def add(service: Service, spoken: Sequence[Language], replies: Replies) -> Parts:
    """Adds the worker of incidents to the process. Raises ConfigError."""
    settings, keyring = service.settings, service.keyring
    thresholds, gazetteer = levels.read(), incident_data.places()
    # What a partition learns is its own.
    usual = incident_data.ordinary(keyring.word_hash)

    def work(context: Context) -> IncidentWork:
        def view(epoch: int, everything: Callable[[], Iterable[Item]]) -> PartitionView:
            return PartitionView(service.redis, views.ROOM, context.partition, epoch, everything)

        state = Incidents(Evidence(usual.fresh(), gazetteer), thresholds)
        return IncidentWork(context, state, view, replies, worker.fail)

    worker = Worker(settings, PLAN, service.producer, work, service.replica)
    service.workers.append(worker)
    changes = Tail(settings, INCIDENT, f"{service.replica}-incidents", decision_of)
    service.tasks.append(changes.run)
    view = Views(service.redis, views.ROOM, settings.partitions)
    service.ready.append(view.whole)
    ear = Ear(keyring.word_hash, stop_stems(spoken), gazetteer)
    return Parts(Teller(ear, thresholds, service.producer, settings.partitions), view, changes)
