"""Network policies allow the connections that a recorded run made, and no others."""

import json
from functools import cache

import yaml

from tests.kubernetes import BASE, COMPONENTS, PORTS, ROOT, Resource, resources

_OURS = (*PORTS, "console", "operator", "redis")
PARTS = {"kafka": {9092, 9093}, "redis": {6379}, "carrier": {443, 2775, 3550}}


@cache
def policies() -> dict[str, Resource]:
    path = COMPONENTS / "network-policies" / "policies.yaml"
    return {held["metadata"]["name"]: held["spec"] for held in resources(path)}


def names(peer: Resource) -> set[str]:
    """What a peer of a policy is called in the recorded run."""
    if "ipBlock" in peer:
        return {"carrier"}
    selector = peer.get("podSelector", {})
    if selector.get("matchLabels", {}).get("strimzi.io/name") == "mawja-kafka":
        return {"kafka"}
    found = set(selector.get("matchLabels", {}).values())
    for expression in selector.get("matchExpressions", []):
        found |= set(expression["values"])
    return found


def leads_to(name: str) -> dict[str, set[int]]:
    """Whom the pods called `name` may connect to, and at which ports."""
    found: dict[str, set[int]] = {}
    for rule in policies()[name].get("egress", []):
        ports = {port["port"] for port in rule["ports"]}
        for peer in rule["to"]:
            for target in names(peer):
                found[target] = found.get(target, set()) | ports
    return found


def recorded() -> dict[str, list[str]]:
    text = (ROOT / "tests" / "fixtures" / "connections.json").read_text("utf-8")
    made: dict[str, list[str]] = json.loads(text)
    return made


def test_what_a_room_may_connect_to_is_what_it_did_connect_to() -> None:
    assert recorded().keys() == PORTS.keys()
    for room, seen in recorded().items():
        assert leads_to(room) == {part: PARTS[part] for part in seen}, room


def test_no_room_calls_another() -> None:
    for room in PORTS:
        assert not leads_to(room).keys() & PORTS.keys()


def test_the_console_may_connect_to_what_it_is_told_of() -> None:
    configs = {h["metadata"]["name"]: h["data"] for h in resources(BASE / "config.yaml")}
    told = [value for value in configs["mawja-console"].values() if value.startswith("dns:///")]
    addresses = [value.removeprefix("dns:///").split(":") for value in told]
    rooms = {room: {*PORTS.values()} for room, _ in addresses}
    assert {(room, int(port)) for room, port in addresses} == set(PORTS.items())
    assert leads_to("console") == {**rooms, "redis": {6379}}


def test_everything_starts_from_nothing_allowed() -> None:
    denied = policies()["default-deny"]
    assert sorted(denied["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & denied.keys()
    # Strimzi makes Kafka's own policies, and a pod that is not named here is denied.
    assert denied["podSelector"] == {
        "matchExpressions": [{"key": "strimzi.io/cluster", "operator": "DoesNotExist"}]
    }


def test_who_is_let_in_is_let_out_over_there() -> None:
    """Each way between our own pods is open at both of its ends."""
    inward: set[tuple[str, str, int]] = set()
    for name in _OURS:
        for rule in policies()[name].get("ingress", []):
            for peer in rule["from"]:
                ports = [port["port"] for port in rule["ports"]]
                inward |= {(source, name, port) for source in names(peer) for port in ports}
    outward = {
        (name, target, port)
        for name in _OURS
        for target, ports in leads_to(name).items()
        for port in ports
        if target in _OURS
    }
    # A rule names all rooms and all their ports; at the other end only a room's own is open.
    open_there = {
        (source, target, port)
        for source, target, port in outward
        if target not in PORTS or port == PORTS[target]
    }
    assert inward == open_there


def test_from_outside_only_the_doors_are_reached() -> None:
    reached = {}
    for name, spec in policies().items():
        for rule in spec.get("ingress", []):
            if any("namespaceSelector" in peer for peer in rule["from"]):
                reached[name] = sorted(port["port"] for port in rule["ports"])
    assert reached == {
        "metrics": [9100],
        "intake": [7001, 7080],
        "wave": [7003],
        "broadcast": [7085],
        "console": [7090],
    }


def test_kafka_lets_the_rooms_in_and_nobody_else() -> None:
    held = yaml.safe_load_all((COMPONENTS / "kafka-strimzi" / "kafka.yaml").read_text("utf-8"))
    (kafka,) = [one for one in held if one["kind"] == "Kafka"]
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    rooms = set().union(*(names(peer) for peer in listener["networkPolicyPeers"]))
    assert rooms == {room for room, seen in recorded().items() if "kafka" in seen} | {"operator"}


def test_who_types_commands_may_go_where_they_lead() -> None:
    """`mawja` asks every room, reads and writes Kafka, and empties Redis."""
    ports = set(PORTS.values())
    assert leads_to("operator") == {
        **dict.fromkeys(PORTS, ports),
        "kafka": {9092, 9093},
        "redis": {6379},
    }
    assert "ingress" not in policies()["operator"]
