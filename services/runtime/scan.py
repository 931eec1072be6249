"""Reading whole topics from outside, as an auditor does: no group, nothing committed.

Used by the ledger and the tools; the services read with `consume` and `own`.
"""

from collections.abc import Callable, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.runtime.errors import Away
from services.runtime.own import Epochs, Record, counted
from services.runtime.topics import Topic


class Scan:
    """Reads topics from their beginnings up to where they end at each `advance`, then goes on.

    Records of decision logs that do not count (markers, past owners' late records) are left out.
    Not thread-safe.
    """

    def __init__(self, bootstrap: str, topics: Sequence[Topic]) -> None:
        self._epochs = {topic.name: Epochs() for topic in topics if topic.log}
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap,
                enable_auto_commit=False,
                max_poll_records=5000,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                fetch_max_wait_ms=50,
            )
            self._partitions = [
                TopicPartition(topic.name, partition)
                for topic in topics
                for partition in sorted(self._consumer.partitions_for_topic(topic.name) or ())
            ]
            self._consumer.assign(self._partitions)
            self._consumer.seek_to_beginning(*self._partitions)
        except KafkaError as error:
            raise Away(f"Kafka at {bootstrap} does not answer: {type(error).__name__}") from error

    def advance(self, each: Callable[[Record], None]) -> int:
        """Calls `each` with every record up to the present ends; returns how many. Raises Away."""
        count = 0
        try:
            ends = self._consumer.end_offsets(self._partitions)
            while any(self._consumer.position(tp) < end for tp, end in ends.items()):
                for tp, records in self._consumer.poll(timeout_ms=500).items():
                    epochs = self._epochs.get(tp.topic)
                    for record in records:
                        if epochs is None or counted(epochs, record):
                            each(record)
                            count += 1
        except KafkaError as error:
            raise Away(f"Kafka does not give records: {type(error).__name__}") from error
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
            self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
            self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
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
