"""Kafka's ahead-of-time cache: what Java learned in one start makes every later one faster."""

import contextlib
import hashlib
import shutil
from pathlib import Path

from services.local.errors import LocalPartError
from services.local.java import Java
from services.local.kafka import LocalKafka
from services.local.kafka_install import Installation
from services.local.kafka_jars import VERSION
from services.local.kafka_node import FLAGS
from services.local.lock import locked
from services.local.progress import Progress

_ARCHIVES_KEPT = 4
_TRAINING_TOPIC = "training"


def start_cache(
    cache: Path, installation: Installation, java: Java, progress: Progress
) -> tuple[str, ...]:
    """Java flags that start Kafka fast: its ahead-of-time cache, made first if there is none.

    Without it everything works, 2–3 s slower a start; so a failure to make it is remembered and
    not raised.
    """
    cache = cache.absolute()
    archive = cache / f"kafka-{VERSION}-{_archive_key(installation, java)}.aot"
    given_up = archive.with_suffix(".failed")
    use, record = _archive_flags(java, archive)
    if not archive.exists() and not given_up.exists():
        with locked(
            cache / f"kafka-{VERSION}.lock",
            waiting=lambda pid: progress.say(f"process {pid} is preparing Kafka: waiting for it"),
        ):
            if not archive.exists() and not given_up.exists():
                progress.say("preparing Kafka for fast starts, once (about 20 s)")
                _train(archive, given_up, record, installation, java)
    return use if archive.exists() else ()


def _archive_key(installation: Installation, java: Java) -> str:
    """Changes with everything the archive depends on."""
    parts = [str(java.program), java.version, installation.class_path, *FLAGS]
    # Java refuses an archive of another copy of itself, even of the same version.
    with contextlib.suppress(OSError):
        runtime = (java.program.resolve().parent.parent / "lib" / "modules").stat()
        parts += [str(runtime.st_size), str(runtime.st_mtime_ns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _archive_flags(java: Java, archive: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(flags that use the archive, flags that record it into `<archive>.new`)."""
    new = archive.with_suffix(".new")
    if java.major >= 25:
        return (f"-XX:AOTCache={archive}",), (f"-XX:AOTCacheOutput={new}",)
    return (f"-XX:SharedArchiveFile={archive}",), (f"-XX:ArchiveClassesAtExit={new}",)


def _train(
    archive: Path, given_up: Path, record: tuple[str, ...], installation: Installation, java: Java
) -> None:
    new = archive.with_suffix(".new")
    new.unlink(missing_ok=True)
    folder = archive.with_suffix(".training")
    shutil.rmtree(folder, ignore_errors=True)
    kafka = LocalKafka(folder, installation, java, start_flags=record)
    try:
        kafka.start()
        kafka.ready()
        _exercise(kafka.bootstrap)
        # Java writes the archive when it is asked to end, and needs its time for it.
        kafka.nodes[0].grace_s = 120.0
        kafka.nodes[0].stop()
        new.rename(archive)
        _forget_old_archives(archive.parent)
    except (LocalPartError, OSError) as error:
        given_up.write_text(f"{error}\n{kafka.nodes[0].log_tail(20) if kafka.nodes else ''}\n")
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
        new.unlink(missing_ok=True)


def _forget_old_archives(cache: Path) -> None:
    """Keeps the latest few; one of 70 MB is made for every copy of Java there ever was."""
    made = sorted(cache.glob("kafka-*.aot"), key=lambda file: file.stat().st_mtime)
    for old in made[:-_ARCHIVES_KEPT]:
        old.unlink(missing_ok=True)


def _exercise(bootstrap: str) -> None:
    """A little of everything, so that the classes of everyday work are in the archive."""
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
    from kafka.admin import NewTopic
    from kafka.errors import KafkaError

    try:
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.create_topics([NewTopic(_TRAINING_TOPIC, num_partitions=4, replication_factor=1)])
        with contextlib.closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all")) as producer:
            for number in range(2_000):
                producer.send(_TRAINING_TOPIC, key=str(number).encode(), value=b"x" * 300)
            producer.flush(30)
        with contextlib.closing(
            KafkaConsumer(
                _TRAINING_TOPIC,
                bootstrap_servers=bootstrap,
                group_id=_TRAINING_TOPIC,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                consumer_timeout_ms=10_000,
            )
        ) as consumer:
            for count, _ in enumerate(consumer, start=1):
                if count == 2_000:
                    break
            consumer.commit()
    except KafkaError as error:
        raise LocalPartError(f"Kafka did not do its exercise: {type(error).__name__}") from error
