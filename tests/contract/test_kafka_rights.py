"""Topics, users and rules in deploy/ are those of the code; only its owner writes a topic."""

from pathlib import Path

import pytest
import yaml

from services.broadcast import worker as broadcast
from services.broadcast.campaigns import drafts
from services.broadcast.campaigns import worker as campaigns
from services.dedup import worker as dedup
from services.dedup.incidents import worker as incidents
from services.intake import inbound
from services.outreach import worker as outreach
from services.outreach.proposals import worker as proposals
from services.runtime.topics import (
    BROADCAST_NOTES,
    BY_NAME,
    DEAD_LETTERS,
    RESTORATION,
    TOPICS,
)
from services.tools import manifests
from services.tools.manifests import ROOT, kafka_users, made
from tests.kubernetes import COMPONENTS, Resource, resources

PLANS = {
    plan.group: plan
    for plan in (
        inbound.PLAN,
        dedup.PLAN,
        incidents.PLAN,
        outreach.PLAN,
        proposals.PLAN,
        broadcast.PLAN,
        campaigns.PLAN,
        drafts.PLAN,
    )
}


@pytest.mark.parametrize("name", sorted(made()))
def test_a_made_file_is_what_it_would_be_made_to(name: str) -> None:
    told = f"{name}: run `python -m services.tools.manifests`"
    assert (ROOT / name).read_text("utf-8") == made()[name], told


def test_a_changed_table_changes_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made()
    monkeypatch.setattr(manifests, "TOPICS", TOPICS[:-1])
    after = made()
    assert {name for name in before if before[name] != after[name]} == {
        f"{manifests.STRIMZI}/topics.yaml",
        f"{manifests.STRIMZI}/users.yaml",
    }


def allowed(user: Resource, operation: str, kind: str) -> set[tuple[str, str]]:
    """Names and how they match, of what the user may do."""
    return {
        (rule["resource"]["name"], rule["resource"]["patternType"])
        for rule in user["spec"]["authorization"]["acls"]
        if operation in rule["operations"] and rule["resource"]["type"] == kind
    }


def test_only_its_owner_writes_a_topic_and_the_operator_what_people_append() -> None:
    writers: dict[str, set[str]] = {name: set() for name in BY_NAME}
    for user in kafka_users():
        for name, pattern in allowed(user, "Write", "topic"):
            assert pattern == "literal"
            writers[name].add(user["metadata"]["name"])
    by_people = {topic.name for topic in (*DEAD_LETTERS.values(), RESTORATION, BROADCAST_NOTES)}
    for topic in TOPICS:
        operator = {"kafka-operator"} if topic.name in by_people else set()
        assert writers[topic.name] == {f"kafka-{topic.owner}"} | operator


@pytest.mark.parametrize("group", sorted(PLANS))
def test_a_room_may_work_in_its_groups(group: str) -> None:
    users = {user["metadata"]["name"]: user for user in kafka_users()}
    room = group.split("-")[0]
    assert (room, "prefix") in allowed(users[f"kafka-{room}"], "Read", "group")
    assert ("*", "literal") in allowed(users[f"kafka-{room}"], "Read", "topic")


def test_keda_sees_how_far_groups_are_and_no_record() -> None:
    (keda,) = [user for user in kafka_users() if user["metadata"]["name"] == "kafka-keda"]
    assert not allowed(keda, "Read", "topic")
    assert not allowed(keda, "Read", "group")
    assert ("*", "literal") in allowed(keda, "Describe", "group")


def test_autoscaling_asks_about_topics_that_the_group_reads() -> None:
    asked = set()
    for held in resources(Path(COMPONENTS / "autoscaling" / "scaled.yaml")):
        for trigger in held["spec"].get("triggers", []):
            if trigger["type"] == "kafka":
                about = trigger["metadata"]
                read = {topic.name for topic in PLANS[about["consumerGroup"]].inputs}
                assert about["topic"] in read
                assert about["consumerGroup"].split("-")[0] == held["metadata"]["name"]
                asked.add(about["consumerGroup"])
    assert asked == {"dedup", "dedup-incidents", "outreach", "broadcast"}


def test_the_rules_are_all_in_the_resource() -> None:
    (held,) = resources(ROOT / "deploy" / "monitoring" / "prometheusrule.yaml")
    said = [
        group["name"]
        for path in sorted((ROOT / manifests.RULES).glob("*.yaml"))
        if not path.stem.endswith(("_test", ".test"))
        for group in yaml.safe_load(path.read_text("utf-8")).get("groups", ())
    ]
    assert [group["name"] for group in held["spec"]["groups"]] == said
