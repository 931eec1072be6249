"""What people said, as a case's page tells it: for a reason, as words, and honestly when gone."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from markupsafe import escape
from mawja.intake.v1 import service_pb2 as intake

from services.console.pages import case_words, cases
from services.runtime import ids
from services.runtime.errors import Away, NotFound, NotInState
from services.runtime.identity import Role
from tests.console_desk_facts import CASE, CONTACTS, HOSTILE
from tests.console_desk_rig import Rooms, pages
from tests.console_rig import Desk

MW = ids.case_number(CASE)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Desk, Rooms]]:
    async with pages(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("lang", ["ar", "en"])
async def test_what_was_said_is_told_for_a_reason_and_hostile_words_as_words(
    both: tuple[Desk, Rooms], lang: str
) -> None:
    on, rooms = both
    path = f"/cases/{CASE}/words"
    form = {"reason": "to know where it burns", "request_id": "1"}
    case = (await on.get(f"/cases/{MW}", Role.AGENT, lang)).text
    assert case.count(f'action="{path}"') == 1 + len(CONTACTS)
    assert (await on.post(path, Role.LIAISON, **form)).status_code == 403
    assert not rooms.kept(intake.RevealContactRequest)
    answer = await on.post(path, Role.AGENT, lang, **form)
    assert answer.headers["cache-control"] == "no-store"
    asked = rooms.kept(intake.RevealContactRequest)
    assert [one.contact_id for one in asked] == CONTACTS
    assert {one.reason for one in asked} == {"to know where it burns"}
    page = answer.text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count(str(escape(HOSTILE))) == 2
    written = re.findall(r'<p class="said" dir="auto">([^<]*)</p>', page)
    assert [text.partition("\n")[0] for text in written] == ["second line", "لا ماء منذ … الصباح"]
    missing = "لم تصل أجزاء" if lang == "ar" else "Parts of this message did not come"
    nothing = "لم تُدوَّن" if lang == "ar" else "No words were taken down"
    assert (page.count(missing), page.count(nothing)) == (1, 1)
    refused = await on.post(path, Role.AGENT, reason="short", request_id="2")
    assert refused.status_code == 422
    assert "الصباح" not in refused.text


async def test_words_that_are_gone_are_told_as_what_they_are(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    path = f"/cases/{CASE}/words"
    form = {"reason": "to know where it burns", "request_id": "1"}
    rooms.said = [NotFound("none"), NotInState("erased"), rooms.said[2]]
    page = (await on.post(path, Role.COORDINATOR, **form)).text
    assert page.count("kept for seven days") == page.count("were erased") == 1
    assert page.count('class="said"') == 1
    # Of one contact alone; and of none that is another case's.
    rooms.asked.clear()
    page = (await on.post(path, Role.COORDINATOR, contact=CONTACTS[1], **form)).text
    assert "were erased" in page
    assert "kept for seven days" not in page
    page = (await on.post(path, Role.COORDINATOR, contact=ids.contact_id("x", "y"), **form)).text
    assert "not in the case" in page
    assert len(rooms.kept(intake.RevealContactRequest)) == 1


async def test_what_one_intake_could_not_tell_hides_nothing_of_the_others(
    both: tuple[Desk, Rooms],
) -> None:
    on, rooms = both
    path = f"/cases/{CASE}/words"
    form = {"reason": "to know where it burns", "request_id": "1"}
    rooms.said[0] = Away("Kafka is away")
    page = (await on.post(path, Role.COORDINATOR, **form)).text
    assert page.count('class="said"') == 2
    assert page.count("could not be asked for now") == 1
    form["contact"] = CONTACTS[0]
    assert (await on.post(path, Role.COORDINATOR, **form)).status_code == 503


async def test_contacts_that_are_not_shown_are_said_to_be_there(
    both: tuple[Desk, Rooms], monkeypatch: pytest.MonkeyPatch
) -> None:
    on, rooms = both
    for module in (cases, case_words):
        monkeypatch.setattr(module, "MOST_WORDS", 2)
    case = (await on.get(f"/cases/{MW}", Role.AGENT, "en")).text
    assert "Show what was said in the latest 2 contacts" in case
    form = {"reason": "to know where it burns", "request_id": "1"}
    page = (await on.post(f"/cases/{CASE}/words", Role.AGENT, **form)).text
    assert [one.contact_id for one in rooms.kept(intake.RevealContactRequest)] == CONTACTS[1:]
    assert "1 earlier contact is not shown here" in page
