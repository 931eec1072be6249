"""The list of effects after which the fault matrix crashes a service is complete: held to the code.

Whoever adds a topic, a Redis script, a command to Redis, a PDU or another way out of a process
finds here that nobody has crashed after it yet.
"""

import ast
import random
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from services.local.system import ROOMS
from services.runtime import topics
from tests.faults.crashing import named, scripts
from tests.faults.points import (
    ALWAYS,
    CALL,
    COMMIT,
    EVERY,
    MARK,
    PDU,
    POINTS,
    RECORD,
    REDIS,
    SCRIPTED,
    WHOLE,
    Point,
    chosen,
)

SERVICES = Path(__file__).parents[2] / "services"
# The client that is shipped to telephone systems runs in none of our processes.
NOT_OURS = {"services.intake.client"}
READS = {
    "mget",
    "exists",
    "pubsub",
    "register_script",
    "pipeline",
    "zrange",
    "zcard",
    "aclose",
    "get",
    "time",
}
HOUSEKEEPING = {
    # They say nothing of a message.
    "BIND_TRANSCEIVER",
    "UNBIND",
    "UNBIND_RESP",
    "ENQUIRE_LINK",
    "ENQUIRE_LINK_RESP",
    "GENERIC_NACK",
}
MORE_GROUPS = {
    "intake": ("intake-audit",),
    "dedup": ("dedup-audit", "dedup-incidents"),
    "outreach": ("outreach-audit", "outreach-proposals"),
    "broadcast": ("broadcast-audit", "broadcast-campaigns", "broadcast-proposals"),
}
"""Rooms with more than one worker."""
FILES = {"write_text", "write_bytes", "rename", "touch", "unlink", "mkdir", "fdopen"}
FILES_OF = {
    # Tells whoever started the process that it serves, with its pid: of a dead one it is not taken.
    ("services.runtime.service", "_announce"),
    # A carrier that fetches files: its folder is a wire, where a name appears when all is written.
    ("services.broadcast.carriers.drops", "write"),
    ("services.broadcast.carriers.drops", "_put"),
    ("services.broadcast.carriers.filedrop", "_move"),
    # Keys are made by an operator's command, not by a service.
    ("services.runtime.privacy", "create"),
    ("services.runtime.privacy", "_make_key"),
    ("services.runtime.identity", "create_token_key"),
    ("services.runtime.token_keys", "take_away"),
}


@cache
def modules() -> dict[str, ast.Module]:
    """What runs in the services, parsed, by module."""
    found = {}
    for folder in ("runtime", *ROOMS):
        for path in sorted((SERVICES / folder).rglob("*.py")):
            name = ".".join(path.relative_to(SERVICES.parent).with_suffix("").parts)
            if name not in NOT_OURS:
                found[name] = ast.parse(path.read_text())
    return found


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """(what it is called on, the called name, the call) of every call of a method or function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield "", node.func.id, node


def importing(name: str) -> set[str]:
    """The rooms that import a name from runtime."""
    return {
        module.split(".")[1]
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("services.runtime")
        and any(alias.name == name for alias in node.names)
    } - {"runtime"}


def defining(module: str, name: str) -> str:
    """The module:NAME of a constant that a module uses."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return f"{node.module}:{name}"
    return f"{module}:{name}"


def keys(room: str, kind: str) -> set[str]:
    """The keys of a room's points of one kind."""
    return {point.key for point in POINTS if (point.room, point.kind) == (room, kind)}


def test_after_every_topic_that_a_room_writes_somebody_crashes() -> None:
    for room in ROOMS:
        # A restore is said by the `mawja` command, while its owner is stopped.
        own = [
            topic
            for topic in topics.TOPICS
            if topic.owner == room and topic is not topics.RESTORATION
        ]
        assert keys(room, RECORD) == {topic.name for topic in own}
        assert keys(room, MARK) == {topic.name for topic in own if topic.log}


def test_only_runtime_writes_to_kafka_and_by_one_way() -> None:
    ways = {
        (module, name)
        for module, tree in modules().items()
        for on, name, _ in calls(tree)
        if name in {"AIOKafkaProducer", "KafkaProducer", "send_and_wait", "send_batch"}
        or (name == "send" and on.endswith("inner"))
    }
    assert ways == {
        ("services.runtime.produce", "AIOKafkaProducer"),
        ("services.runtime.produce", "send"),
    }


def test_after_every_commit_somebody_crashes() -> None:
    committing = {
        module
        for module, tree in modules().items()
        for _, name, _ in calls(tree)
        if name == "commit"
    }
    assert {module.split(".")[1] for module in committing} == {"runtime"}
    for room in ROOMS:
        groups = {room, *MORE_GROUPS.get(room, ())} if room in importing("Worker") else set()
        assert keys(room, COMMIT) == groups


def test_after_everything_that_changes_redis_somebody_crashes() -> None:
    wanted: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, tree in modules().items():
        home = module.split(".")[1]
        for on, name, call in calls(tree):
            if name == "register_script":
                key = defining(module, ast.unparse(call.args[0]))
            # Of Kafka's producer: no client of Redis.
            elif on.endswith("client") and on != "self._inner.client" and name not in READS:
                key = name.upper()
            elif on == "pipeline" and name not in READS | {"execute"}:
                key = "PIPELINE"
            else:
                continue
            if home == "runtime":
                user = "Replies" if key == "PUBLISH" else "PartitionView"
                for room in importing(user):
                    wanted[room].add(key)
            else:
                wanted[home].add(key)
    assert {room: keys(room, REDIS) for room in ROOMS} == wanted
    scripted = {
        f"{module}:{target.id}"
        for module, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in scripts(import_module(module))
    }
    assert scripted == {key for some in wanted.values() for key in some if ":" in key}
    assert {key.partition(":")[0] for key in scripted} == set(SCRIPTED)


def test_after_everything_that_is_told_to_a_carrier_somebody_crashes() -> None:
    writing = {
        module
        for module, tree in modules().items()
        for on, name, _ in calls(tree)
        if on.endswith("transport") and name == "write"
    }
    assert writing == {"services.broadcast.carriers.link"}
    said = {
        ast.unparse(call.args[0]).removeprefix("smpp.") if name == "pdu" else "SUBMIT_SM"
        for module, tree in modules().items()
        if module.startswith("services.broadcast.carriers")
        for _, name, call in calls(tree)
        if name in {"pdu", "SubmitSm"}
    }
    assert said - HOUSEKEEPING == keys("broadcast", PDU)
    assert "services.broadcast.carriers.smpp:SmppCarrier.answered" in keys("broadcast", CALL)


def test_after_everything_that_a_carrier_of_whole_messages_does_somebody_crashes() -> None:
    carriers = {
        module: tree
        for module, tree in modules().items()
        if module.startswith("services.broadcast.carriers.")
    }
    asking = {
        module for module, tree in carriers.items() for _, name, _ in calls(tree) if name == "post"
    }
    # The door itself: it declares where carriers call.
    assert asking - {"services.broadcast.carriers.hooks"} == {"services.broadcast.carriers.web"}
    crashed = {point.key for point in WHOLE}
    assert crashed >= {
        "aiohttp.client_reqrep:ClientRequest.write_bytes",
        "services.broadcast.carriers.web:WebCarrier._asked",
    }
    taking = {
        f"{module}:{owner.name}.take"
        for module, tree in carriers.items()
        for owner in ast.walk(tree)
        if isinstance(owner, ast.ClassDef) and owner.name.endswith("Carrier")
        for function in owner.body
        if isinstance(function, ast.AsyncFunctionDef) and function.name == "take"
    }
    assert taking <= crashed
    files = {f"{module}:{name}" for module, name in FILES_OF if module in carriers}
    assert {key.replace(":Drop.", ":") for key in crashed} >= files


def test_no_room_writes_files() -> None:
    found = {
        (module, function.name)
        for module, tree in modules().items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for _, name, _ in calls(function)
        if name in FILES
    }
    assert found <= FILES_OF


def test_faust_keeps_nothing() -> None:
    keeping = {"Table", "GlobalTable", "SetTable", "SetGlobalTable", "cast", "ask"}
    for module, tree in modules().items():
        if module.startswith("services.wave"):
            assert not [name for on, name, _ in calls(tree) if name in keeping and on]


@pytest.mark.parametrize("point", EVERY, ids=lambda point: str(point.flag))
def test_a_point_is_at_something_that_is_there(point: Point) -> None:
    if point.kind == CALL or (point.kind == REDIS and ":" in point.key):
        owner, name = named(point.key)
        assert hasattr(owner, name)
    elif point.kind == PDU:
        assert hasattr(import_module("services.runtime.smpp"), point.key)


def test_a_choice_has_what_it_must_have_and_differs() -> None:
    flags = [point.flag for point in EVERY]
    assert len(set(flags)) == len(flags)
    choices = [chosen(random.Random(seed), 4) for seed in (1, 2)]
    for choice in choices:
        assert {point.flag for point in choice} >= ALWAYS
        assert {point.room for point in choice} == set(ROOMS)
    assert choices[0] != choices[1]
    assert len(chosen(random.Random(1), len(POINTS))) == len(POINTS)
