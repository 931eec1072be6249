"""Which system a command is about: the one that the environment names, or the local one."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from services.local.parts import running
from services.runtime import kafka_tls
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError
from services.runtime.topics import CASE
from services.tools.local import home_folder

Home = Annotated[
    Path | None,
    typer.Option(help="Folder of the local run. Default: $MAWJA_HOME, else ./.mawja"),
]
"""The option of a command that is about such a system."""


def system(home: Path | None, env: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the system that runs: of the local run in `home` if that is given, else what
    MAWJA_KAFKA, MAWJA_REDIS_URL and MAWJA_KEYS say, else of the local run in the usual folder.

    Raises ConfigError when nothing runs, Away when it does not answer.
    """
    folder = home_folder(home)
    place = running(folder)
    found: dict[str, str] = {}
    if place is not None:
        keys = str(folder.absolute() / "keys")
        found = {
            "MAWJA_KAFKA": place.kafka,
            "MAWJA_REDIS_URL": place.redis_url,
            "MAWJA_KEYS": keys,
        }
    if home is None:
        found |= {name: env[name] for name in _PLACES if env.get(name)}
    if "MAWJA_KAFKA" not in found:
        raise ConfigError(
            f"nothing runs in {folder}: start it (`mawja up`), give its --home, or set "
            f"{', '.join(_PLACES)}"
        )
    missing = [name for name in _PLACES if name not in found]
    if missing:
        raise ConfigError(f"MAWJA_KAFKA is set, and {' and '.join(missing)} not: set all of them")
    others = {name: value for name, value in env.items() if name in _OTHERS}
    settings = Settings.from_env({**others, **found})
    return replace(settings, partitions=_partitions(settings.kafka))


_PLACES = ("MAWJA_KAFKA", "MAWJA_REDIS_URL", "MAWJA_KEYS")
_OTHERS = frozenset({"MAWJA_DEAD_LETTER_LIMIT"})


def _partitions(kafka: str) -> int:
    # Of the system itself: the environment of a command may say another number.
    try:
        consumer = KafkaConsumer(bootstrap_servers=kafka, **kafka_tls.options())
        try:
            found = consumer.partitions_for_topic(CASE.name)
        finally:
            consumer.close()
    except KafkaError as error:
        raise Away(f"Kafka at {kafka} does not answer: {type(error).__name__}") from error
    if not found:
        raise ConfigError(f"Kafka at {kafka} has no {CASE.name}: no Mawja runs there")
    return len(found)
