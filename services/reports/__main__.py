"""`python -m services.reports`: wires the process that makes papers."""

from mawja.reports.v1 import service_pb2_grpc

from services.reports.counting import Ledger
from services.reports.server import ReportServicer
from services.runtime.service import Service, main


async def build(service: Service) -> None:
    """Adds the server of reports to the process, and what counts the books; they keep nothing."""
    settings = service.settings
    service_pb2_grpc.add_ReportServiceServicer_to_server(
        ReportServicer(settings.kafka, settings.catalogue), service.server
    )
    service.tasks.append(Ledger(settings.kafka).run)


if __name__ == "__main__":
    main("reports", build)
