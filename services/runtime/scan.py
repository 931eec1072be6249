"""Reading whole topics from outside, as an auditor does: no group, nothing committed.

Used by the ledger and the tools; the services read with `consume` and `own`.
"""

from collections.abc import Callable, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.runtime import kafka_tls
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away
from services.runtime.own import Epochs, Record, counted
from services.runtime.topics import Topic

_SILENT_S = 120.0
"""How long Kafka may give nothing of what it said is there."""
Progress = Callable[[int, int], None]
"""Told now and then how many offsets were read, of how many."""


class Scan:
    """Reads topics from their beginnings up to where they end at each `advance`, then goes on.

    Records of decision logs that do not count (markers, past owners' late records) are left out.
    Not thread-safe.

    `since_ms`: begins with what was written at this Unix time in milliseconds, or later. A past
    owner's late record before the first marker that is read can't be told, and is given too.
    """

    def __init__(self, bootstrap: str, topics: Sequence[Topic], since_ms: int = 0) -> None:
        self._epochs = {topic.name: Epochs() for topic in topics if topic.log}
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap,
                **kafka_tls.options(),
                enable_auto_commit=False,
                # What retention removes while it is read is gone; what follows it is not.
                auto_offset_reset="earliest",
                max_poll_records=5000,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                fetch_max_wait_ms=50,
            )
            self._of_topic = {
                topic: [
                    TopicPartition(topic.name, partition)
                    for partition in sorted(self._consumer.partitions_for_topic(topic.name) or ())
                ]
                for topic in topics
            }
            self._every = [tp for tps in self._of_topic.values() for tp in tps]
            self._consumer.assign(self._every)
            self._consumer.seek_to_beginning(*self._every)
            if since_ms:
                self._seek(since_ms)
            self._consumer.pause(*self._every)
        except KafkaError as error:
            raise Away(f"Kafka at {bootstrap} does not answer: {type(error).__name__}") from error

    def _seek(self, since_ms: int) -> None:
        # First the ends: what is written in between stands behind them.
        ends = self._consumer.end_offsets(self._every)
        found = self._consumer.offsets_for_times(dict.fromkeys(self._every, since_ms))
        for tp in self._every:
            self._consumer.seek(tp, found[tp].offset if found.get(tp) else ends[tp])

    def beginnings(self) -> dict[tuple[str, int], int]:
        """The lowest offset that is kept, by topic and partition. Raises Away."""
        try:
            found = self._consumer.beginning_offsets(self._every)
        except KafkaError as error:
            raise Away(f"Kafka does not tell offsets: {type(error).__name__}") from error
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    def advance(self, each: Callable[[Record], None], progress: Progress | None = None) -> int:
        """Calls `each` with every record up to the present ends; returns how many. Raises Away.

        The ends are asked for topic by topic, in the order in which the topics were given, before
        anything is read; nothing is read past them. So when effects are given before their causes,
        every effect that is read has its cause among what is read.
        """
        count = 0
        try:
            ends: dict[TopicPartition, int] = {}
            for tps in self._of_topic.values():
                if tps:
                    ends |= self._consumer.end_offsets(tps)
            places = {tp: self._position(tp) for tp in ends}
            left = {tp: end for tp, end in ends.items() if places[tp] < end}
            total = sum(end - places[tp] for tp, end in left.items())
            self._consumer.resume(*left)
            heard_s = monotonic_s()
            while left:
                batches = self._consumer.poll(timeout_ms=500)
                if batches:
                    heard_s = monotonic_s()
                elif monotonic_s() - heard_s > _SILENT_S:
                    tp, end = next(iter(left.items()))
                    raise Away(
                        "Kafka does not give the records that it says it has: "
                        f"{tp.topic} partition {tp.partition} from {places[tp]} to {end} "
                        f"({len(left)} such)"
                    )
                for tp, records in batches.items():
                    count += self._take(tp, records, ends[tp], each)
                # Asking for a position looks at every partition: so not for those that stand still.
                # Without a record one moves over what compaction has removed; there is time for it.
                for tp in [tp for tp in batches or left if tp in left]:
                    places[tp] = self._position(tp)
                    if places[tp] >= left[tp]:
                        self._consumer.seek(tp, left.pop(tp))
                        self._consumer.pause(tp)
                if progress is not None:
                    rest = sum(end - places[tp] for tp, end in left.items())
                    progress(total - rest, total)
        except KafkaError as error:
            raise Away(f"Kafka does not give records: {type(error).__name__}") from error
        return count

    def _position(self, tp: TopicPartition) -> int:
        position = self._consumer.position(tp, timeout_ms=_SILENT_S * 1000)
        if position is None:
            raise Away("Kafka does not tell where its records begin")
        return int(position)

    def _take(
        self,
        tp: TopicPartition,
        records: Sequence[Record],
        end: int,
        each: Callable[[Record], None],
    ) -> int:
        epochs, count = self._epochs.get(tp.topic), 0
        for record in records:
            if record.offset >= end:
                break
            if epochs is None or counted(epochs, record):
                each(record)
                count += 1
        return count

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()

    def __enter__(self) -> "Scan":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Lag:
    """How far consumer groups are behind, asked of Kafka itself. Not thread-safe."""

    def __init__(self, bootstrap: str) -> None:
        try:
            self._admin = KafkaAdminClient(bootstrap_servers=bootstrap, **kafka_tls.options())
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap, enable_auto_commit=False, **kafka_tls.options()
            )
        except KafkaError as error:
            raise Away(f"Kafka at {bootstrap} does not answer: {type(error).__name__}") from error

    def of(self, group: str, topics: Sequence[Topic]) -> int:
        """Records of `topics` below which the group has not committed. Raises Away."""
        try:
            tps = [
                TopicPartition(topic.name, partition)
                for topic in topics
                for partition in self._consumer.partitions_for_topic(topic.name) or ()
            ]
            ends = self._consumer.end_offsets(tps)
            committed = self._admin.list_group_offsets({group: None})[group]
        except KafkaError as error:
            raise Away(f"Kafka does not tell offsets: {type(error).__name__}") from error
        return sum(
            max(0, end - (max(0, committed[tp].offset) if tp in committed else 0))
            for tp, end in ends.items()
        )

    def close(self) -> None:
        """Lets go of the connections."""
        self._admin.close()
        self._consumer.close()
