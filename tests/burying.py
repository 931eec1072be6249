"""Tells Kafka who is dead: it would find out by itself, after the session of 10 s.

For tests of what comes after a kill. Those of the kill itself wait as everybody does, so that what
Kafka finds out by itself is seen too: `tests/faults/test_kills.py` and the rows beside it.
"""

import re

from kafka.admin import KafkaAdminClient, MemberToRemove

from services.local.system import Replica


def bury(kafka: str, pid: int) -> None:
    """Takes a process that was killed out of every group: its partitions are free now."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        groups = [found["group_id"] for found in admin.list_groups()]
        for group, described in admin.describe_groups(groups).items():
            dead = [
                MemberToRemove(member_id=member["member_id"])
                for member in described["members"]
                if re.search(rf"-{pid}(-|$)", member["client_id"])
            ]
            if dead:
                admin.remove_group_members(group, dead)
    finally:
        admin.close()


def kill(kafka: str, replica: Replica) -> None:
    """SIGKILL for a replica, and its groups know."""
    pid = replica.process.pid
    replica.process.kill9()
    bury(kafka, pid)
