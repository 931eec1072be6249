"""Three brokers: the leader killed again and again, then two of three at once."""

import time
from collections import Counter
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.local.kafka_node import KafkaNode
from services.runtime.topics import CONTACT_ACCEPTED, TOPICS
from tests.faults.probe import Probe, probing
from tests.faults.stage import Size, Stage, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
BACK_S = 60.0


def _partitions(bootstrap: str, names: list[str]) -> list[dict[str, object]]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        topics: list[dict[str, list[dict[str, object]]]] = admin.describe_topics(names)
        return [partition for topic in topics for partition in topic["partitions"]]
    finally:
        admin.close()


def leader(stage: Stage) -> KafkaNode:
    """The node that leads most partitions of intake's topic."""
    kafka = stage.parts.local_kafka
    assert kafka is not None
    leaders = Counter(
        p["leader_id"] for p in _partitions(stage.parts.kafka, [CONTACT_ACCEPTED.name])
    )
    [(node, _)] = leaders.most_common(1)
    return next(one for one in kafka.nodes if one.node == node)


def whole(stage: Stage) -> bool | None:
    """Whether every replica of every partition is in sync; None when nobody tells."""
    try:
        found = _partitions(stage.parts.kafka, [topic.name for topic in TOPICS])
    except KafkaError:
        return None
    return all(len(p["isr_nodes"]) == 3 for p in found)  # type: ignore[arg-type]


@pytest.mark.timeout(600)
@pytest.mark.row(
    "kill -9 of the Kafka leader, then of two of three brokers",
    must="failures are UNAVAILABLE, never OK; 0/0/0; back within 60 s of quorum",
)
def test_brokers(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    kills = int(size.of(5, 1))
    # Intake waits 20 s for an acknowledgement before it says that there is none.
    away_s = size.of(30, 24)
    over_s = size.of(110, 30)
    with stage(tmp_path, calls=size.calls, over_s=over_s, seed=seed, brokers=3) as on:
        probes: list[Probe] = []
        gone = back = 0.0

        def break_it() -> None:
            nonlocal gone, back
            kafka = on.parts.local_kafka
            assert kafka is not None
            on.sleep_until(3)
            with probing(on) as probe:
                probes.append(probe)
                for _ in range(kills):
                    killed = leader(on)
                    killed.kill9()
                    # Until then the cluster counts it among those in sync, dead or not: the next
                    # kill would come while it starts, and three of three would be away.
                    on.wait(lambda: whole(on) is False, 60, "the dead node is missed")
                    time.sleep(on.rng.uniform(0, 3))
                    killed.start()
                    on.wait(lambda: whole(on) is True, 90, "every replica in sync again")
                first, second = on.rng.sample(kafka.nodes, 2)
                first.kill9()
                second.kill9()
                # What was under way may still have been kept by two.
                gone = on.elapsed_s + 1.0
                time.sleep(away_s)
                back = on.elapsed_s
                first.start()
                on.wait(
                    lambda: probe.first_ok_after(back) is not None, 2 * BACK_S, "a contact taken"
                )
                second.start()
                on.wait(lambda: whole(on) is True, 90, "every replica in sync again")

        report = on.surge(break_it)
        [probe] = probes
        row.figure("leader kills", kills)
        codes = probe.codes()
        row.figure("probes", ", ".join(f"{code} {n}" for code, n in sorted(codes.items())))
        row.same("other codes", set(codes) - {"OK", "UNAVAILABLE"}, set())
        row.same("OK without quorum", probe.answered("OK", gone, back), 0)
        row.at_least("UNAVAILABLE without quorum", probe.answered("UNAVAILABLE", gone, back), 1)
        again = probe.first_ok_after(back)
        assert again is not None
        row.at_most("s from quorum to OK", again, BACK_S)
        row.account(report, beside=len(probe.answers))
