"""A person's SMS of several parts, from an SMS centre through the real broadcast and intake: one
contact, letter for letter, whatever dies between its parts."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mawja.intake.v1 import events_pb2

from services.intake.joining import WAIT_S
from services.local.parts import Parts
from services.runtime import topics
from services.runtime.config import Settings
from services.runtime.scan import Scan
from services.runtime.smpp_text import concat_element, header_of
from tests.broadcast_rig import Rig, inbound, numbers, running, wait_until
from tests.intake_rig import Intake, contacts, intake

ARABIC = (
    "السلام عليكم، الماءُ مقطوعٌ عن حيّنا منذ الأمس 💧💧 ومعنا أطفالٌ وكبارُ سنّ 👨‍👩‍👧‍👦، "
    "أرجو أن ترسلوا أحدًا، وشكرًا لكم. لـــــا نجد ماءً للشرب ٪٥٠ من البيوت. "
)
PART = 134
"""Octets of UCS-2 that fit beside a header with an 8-bit reference."""


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    routes = [{"prefix": "+", "carrier": "plain"}]
    with running(parts, "in-parts", {"plain": ({}, {})}, routes) as started:
        yield started


@pytest.fixture(scope="module")
def room(settings: Settings, rig: Rig, folder: Path) -> Iterator[Intake]:
    shared = dataclasses.replace(settings, keys=rig.system.keys)
    with intake(shared, folder, "joins") as started:
        yield started
        assert "Traceback" not in started.said


def cut(text: str, reference: int, *, wide: bool = False, size: int = PART) -> list[bytes]:
    """Payloads as telephones make them: cut without a look at characters."""
    octets = text.encode("utf-16-be")
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    total = len(pieces)
    if wide:
        heads = [
            header_of(bytes((8, 4, reference >> 8, reference & 255, total, n)))
            for n in range(1, total + 1)
        ]
    else:
        heads = [header_of(concat_element(reference, total, n)) for n in range(1, total + 1)]
    return [head + piece for head, piece in zip(heads, pieces, strict=True)]


def bring(rig: Rig, number: str, payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        said = {"from": number, "to": "8001", "hex": payload.hex(), "data_coding": 8}
        rig.smsc["plain"].ask(op="inbound", udhi=True, **said)


def of(rig: Rig, settings: Settings, number: str) -> list[events_pb2.ContactAccepted]:
    """The contacts of a person, each once."""
    person = rig.keyring.person(number)
    found = {one.contact_id: one for one in contacts(settings) if one.person == person}
    return list(found.values())


def texts(rig: Rig, settings: Settings, number: str) -> list[str]:
    return [rig.keyring.unseal("text", one.sealed_text) for one in of(rig, settings, number)]


def kept(rig: Rig, number: str) -> int:
    """Parts of a person's messages that stand in broadcast's topic."""
    person = rig.keyring.person(number)
    return sum(one.person == person for one in inbound(rig))


def test_parts_in_any_order_of_two_people_are_two_contacts(
    rig: Rig, room: Intake, settings: Settings
) -> None:
    first, second = numbers("60", 2)
    other = "x" + ARABIC.removesuffix(" ")
    ones, twos = cut(ARABIC, 7), cut(other, 7 << 8 | 9, wide=True)
    assert len(ones) == len(twos) == 3
    for one, two in zip((ones[2], ones[0], ones[1]), twos, strict=True):
        bring(rig, first, [one])
        bring(rig, second, [two])
    wait_until(lambda: bool(of(rig, settings, first) and of(rig, settings, second)))
    # Once more, as a carrier that did not hear our answer.
    bring(rig, first, ones)
    wait_until(lambda: kept(rig, first) == 6)
    bring(rig, first, cut("ثالث " * 30, 8))
    wait_until(lambda: len(of(rig, settings, first)) == 2)
    assert texts(rig, settings, first) == [ARABIC, "ثالث " * 30]
    assert texts(rig, settings, second) == [other]
    assert list(of(rig, settings, second)[0].parts.held) == [1, 2, 3]
    assert of(rig, settings, first)[0].line == "8001"


def test_intake_killed_between_the_parts(rig: Rig, room: Intake, settings: Settings) -> None:
    [number] = numbers("61", 1)
    parts = cut(ARABIC, 21)
    bring(rig, number, parts[:1])
    wait_until(lambda: kept(rig, number) == 1)
    # Long enough for it to be read; nothing tells from outside, since nothing is decided.
    time.sleep(1)
    room.end()
    bring(rig, number, parts[2:])
    wait_until(lambda: kept(rig, number) == 2)
    room.start().ready()
    bring(rig, number, parts[1:2])
    wait_until(lambda: bool(of(rig, settings, number)), 60)
    room.end()
    room.start().ready()
    last = numbers("62", 1)[0]
    bring(rig, last, cut("ok " * 60, 3))
    wait_until(lambda: bool(of(rig, settings, last)), 60)
    assert texts(rig, settings, number) == [ARABIC]


def test_what_is_missing_is_told_in_time_and_what_is_late_is_told_too(
    rig: Rig, room: Intake, settings: Settings
) -> None:
    [number] = numbers("63", 1)
    parts = cut("أ" * 67 + "ب" * 67 + "ج" * 20, 5)
    started = time.monotonic()
    bring(rig, number, [parts[0], parts[2]])
    wait_until(lambda: bool(of(rig, settings, number)), WAIT_S + 20)
    assert time.monotonic() - started > WAIT_S - 1
    [first] = of(rig, settings, number)
    assert rig.keyring.unseal("text", first.sealed_text) == "أ" * 67 + " … " + "ج" * 20
    assert (first.parts.total, list(first.parts.held)) == (3, [1, 3])
    bring(rig, number, [parts[0], parts[1]])
    wait_until(lambda: len(of(rig, settings, number)) == 2)
    late = of(rig, settings, number)[1]
    assert rig.keyring.unseal("text", late.sealed_text) == "… " + "ب" * 67 + " …"
    assert list(late.parts.held) == [2]


def test_a_request_to_stop_in_parts_is_judged_as_one_text(
    rig: Rig, room: Intake, settings: Settings
) -> None:
    stops, stays = numbers("64", 2)
    bring(rig, stays, cut("STOP by the office please", 4, size=8))
    bring(rig, stops, cut("إيقاف", 3, size=5))
    people = {rig.keyring.person(stops), rig.keyring.person(stays)}
    opted_out: set[bytes] = set()
    with Scan(rig.parts.kafka, [topics.OPT_OUT]) as scan:

        def heard() -> bool:
            scan.advance(lambda record: opted_out.add(record.key or b""))
            return bool(people & opted_out)

        wait_until(heard, 5)
        wait_until(lambda: bool(of(rig, settings, stays)))
        heard()
    assert people & opted_out == {rig.keyring.person(stops)}
    assert texts(rig, settings, stays) == ["STOP by the office please"]
    assert of(rig, settings, stops) == []
