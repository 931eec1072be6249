"""The one table of topics. Local and Kubernetes topics are made from it, never automatically.

A topic is `<owner>.<fact>.v<N>`; only its owner writes it, but for the dead letters: to those the
`mawja` command appends what a person does about one (replays it, reads what is sealed in it), and
their owner reads them back; and for restorations and the notes of who said them, which are said
while their owner is stopped.
Topics keyed by person share one partition count, which never changes on a live system: a person's
contact, case, callback, message and receipt have the same partition number.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Literal

from services.runtime import kafka_tls
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError, MawjaError

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: who writes it, how it is keyed and how long it is kept.

    `log` marks a decision log: owner markers and epochs in its headers, read through
    `services.runtime.own.Epochs`.
    """

    name: str
    owner: str
    retention_days: int
    log: bool = False
    cleanup: Literal["delete", "compact"] = "delete"


_TEN_YEARS = 3650

CONTACT_ACCEPTED = Topic("intake.contact-accepted.v1", "intake", 8)
CALL_EVENT = Topic("intake.call-event.v1", "intake", 8)
INTAKE_NOTES = Topic("intake.audit-note.v1", "intake", 30)
INTAKE_AUDIT = Topic("intake.audit.v1", "intake", _TEN_YEARS, log=True)
INTAKE_DEAD = Topic("intake.dead-letter.v1", "intake", 30)
CASE = Topic("dedup.case.v1", "dedup", 400, log=True)
TALLY = Topic("dedup.tally.v1", "dedup", 30)
DEDUP_COMMAND = Topic("dedup.command.v1", "dedup", 30)
NEED = Topic("dedup.need.v1", "dedup", 8)
INCIDENT = Topic("dedup.incident.v1", "dedup", 30, log=True)
INCIDENT_COMMAND = Topic("dedup.incident-command.v1", "dedup", 30)
DEDUP_NOTES = Topic("dedup.audit-note.v1", "dedup", 30)
DEDUP_AUDIT = Topic("dedup.audit.v1", "dedup", _TEN_YEARS, log=True)
ERASED = Topic("dedup.erased.v1", "dedup", 0, cleanup="compact")
DEDUP_DEAD = Topic("dedup.dead-letter.v1", "dedup", 30)
MESSAGE_REQUESTED = Topic("outreach.message-requested.v1", "outreach", 400, log=True)
CALLBACK = Topic("outreach.callback.v1", "outreach", 400, log=True)
OUTREACH_COMMAND = Topic("outreach.command.v1", "outreach", 30)
ANNOUNCEMENT = Topic("outreach.announcement.v1", "outreach", 400)
PLAYBOOK_SWITCH = Topic("outreach.playbook-switch.v1", "outreach", 0, cleanup="compact")
PROPOSAL = Topic("outreach.proposal.v1", "outreach", 400, log=True)
PROPOSAL_COMMAND = Topic("outreach.proposal-command.v1", "outreach", 30)
WATCH = Topic("outreach.watch.v1", "outreach", 400, log=True)
OUTREACH_NOTES = Topic("outreach.audit-note.v1", "outreach", 30)
OUTREACH_AUDIT = Topic("outreach.audit.v1", "outreach", _TEN_YEARS, log=True)
CASE_REQUEST = Topic("outreach.case-request.v1", "outreach", 30)
OUTREACH_DEAD = Topic("outreach.dead-letter.v1", "outreach", 30)
QUEUED_URGENT = Topic("broadcast.queued-urgent.v1", "broadcast", 8)
QUEUED_NORMAL = Topic("broadcast.queued-normal.v1", "broadcast", 8)
QUEUED_BULK = Topic("broadcast.queued-bulk.v1", "broadcast", 8)
MESSAGE_STATUS = Topic("broadcast.message-status.v1", "broadcast", 400, log=True)
RECEIPT = Topic("broadcast.receipt.v1", "broadcast", 30)
INBOUND_MESSAGE = Topic("broadcast.inbound-message.v1", "broadcast", 8)
OPT_OUT = Topic("broadcast.opt-out.v1", "broadcast", 0, cleanup="compact")
RESTORATION = Topic("broadcast.restoration.v1", "broadcast", 0, cleanup="compact")
SUBSCRIPTION = Topic("broadcast.subscription.v1", "broadcast", 0, cleanup="compact")
BROADCAST_COMMAND = Topic("broadcast.command.v1", "broadcast", 30)
CAMPAIGN = Topic("broadcast.campaign.v1", "broadcast", 400, log=True)
CAMPAIGN_COMMAND = Topic("broadcast.campaign-command.v1", "broadcast", 400)
AUDIENCE = Topic("broadcast.audience.v1", "broadcast", 400)
BROADCAST_NOTES = Topic("broadcast.audit-note.v1", "broadcast", 30)
BROADCAST_AUDIT = Topic("broadcast.audit.v1", "broadcast", _TEN_YEARS, log=True)
BROADCAST_DEAD = Topic("broadcast.dead-letter.v1", "broadcast", 30)
LEVEL = Topic("wave.level.v1", "wave", 30)
BURST = Topic("wave.burst.v1", "wave", 30)
QUEUE_STATE = Topic("wave.queue-state.v1", "wave", 0, cleanup="compact")
CALL_DECISION = Topic("wave.call-decision.v1", "wave", 400)

TOPICS = (
    CONTACT_ACCEPTED,
    CALL_EVENT,
    INTAKE_NOTES,
    INTAKE_AUDIT,
    INTAKE_DEAD,
    CASE,
    TALLY,
    DEDUP_COMMAND,
    NEED,
    INCIDENT,
    INCIDENT_COMMAND,
    DEDUP_NOTES,
    DEDUP_AUDIT,
    ERASED,
    DEDUP_DEAD,
    MESSAGE_REQUESTED,
    CALLBACK,
    OUTREACH_COMMAND,
    ANNOUNCEMENT,
    PLAYBOOK_SWITCH,
    PROPOSAL,
    PROPOSAL_COMMAND,
    WATCH,
    CASE_REQUEST,
    OUTREACH_NOTES,
    OUTREACH_AUDIT,
    OUTREACH_DEAD,
    QUEUED_URGENT,
    QUEUED_NORMAL,
    QUEUED_BULK,
    MESSAGE_STATUS,
    RECEIPT,
    INBOUND_MESSAGE,
    OPT_OUT,
    RESTORATION,
    SUBSCRIPTION,
    BROADCAST_COMMAND,
    CAMPAIGN,
    CAMPAIGN_COMMAND,
    AUDIENCE,
    BROADCAST_NOTES,
    BROADCAST_AUDIT,
    BROADCAST_DEAD,
    LEVEL,
    BURST,
    QUEUE_STATE,
    CALL_DECISION,
)
BY_NAME = {topic.name: topic for topic in TOPICS}
DEAD_LETTERS = {
    topic.owner: topic for topic in (INTAKE_DEAD, DEDUP_DEAD, OUTREACH_DEAD, BROADCAST_DEAD)
}
"""The topic of each room that sets records aside."""
BY_PEOPLE = (*DEAD_LETTERS.values(), RESTORATION, BROADCAST_NOTES)
"""What the `mawja` command appends to, beside the owner."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The topics of a room's audit: what replicas note, the chain that its owners make of it, and
    what is set aside."""

    notes: Topic
    chain: Topic
    dead: Topic


AUDITS = {
    audit.chain.owner: audit
    for audit in (
        Audit(DEDUP_NOTES, DEDUP_AUDIT, DEDUP_DEAD),
        Audit(OUTREACH_NOTES, OUTREACH_AUDIT, OUTREACH_DEAD),
        Audit(BROADCAST_NOTES, BROADCAST_AUDIT, BROADCAST_DEAD),
        Audit(INTAKE_NOTES, INTAKE_AUDIT, INTAKE_DEAD),
    )
}
"""The audit of each room in which people decide, or are shown what is sealed. Intake, which has the
most to do in a surge, is the last that is asked to note who signed in."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a person (their keyed hash) or, without one, of a contact (its UUID bytes).

    The first 4 bytes, big-endian, modulo the count; `key` has at least 4 bytes, evenly spread.
    """
    return int.from_bytes(key[:4], "big") % partitions


def topic_config(topic: Topic, replication: int) -> dict[str, str]:
    """Kafka's settings for a topic."""
    config = {
        "cleanup.policy": topic.cleanup,
        "min.insync.replicas": str(max(1, replication - 1)),
        # An unclean leader would lose acknowledged contacts: better away than wrong.
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(2 * 1024 * 1024),
    }
    if topic.cleanup == "delete":
        config["retention.ms"] = str(topic.retention_days * DAY_MS)
    return config


def ensure(bootstrap: str, partitions: int, replication: int) -> list[str]:
    """Makes the topics that are missing and returns their names.

    Raises ConfigError when an existing topic has another partition count (that would part a
    person's records), Away when Kafka does not answer.
    """
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError, TopicAlreadyExistsError

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap, client_id="mawja-topics", **kafka_tls.options()
        )
    except KafkaError as error:
        raise Away(f"Kafka at {bootstrap} does not answer: {error}") from error
    try:
        existing = set(admin.list_topics())
        for described in admin.describe_topics([t.name for t in TOPICS if t.name in existing]):
            found = len(described["partitions"])
            if found != partitions:
                raise ConfigError(
                    f"topic {described['name']} has {found} partitions, MAWJA_PARTITIONS says "
                    f"{partitions}: the count never changes on a live system"
                )
        missing = [topic for topic in TOPICS if topic.name not in existing]
        if missing:
            try:
                admin.create_topics(
                    {
                        topic.name: {
                            "num_partitions": partitions,
                            "replication_factor": replication,
                            "configs": topic_config(topic, replication),
                        }
                        for topic in missing
                    },
                    wait_for_metadata=True,
                )
            except TopicAlreadyExistsError:
                # Another starter was faster; the table is the same.
                return ensure(bootstrap, partitions, replication)
        return [topic.name for topic in missing]
    except KafkaError as error:
        raise Away(f"Kafka at {bootstrap} refused: {error}") from error
    finally:
        admin.close()


def main() -> int:
    """`python -m services.runtime.topics`: makes what is missing, says what it made."""
    parser = argparse.ArgumentParser(
        prog="python -m services.runtime.topics",
        description="Makes the Kafka topics that are missing, from the one table in code.",
    )
    parser.parse_args()
    try:
        settings = Settings.from_env({"MAWJA_REDIS_URL": "-", "MAWJA_KEYS": "-", **os.environ})
        made = ensure(settings.kafka, settings.partitions, settings.replication)
    except MawjaError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(made)} topics made, {len(TOPICS) - len(made)} were there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
