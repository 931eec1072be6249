"""What the tests of the local parts start a Kafka with, and how they use it from outside."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from services.local.java import Java, find_java
from services.local.kafka import LocalKafka
from services.local.kafka_cache import start_cache
from services.local.kafka_install import Installation, cache_home, install
from services.local.progress import Progress


@dataclass(frozen=True, slots=True)
class Kit:
    """What every Kafka of these tests is started with."""

    installation: Installation
    java: Java
    flags: tuple[str, ...]

    def kafka(self, folder: Path, *, brokers: int = 1, **more: object) -> LocalKafka:
        return LocalKafka(
            folder,
            self.installation,
            self.java,
            brokers=brokers,
            start_flags=self.flags,
            **more,  # type: ignore[arg-type]
        )


def make_kit() -> Kit:
    """From the cache of this machine, which is filled if it has to be."""
    java = find_java()
    installation = install(cache_home(), java, Progress())
    return Kit(installation, java, start_cache(cache_home(), installation, java, Progress()))


def create_topic(bootstrap: str, name: str, replicas: int = 1) -> None:
    """Makes a topic of three partitions."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap.split(","))) as admin:
        admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=replicas)])


def produce(bootstrap: str, topic: str, count: int) -> None:
    """Sends `count` records and fails unless every one is acknowledged by all in-sync replicas."""
    with contextlib.closing(
        KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", request_timeout_ms=10_000)
    ) as producer:
        sent = [producer.send(topic, str(number).encode()) for number in range(count)]
        for one in sent:
            one.get(60)


def consume(bootstrap: str, topic: str, count: int) -> int:
    """How many of `count` records a fresh group reads before nothing comes for 20 s."""
    with contextlib.closing(
        KafkaConsumer(
            topic,
            bootstrap_servers=bootstrap.split(","),
            group_id=f"{topic}-readers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=20_000,
        )
    ) as consumer:
        read = 0
        for read, _ in enumerate(consumer, start=1):
            if read == count:
                consumer.commit()
                break
        return read


def smsc(record: Path) -> Callable[[int], list[str]]:
    """The command of an SMS centre, for a port."""
    return lambda port: [
        *(sys.executable, "-m", "services.local.smsc", "--port", str(port)),
        *("--record", str(record)),
    ]
