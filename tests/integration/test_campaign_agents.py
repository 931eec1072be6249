"""A campaign goes as slowly as agents can take what it brings back, and holds a share of its people
back, by whom it is measured: broadcast as a process, wave's levels and queue as wave states them.
"""

import json
import subprocess
import sys
from pathlib import Path

from kafka import KafkaProducer
from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.wave.v1.contracts_pb2 import QUEUE_HOLDER_CENTRE, QueueState
from mawja.wave.v1.events_pb2 import DIMENSION_ALL, Counts, Level

from services.broadcast.campaigns.holding import held_back
from services.local.parts import Parts
from services.runtime import topics
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.own import Record
from services.runtime.scan import Scan
from tests.audiences_rig import Dedup
from tests.broadcast_rig import digits, numbers, running, wait_until
from tests.campaigns_rig import COMPLETED, MAKER, OTHER, Office, by_bucket, listed, plan, started
from tests.room_process import environment

MAWJA = Path(sys.executable).with_name("mawja")
WIDTH, HOP = 900_000, 60_000


def test_a_campaign_waits_for_agents_and_is_measured_by_who_is_held_back(
    parts: Parts, settings: Settings, tmp_path: Path
) -> None:
    producer = KafkaProducer(bootstrap_servers=parts.kafka, acks="all")

    def level(drill: bool, offered: int) -> None:
        start_ms = now_ms() - now_ms() % HOP - WIDTH
        counts = Counts(offered=offered, handled=offered, handling_ms=offered * 240_000)
        told = Level(
            dimension=DIMENSION_ALL, start_ms=start_ms, width_ms=WIDTH, counts=counts, drill=drill
        )
        key = f"{DIMENSION_ALL}||{start_ms}|{WIDTH}".encode()
        producer.send(topics.LEVEL.name, partition=0, key=key, value=told.SerializeToString())

    def queue(waiting: int) -> None:
        told = QueueState(
            holder=QUEUE_HOLDER_CENTRE, queue_length=waiting, accepted_ms=now_ms(), drill=True
        )
        value = told.SerializeToString()
        producer.send(topics.QUEUE_STATE.name, partition=0, key=b"centre", value=value)
        producer.flush(30)

    # Real calls say nothing of a drill.
    level(False, 5)
    level(True, 300)
    queue(80)
    routes = [{"prefix": "+", "carrier": "fast"}]
    with running(parts, "agents", {"fast": ({}, {})}, routes) as rig:
        people = numbers("08", 200)
        maker, other = Office(rig.system, MAKER), Office(rig.system, OTHER)
        wanted = plan(
            maker.upload(listed(people)).audience_id, held_back=0.3, most_parts_per_second=20
        )
        campaign_id = started(maker, other, wanted)
        wait_until(lambda: maker.get(campaign_id).campaign.HasField("slowed"))
        seen = maker.get(campaign_id)
        assert seen.campaign.slowed.reason == "80 people wait, room for 0 calls/min"
        assert "slowed: 80 people wait" in seen.campaign.waits
        back = seen.campaign.rehearsal.calls_back
        held = {n for n in people if held_back(wanted, campaign_id, rig.keyring.person(n))}
        assert 30 <= len(held) <= 90
        assert back.recipients == 200 - len(held)
        assert back.room_per_minute == 0
        assert by_bucket(seen.buckets)["WAITING"] > 60
        # Nobody waits any more: as fast as it may.
        queue(0)
        done = maker.until(campaign_id, COMPLETED)
        assert not done.campaign.HasField("slowed")
        sent = 200 - len(held)
        assert by_bucket(done.buckets) == {"DELIVERED": sent, "HELD_BACK": len(held)}
        assert done.recipients == 200
        got = {one.destination for one in rig.smsc["fast"].messages()}
        assert got == {digits(number) for number in people if number not in held}
        states = [one.campaign.HasField("slowed") for one in decisions(parts.kafka, campaign_id)]
        assert states.count(True) >= 1
        # One in ten whom it was sent to calls, and every second who was held back.
        room = Dedup(parts.kafka, rig.keyring, settings.partitions)
        callers = [n for n in people if n not in held][::10] + sorted(held)[::2]
        for number in callers:
            decision = room.opened(room.case(number, number), now_ms())
            decision.link.channel = common_pb2.CHANNEL_VOICE
            assert decision.change == dedup.CASE_CHANGE_OPENED
            room.decide(decision)
        room.flush()
        room.close()
        env = environment(settings, tmp_path / "unused.json")
        said = subprocess.run(
            [MAWJA, "campaign", "effect", campaign_id[:8], "--json"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert said.returncode == 0, said.stderr
        found = json.loads(said.stdout)
        assert found["sent"]["people"] == sent == found["delivered"]
        assert found["held_back"]["people"] == len(held)
        assert found["sent"]["callers"] == len(callers) - (len(held) + 1) // 2
        assert found["held_back"]["callers"] == (len(held) + 1) // 2
        assert found["fewer"][1] > 0, "so many fewer are no chance"
    producer.close()


def decisions(kafka: str, campaign_id: str) -> list[CampaignDecision]:
    """On one campaign, in order."""
    found: list[CampaignDecision] = []

    def take(record: Record) -> None:
        decision = CampaignDecision.FromString(record.value or b"")
        if decision.campaign.campaign_id == campaign_id:
            found.append(decision)

    with Scan(kafka, [topics.CAMPAIGN]) as scan:
        scan.advance(take)
    return found
