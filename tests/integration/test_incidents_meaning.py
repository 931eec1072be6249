"""One event of which people tell in languages that share no word becomes one incident, beside the
fast path and within a minute; and a kill in between changes nothing. On real Kafka and Valkey."""

import asyncio
import urllib.request
from pathlib import Path

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2, service_pb2

from services.runtime import clock, ids
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.topics import CONTACT_ACCEPTED, INCIDENT_COMMAND
from services.tools.watch import parse, total
from tests.dedup_rig import Intake, calling, incidents_of, records_of, seen, writing
from tests.room_process import Room, room

# By any list that is shipped Arabic has no word, sound or place in common with the two others here.
SHIP = {
    "ar": (
        "سفينة حاويات جنحت وسدت القناة",
        "السفينة الجانحة تسد القناة وتوقفت الملاحة",
        "القناة مسدودة بسبب جنوح سفينة حاويات",
        "جنوح سفينة ضخمة أوقف الملاحة",
        "سفينة الحاويات مازالت جانحة في القناة",
        "الملاحة متوقفة بسبب السفينة الجانحة",
    ),
    "hi": (
        "कंटेनर जहाज़ फँस गया और नहर बंद हो गई",
        "फँसे जहाज़ ने नहर रोक दी, आवाजाही बंद",
        "कंटेनर जहाज़ के फँसने से नहर बंद है",
        "विशाल जहाज़ के फँसने से आवाजाही रुकी",
        "कंटेनर जहाज़ अब भी नहर में फँसा है",
        "फँसे जहाज़ के कारण आवाजाही बंद है",
    ),
    "ml": (
        "കണ്ടെയ്നർ കപ്പൽ കുടുങ്ങി കനാൽ അടഞ്ഞു",
        "കുടുങ്ങിയ കപ്പൽ കനാൽ തടഞ്ഞു, ഗതാഗതം നിലച്ചു",
        "കണ്ടെയ്നർ കപ്പൽ കുടുങ്ങിയതിനാൽ കനാൽ അടഞ്ഞു",
        "വലിയ കപ്പൽ കുടുങ്ങി ഗതാഗതം നിലച്ചു",
        "കണ്ടെയ്നർ കപ്പൽ ഇപ്പോഴും കനാലിൽ",
        "കപ്പൽ കാരണം ഗതാഗതം നിലച്ചു",
    ),
}
WHOLE = sum(map(len, SHIP.values()))
JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED


def contact(intake: Intake, language: str, number: int, start: int, name: str = "") -> bytes:
    place = list(SHIP).index(language)
    return intake.contact(
        name or f"{language}{number}",
        f"+99950{number:02d}{place:02d}{len(name):03d}",
        SHIP[language][number],
        event_ms=start + number * 60_000,
        channel=common_pb2.CHANNEL_WHATSAPP,
        agency="",
    )


def backlog_s(running: Room) -> float:
    """How long the group that waits longest has waited, as the service says."""
    with urllib.request.urlopen(running.metrics(), timeout=5) as answer:
        return total(parse(answer.read().decode()), "mawja_dedup_slow_backlog_seconds")


async def test_a_burst_without_a_common_word_is_one_incident_within_a_minute_and_after_a_kill(
    settings: Settings, tmp_path: Path
) -> None:
    start = clock.now_ms() - 3_600_000
    listed = service_pb2.ListIncidentsRequest()
    async with writing(settings) as intake:
        killed = Room("dedup", settings, tmp_path)
        target = await asyncio.to_thread(killed.target)
        oldest: list[float] = []
        for number in range(6):
            for language in SHIP:
                await intake.send(CONTACT_ACCEPTED, [contact(intake, language, number, start)])
            await asyncio.sleep(1)
            oldest.append(await asyncio.to_thread(backlog_s, killed))
        async with calling(target, settings, Role.COORDINATOR) as (stub, token):
            answer = await seen(
                lambda: stub.ListIncidents(listed, metadata=token),
                lambda a: [i.incident.cases for i in a.incidents] == [WHOLE],
                # What looks at meanings gives way to all else, tests beside this one too.
                within_s=60,
            )
            oldest.append(await asyncio.to_thread(backlog_s, killed))
        [ship] = answer.incidents
        assert {c.value for c in ship.incident.languages} == set(SHIP)
        assert ship.incident.people == WHOLE
        assert max(oldest) < 60
        killed.kill()
        with room("dedup", settings, tmp_path) as running:
            target = await asyncio.to_thread(running.target)
            await intake.send(CONTACT_ACCEPTED, [contact(intake, "ar", 5, start, "later")])
            async with calling(target, settings, Role.COORDINATOR) as (stub, token):
                answer = await seen(
                    lambda: stub.ListIncidents(listed, metadata=token),
                    lambda a: [i.incident.cases for i in a.incidents] == [WHOLE + 1],
                )
                assert answer.incidents[0].incident.incident_id == ship.incident.incident_id
                meant = []
                for name in (f"{language}{number}" for language in SHIP for number in range(6)):
                    asked = service_pb2.GetCaseRequest(
                        case=ids.case_id(ids.contact_id("test", name))
                    )
                    case = await stub.GetCase(asked, metadata=token)
                    meant += [link for link in case.linked if link.by_meaning]
    assert meant
    assert all(link.reason.startswith("the texts mean the same (0.") for link in meant)
    log = await incidents_of(settings)
    inputs = [(d.input.topic, d.input.offset) for d in log]
    assert len(inputs) == len(set(inputs))
    assert [d for d in log if d.input.topic == INCIDENT_COMMAND.name and d.change == JOINED]
    # Nothing of a text leaves by the findings or by what the service says of itself.
    said = (
        b"".join(found.value or b"" for found in await records_of(settings, INCIDENT_COMMAND))
        + running.log.read_bytes()
    )
    for text in (one for texts in SHIP.values() for one in texts):
        assert not any(word.encode() in said for word in text.split() if len(word) > 3)
    assert b"Traceback" not in said
    assert b"failed" not in said
