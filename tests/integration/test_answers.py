"""A question goes through the whole system and comes back answered: once, in the person's language,
saying that it is automatic, also when outreach is killed again and again in between."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from mawja.outreach.v1 import events_pb2 as outreach

from services.local.progress import Silent
from services.local.smsc.record import duplicates, read_record, reassemble
from services.local.system import System, token
from services.runtime import knowledge_file, rpc
from services.runtime.identity import Role
from services.runtime.own import LogReader
from services.runtime.topics import MESSAGE_REQUESTED
from services.tools.local import make_parts, make_system, smsc_record
from tests import burying
from tests.outreach_rig import records

PARTITIONS = 2
ASKED = (
    ("هل المدارس مغلقة غدا؟", "ar", "schools-tomorrow"),
    ("fi madrasa bacher wla 3o6la?", "ar", "schools-tomorrow"),
    ("Is the tap water safe to drink?", "en", "water-safe"),
    ("कंपनी सैलरी नहीं दे रही, शिकायत कैसे करें?", "hi", "wage-complaint"),
    # Asked in Urdu, known in Arabic and English only.
    ("پاسپورٹ کی تجدید کی فیس کتنی ہے؟", "mul", "passport-renewal"),
)
COPIES = 12
BETWEEN = "قطاع خاص ولا حكومة دوام باجر؟"
SAID = "ما عندنا ماي من يومين والخزان فاضي"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("answers")
    with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
        made = make_system(parts)
        try:
            made.start(partitions=PARTITIONS)
            yield made
        finally:
            made.stop()


def contact(number: str, text: str, **changes: object) -> service_pb2.Contact:
    fields: dict[str, object] = {
        "source": "answers",
        "idempotency_key": f"{number}/{text}",
        "channel": common_pb2.CHANNEL_SMS,
        "number": number,
        "text": text,
        "event_ms": int(time.time() * 1000),
        "drill": True,
    }
    return service_pb2.Contact(**(fields | changes))  # type: ignore[arg-type]


async def submit(system: System, contacts: Sequence[service_pb2.Contact], pause_s: float) -> None:
    metadata = rpc.bearer(token(system.keys, "answers", Role.LOAD_TESTER))
    async with rpc.channel(system.target("intake")) as channel:
        intake = service_pb2_grpc.IntakeServiceStub(channel)
        for one in contacts:
            await intake.SubmitContact(
                service_pb2.SubmitContactRequest(contact=one), metadata=metadata, timeout=20
            )
            await asyncio.sleep(pause_s)


def phones(system: System) -> dict[str, list[str]]:
    """What each phone shows, from the SMS centre's own record."""
    shown: dict[str, list[str]] = {}
    record = smsc_record(system.parts.home)
    if record.exists():
        for message in reassemble(list(read_record(record))):
            if message.complete and message.text is not None:
                shown.setdefault(f"+{message.destination}", []).append(message.text)
    return shown


async def until_shown(system: System, numbers: Sequence[str]) -> dict[str, list[str]]:
    deadline = time.monotonic() + 90
    while not set(numbers) <= phones(system).keys():
        missing = set(numbers) - phones(system).keys()
        assert time.monotonic() < deadline, f"{len(missing)} phones stayed silent"
        await asyncio.sleep(0.2)
    # What would come twice gets the time to.
    await asyncio.sleep(3)
    return phones(system)


@pytest.mark.timeout(240)
async def test_a_question_is_answered_once_however_often_outreach_is_killed(
    system: System,
) -> None:
    known = knowledge_file.read().entries
    asked = {
        f"+99957100{copy:02d}{which:02d}": which
        for copy in range(COPIES)
        for which in range(len(ASKED))
    }
    contacts = [contact(number, ASKED[which][0]) for number, which in asked.items()]
    sending = asyncio.create_task(submit(system, contacts, 0.15))
    [outreach_replica] = [one for one in system.running if one.room == "outreach"]
    for _ in range(3):
        await asyncio.sleep(2)
        await asyncio.to_thread(burying.kill, system.parts.kafka, outreach_replica)
    await sending
    await asyncio.to_thread(system.wait_ready)
    assert len(outreach_replica.process.exits) >= 3
    shown = await until_shown(system, list(asked))
    for number, which in asked.items():
        _, language, name = ASKED[which]
        [text] = shown[number]
        assert text.startswith("تمرين DRILL: " if language != "en" else "DRILL: ")
        wanted = ("ar", "en") if language == "mul" else (language,)
        assert all(known[name].answer[one] in text for one in wanted), (name, language)
        assert "MW-" in text
    assert duplicates(list(read_record(smsc_record(system.parts.home)))) == []
    reader = LogReader(system.parts.kafka, "answers")
    requests = [
        outreach.MessageRequested.FromString(record.value or b"")
        for record in await records(reader, MESSAGE_REQUESTED, PARTITIONS)
    ]
    assert {one.rule for one in requests} == {f"answer@1 {known[name].label}" for *_, name in ASKED}
    assert len({one.message_id for one in requests}) == len(requests) == len(asked)


@pytest.mark.timeout(120)
async def test_who_asks_nothing_or_is_in_danger_or_is_no_rehearsal_is_acknowledged(
    system: System,
) -> None:
    question = ASKED[0][0]
    said, danger = "+999571100001", "+999571100002"
    await submit(
        system,
        [contact(said, SAID), contact(danger, question, life_safety=True)],
        0,
    )
    shown = await until_shown(system, [said, danger])
    for number in (said, danger):
        [text] = shown[number]
        assert "استلمنا" in text


@pytest.mark.timeout(120)
async def test_of_two_close_questions_the_person_says_which(system: System) -> None:
    known = knowledge_file.read().entries
    number = "+999571100003"
    await submit(system, [contact(number, BETWEEN)], 0)
    [question] = (await until_shown(system, [number]))[number]
    private, public = known["work-tomorrow-private"], known["work-tomorrow-public"]
    assert f"1 {private.ask['ar']}\n2 {public.ask['ar']}\n" in question
    await submit(system, [contact(number, "٢")], 0)
    deadline = time.monotonic() + 30
    while len(shown := phones(system)[number]) < 2:
        assert time.monotonic() < deadline, "the reply was not answered"
        await asyncio.sleep(0.2)
    [answer] = [text for text in shown if text != question]
    assert public.answer["ar"] in answer
