"""Wires a room's audit into its process."""

from typing import TYPE_CHECKING

from mawja.audit.v1 import service_pb2_grpc

from services.runtime.audit.clerk import Clerk
from services.runtime.audit.reading import Pages
from services.runtime.audit.server import AuditServicer
from services.runtime.audit.worker import worker
from services.runtime.own import LogReader
from services.runtime.topics import AUDITS

if TYPE_CHECKING:
    from services.runtime.service import Service


def add(service: "Service", clerk: Clerk) -> None:
    """Adds the worker that chains what was noted, and the service that shows it."""
    settings, room = service.settings, service.room
    service.workers.append(worker(room, settings, service.producer, service.replica))
    reader = LogReader(settings.kafka, f"{service.replica}-audit-reader")
    pages = Pages(reader, AUDITS[room].chain, settings.partitions)
    service_pb2_grpc.add_AuditServiceServicer_to_server(
        AuditServicer(pages, service.keyring, clerk), service.server
    )
