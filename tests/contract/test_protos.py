"""The contract in bytes: stored v1 events decode for ever, and every topic has its one message."""

import importlib.util
import json
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from mawja.broadcast.v1 import service_pb2 as broadcast
from mawja.common.v1 import common_pb2 as common
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.intake.v1 import service_pb2 as intake
from mawja.outreach.v1 import service_pb2 as outreach
from mawja.wave.v1 import service_pb2 as wave

from services.runtime.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "fixtures" / "events_v1"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("events_v1_make", STORED / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load()
EVENTS: dict[str, type[Message]] = make.EVENTS
BY_MESSAGE = {event.DESCRIPTOR.full_name: event for event in EVENTS.values()}
FILES = sorted(STORED.glob("*.binpb"))


def event_of(path: Path) -> type[Message]:
    return next(
        event for name, event in BY_MESSAGE.items() if f"{path.stem}.".startswith(f"{name}.")
    )


def missing(stored: Any, now: Any, at: str = "") -> list[str]:
    """What was stored and is not there now, or is another; fields that came later may be there."""
    if isinstance(stored, dict) and isinstance(now, dict):
        lost = [f"{at}.{k}" for k in stored if k not in now]
        both = [missing(stored[k], now[k], f"{at}.{k}") for k in stored if k in now]
        return lost + [found for part in both for found in part]
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        parts = [
            missing(s, n, f"{at}[{i}]") for i, (s, n) in enumerate(zip(stored, now, strict=True))
        ]
        return [found for part in parts for found in part]
    return [] if stored == now else [f"{at}: {stored!r} became {now!r}"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_stored_event_decodes_to_what_it_said(path: Path) -> None:
    decoded = event_of(path).FromString(path.read_bytes())
    said = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert missing(said, make.as_dict(decoded)) == []


def test_a_lost_field_is_seen() -> None:
    """The comparison itself can fail."""
    [path] = [p for p in FILES if p.stem.endswith("intake.v1.ContactAccepted")]
    said = json.loads(path.with_suffix(".json").read_text("utf-8"))
    decoded = event_of(path).FromString(path.read_bytes())
    decoded.ClearField("person")
    decoded.line = "another"  # type: ignore[attr-defined]
    assert len(missing(said, make.as_dict(decoded))) == 2


def test_every_topic_that_is_written_has_an_event_with_stored_bytes() -> None:
    assert set(EVENTS) == {t.name for t in TOPICS}
    stored = {path.stem for path in FILES}
    wanted = {name for event in EVENTS.values() for name, _ in make.examples(event.DESCRIPTOR)}
    assert wanted <= stored, "run python tests/fixtures/events_v1/make.py"


def test_the_comment_of_an_event_names_its_topic() -> None:
    for topic, event in EVENTS.items():
        if event is common.DeadLetter:
            continue
        proto = (ROOT / "protos" / event.DESCRIPTOR.file.name).read_text("utf-8")
        before = proto[: proto.index(f"\nmessage {event.DESCRIPTOR.name} {{")].splitlines()
        comment = list(takewhile(lambda line: line.startswith("//"), reversed(before)))
        lane = topic.split("-")[0] if ".queued-" in topic else topic
        assert any(lane in line for line in comment), f"{event.DESCRIPTOR.name} names no {topic}"


def test_no_number_or_text_leaves_unsealed_in_an_event() -> None:
    """Design rule 6: what names a person is bytes called sealed_*, or a keyed hash."""
    personal = {"number", "handle", "text", "place", "note", "reason", "name", "recipient"}
    # Words that are not a person's: why a rule decided, or which rule a record broke.
    ours = {
        "mawja.common.v1.DeadLetter.reason",
        "mawja.broadcast.v1.MessageChange.reason",
        "mawja.dedup.v1.Link.reason",
        "mawja.dedup.v1.CaseLink.reason",
        "mawja.dedup.v1.Join.reason",
        "mawja.broadcast.v1.BucketCount.reason",
        "mawja.outreach.v1.Assumption.name",
        "mawja.broadcast.v1.Slowed.reason",
        # Known places, by their English names.
        "mawja.broadcast.v1.Callers.place",
    }
    # What staff write for everybody, or of their own work; they are told to name nobody in it. A
    # recipient's fields are put into a text where it is sent, and are never stored in it.
    of_staff = {
        "mawja.broadcast.v1.CampaignPlan.name",
        "mawja.broadcast.v1.CampaignDeed.reason",
        "mawja.broadcast.v1.AudienceFile.name",
        # Headings; what could be about a person is a letter (`audiences/people.py`).
        "mawja.broadcast.v1.AudienceColumn.name",
        # Played to whoever dials.
        "mawja.outreach.v1.AnnouncementText.text",
        "mawja.outreach.v1.PlaybookSwitch.reason",
        "mawja.broadcast.v1.Restoration.reason",
        "mawja.outreach.v1.ProposalDeed.reason",
        "mawja.outreach.v1.ProposalEdit.name",
        "mawja.outreach.v1.Suggestion.name",
        # Only in answers.
        "mawja.broadcast.v1.RecipientSample.text",
    }
    found = set()
    seen: set[str] = set()

    def walk(descriptor: Any) -> None:
        if descriptor.full_name in seen:
            return
        seen.add(descriptor.full_name)
        for field in descriptor.fields:
            full = f"{descriptor.full_name}.{field.name}"
            if field.message_type is not None:
                walk(field.message_type)
            elif field.name in personal and field.type == field.TYPE_STRING:
                found.add(full)

    for event in EVENTS.values():
        walk(event.DESCRIPTOR)
    assert found <= ours | of_staff, sorted(found - ours - of_staff)


@pytest.mark.parametrize(
    "module", [broadcast, dedup, intake, outreach, wave], ids=lambda m: m.__name__
)
def test_every_service_is_of_its_room_and_version(module: ModuleType) -> None:
    package = module.DESCRIPTOR.package
    room = package.split(".")[1]
    assert package == f"mawja.{room}.v1"
    assert list(module.DESCRIPTOR.services_by_name) == [f"{room.capitalize()}Service"]


def test_the_released_image_holds_every_proto() -> None:
    """`buf breaking` compares with it: a proto that is not in it could be broken unseen."""
    image = FileDescriptorSet.FromString((ROOT / "protos" / "released.binpb").read_bytes())
    released = {file.name for file in image.file}
    sources = {
        str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos/mawja").rglob("*.proto")
    }
    assert sources <= released
