"""`python -m services.outreach`: wires outreach's parts."""

import asyncio
from importlib import resources
from pathlib import Path

from mawja.outreach.v1 import service_pb2_grpc

from services.outreach import rules, views
from services.outreach.server import OutreachServicer
from services.outreach.worker import PLAN, OutreachWork
from services.runtime import knowledge_file
from services.runtime.consume import Worker
from services.runtime.errors import ConfigError
from services.runtime.service import Service, main
from services.runtime.views import Views

_KEEP_S = 1.0


def load_rules(path: Path | None) -> tuple[rules.Rule, ...]:
    """The rules of the file at `path`, or the shipped ones. Raises ConfigError."""
    if path is None:
        shipped = resources.files("services.outreach") / "rules.yaml"
        return rules.parse(shipped.read_text("utf-8"), shipped.name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_RULES: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    return rules.parse(text, str(path))


async def build(service: Service) -> None:
    """Adds outreach's server and worker to the process."""
    settings = service.settings
    loaded = load_rules(settings.rules)
    known = knowledge_file.read(settings.knowledge)
    worker = Worker(
        settings,
        PLAN,
        service.producer,
        lambda context: OutreachWork(context, loaded, known, service.keyring, service.redis),
        service.replica,
    )
    shown = Views(service.redis, views.ROOM, settings.partitions)
    service_pb2_grpc.add_OutreachServiceServicer_to_server(OutreachServicer(shown), service.server)
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
