"""The one table of topics keeps its own rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import topics
from services.runtime.topics import BY_NAME, TOPICS, Topic, partition_of, topic_config

ROOMS = {"intake", "dedup", "wave", "outreach", "broadcast"}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_a_topic_is_named_after_its_owner(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z-]+\.v[1-9][0-9]*", topic.name)
    assert topic.owner in ROOMS
    assert topic.name.startswith(f"{topic.owner}.")
    assert BY_NAME[topic.name] is topic


def test_every_topic_of_the_module_is_in_the_table_once() -> None:
    held = [value for value in vars(topics).values() if isinstance(value, Topic)]
    assert sorted(t.name for t in held) == sorted(t.name for t in TOPICS)
    assert len(BY_NAME) == len(TOPICS)


def test_decision_logs_are_never_compacted() -> None:
    """A compacted log is not safe from a zombie: its late record would be the survivor."""
    assert [t.name for t in TOPICS if t.log and t.cleanup == "compact"] == []


def test_contacts_are_kept_longer_than_their_keys() -> None:
    """The index of keys is read back from the topic: 7 days of it must be there."""
    assert topics.CONTACT_ACCEPTED.retention_days > 7


def test_statuses_are_kept_at_least_as_long_as_requests() -> None:
    kept = topics.MESSAGE_STATUS.retention_days
    assert kept >= topics.MESSAGE_REQUESTED.retention_days
    assert all(
        kept >= queue.retention_days
        for queue in (topics.QUEUED_URGENT, topics.QUEUED_NORMAL, topics.QUEUED_BULK)
    )


def test_kafka_is_told_never_to_lose_what_it_acknowledged() -> None:
    config = topic_config(topics.CASE, 3)
    assert config["min.insync.replicas"] == "2"
    assert config["unclean.leader.election.enable"] == "false"
    assert config["retention.ms"] == str(400 * 24 * 3600 * 1000)
    assert topic_config(topics.CASE, 1)["min.insync.replicas"] == "1"
    assert "retention.ms" not in topic_config(topics.OPT_OUT, 1)


@given(st.binary(min_size=4, max_size=32), st.integers(1, 4096))
def test_the_partition_is_the_first_four_bytes_modulo_the_count(key: bytes, count: int) -> None:
    first = (key[0] << 24) + (key[1] << 16) + (key[2] << 8) + key[3]
    assert partition_of(key, count) == first % count
