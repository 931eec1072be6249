"""The console's pages of outreach and cases, before rooms that a test gives its answers."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mawja.dedup.v1 import events_pb2 as cases
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.outreach.v1 import announcements_pb2, playbooks_pb2, proposals_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2 as callbacks

from services.runtime import ids
from services.runtime.clock import now_ms
from services.runtime.errors import Away, NotInState
from services.runtime.identity import Role
from tests.console_desk_facts import (
    ANNOUNCEMENT,
    CALLBACK,
    CASE,
    CONTACTS,
    HOSTILE,
    INCIDENT,
    NUMBER,
    OTHER,
    PROPOSAL,
    callback,
)
from tests.console_desk_rig import Rooms, pages
from tests.console_rig import Desk

MW = ids.case_number(CASE)
PAGES = (
    "/outreach/proposals",
    f"/outreach/proposals/{PROPOSAL}",
    "/outreach/callbacks",
    "/outreach/playbooks",
    "/outreach/announcements",
    "/cases",
    f"/cases/{MW}",
    "/cases/incidents",
    f"/cases/incidents/{INCIDENT}",
)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Desk, Rooms]]:
    async with pages(tmp_path) as opened:
        yield opened


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found.group(1)


def danger() -> playbooks_pb2.WatchedHandOver:
    return playbooks_pb2.WatchedHandOver(
        case_id=CASE,
        case_number=MW,
        agency="moh",
        line="109",
        hand_over=outreach.HandOver(
            state=outreach.HAND_OVER_STATE_OPEN, since_ms=now_ms() - 60_000, told_to="duty"
        ),
    )


@pytest.mark.parametrize("lang", ["ar", "en"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_shows_hostile_texts_as_texts(
    both: tuple[Desk, Rooms], path: str, lang: str
) -> None:
    on, rooms = both
    rooms.danger = [danger()]
    answer = await on.get(path, Role.COORDINATOR, lang)
    assert answer.status_code == 200, answer.text
    page = answer.text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("<h1") == 1
    assert not re.search(r"<[^>]*\s(style|on[a-z]+|hx-on[^=]*)=", page)
    # A life in danger stands on top of everything, in every page of both areas.
    assert page.index("danger-box") < page.index("<h1")
    named = re.findall(r'\sid="([^"]+)"', page)
    assert len(named) == len(set(named)), sorted(x for x in named if named.count(x) > 1)
    for label in re.findall(r'<label for="([^"]+)"', page):
        assert label in named


async def test_agents_begin_at_the_board_and_are_offered_nothing_else(
    both: tuple[Desk, Rooms],
) -> None:
    on, _ = both
    assert (await on.get("/outreach", Role.AGENT)).headers["location"] == "/outreach/callbacks"
    assert (await on.get("/outreach", Role.AUDITOR)).headers["location"] == "/outreach/proposals"
    page = (await on.get("/outreach/callbacks", Role.AGENT)).text
    assert "/outreach/proposals" not in page
    assert (await on.get("/outreach/proposals", Role.AGENT)).status_code == 403
    seen = (await on.get(f"/outreach/proposals/{PROPOSAL}", Role.AUDITOR)).text
    assert "/accept" not in seen
    assert "/switch" not in (await on.get("/outreach/playbooks", Role.AGENT)).text
    assert "/announcements/set" not in (await on.get("/outreach/announcements", Role.AGENT)).text
    case = (await on.get(f"/cases/{MW}", Role.AUDITOR)).text
    assert "<form" in case
    assert f"/cases/{CASE}/" not in case


async def test_a_callback_from_taking_it_to_its_end(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    page = (await on.get("/outreach/callbacks", Role.AGENT)).text
    assert NUMBER not in page
    assert MW in page
    answer = await on.post("/outreach/callbacks/claim", Role.AGENT, language=["ar", "en"])
    assert answer.headers["location"] == "/outreach/callbacks?did=claimed"
    assert list(rooms.kept(callbacks.ClaimCallbackRequest)[0].languages) == ["ar", "en"]
    page = (await on.get("/outreach/callbacks", Role.AGENT)).text
    assert f'href="tel:{NUMBER}"' in page
    assert "Ask for the age" in page
    assert 'data-zone="Asia/Qatar"' in page
    assert 'data-left="' in page
    form = {"request_id": hidden(page, "request_id"), "outcome": "resolved", "note": "done"}
    answer = await on.post(f"/outreach/callbacks/{CALLBACK}/complete", Role.AGENT, **form)
    assert answer.headers["location"] == "/outreach/callbacks?did=completed"
    [done] = rooms.kept(callbacks.CompleteCallbackRequest)
    assert (done.outcome, done.note) == (outreach.CALLBACK_OUTCOME_RESOLVED, "done")
    assert done.request_id == form["request_id"]
    assert NUMBER not in (await on.get("/outreach/callbacks", Role.AGENT)).text


async def test_an_exercise_is_marked_and_judged(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    rooms.mine = callback(
        state=outreach.CALLBACK_STATE_CLAIMED, drill=True, lease_until_ms=now_ms() + 600_000
    )
    rooms.mine.exercise.says = HOSTILE
    page = (await on.get("/outreach/callbacks?work=practice", Role.AGENT)).text
    assert "Practice: nobody is called" in page
    assert "<title>DRILL" in page
    assert "tel:" not in page
    answer = await on.post(
        f"/outreach/callbacks/{CALLBACK}/complete",
        Role.AGENT,
        outcome="needs-more",
        service="moh/vaccination",
        request_id="1",
    )
    assert "80 of 100" in answer.text
    [done] = rooms.kept(callbacks.CompleteCallbackRequest)
    assert (done.answer.agency, done.answer.topic) == ("moh", "vaccination")


async def test_the_queue_is_asked_for_once_by_however_many_agents(
    both: tuple[Desk, Rooms],
) -> None:
    on, rooms = both
    parts = [await on.get("/outreach/callbacks/queue", Role.AGENT) for _ in range(20)]
    assert all(MW in part.text and "<html" not in part.text for part in parts)
    assert len(rooms.kept(callbacks.ListCallbacksRequest)) <= 3


async def test_a_hand_over_is_confirmed_by_whoever_has_it(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    rooms.danger = [danger()]
    assert "I have it" not in (await on.get("/outreach/hand-overs", Role.AUDITOR)).text
    assert "I have it" in (await on.get("/outreach/hand-overs", Role.AGENT)).text
    path = f"/outreach/hand-overs/{CASE}/confirm"
    answer = await on.post(path, Role.AGENT, request_id="1")
    assert answer.headers["location"] == f"/cases/{MW}?did=confirmed"
    assert "danger-box" not in (await on.get("/outreach/hand-overs", Role.AGENT)).text


async def test_a_proposal_is_accepted_as_it_was_seen_and_may_play_on_lines(
    both: tuple[Desk, Rooms],
) -> None:
    on, rooms = both
    page = (await on.get(f"/outreach/proposals/{PROPOSAL}", Role.COORDINATOR)).text
    for shown in ("290", "42", "Vaccination", "12.5", "QAR", "المدارس مغلقة غداً", "Urdu"):
        assert shown in page
    path = f"/outreach/proposals/{PROPOSAL}/accept"
    form = {"request_id": "1", "revision": hidden(page, "revision"), "lines": "109, 112 109"}
    answer = await on.post(path, Role.COORDINATOR, minutes="30", **form)
    assert answer.status_code == 303
    [asked] = rooms.kept(proposals_pb2.AcceptProposalRequest)
    assert (asked.revision, list(asked.announce.lines)) == (3, ["109", "112"])
    assert asked.announce.lasts_ms == 30 * 60_000
    page = (await on.get(answer.headers["location"], Role.COORDINATOR)).text
    assert "/accept" not in page
    # Broadcast makes the draft a moment later: a link would lead to nothing until then.
    link = f'href="/campaigns/{rooms.proposal.campaign_id}"'
    assert link not in page
    assert "being made" in page
    rooms.drafted = True
    page = (await on.get(answer.headers["location"], Role.COORDINATOR)).text
    assert link in page
    assert "being made" not in page


async def test_an_edit_says_all_texts_and_narrows_the_audience(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    form = {"text-ar": "نص", "text-en": "Text", "place": "Jahra", "name": "New", "request_id": "1"}
    await on.post(f"/outreach/proposals/{PROPOSAL}/edit", Role.COORDINATOR, **form)
    [asked] = rooms.kept(proposals_pb2.EditProposalRequest)
    assert [(t.language, t.template) for t in asked.edit.texts] == [("ar", "نص"), ("en", "Text")]
    callers = asked.edit.audience.callers
    assert (callers.topic, callers.place) == ("vaccination", "Jahra")


async def test_what_a_room_refuses_is_said_on_the_page(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    rooms.fails = NotInState("somebody changed it meanwhile: look at it again")
    path = f"/outreach/proposals/{PROPOSAL}/accept"
    answer = await on.post(path, Role.COORDINATOR, request_id="1")
    assert answer.status_code == 409
    assert "somebody changed it meanwhile" in answer.text
    rooms.fails = Away("Kafka does not answer")
    assert (await on.get("/cases", Role.AGENT)).status_code == 503


async def test_a_playbook_is_switched_with_a_reason(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    path = "/outreach/playbooks/acknowledge/switch"
    assert (await on.post(path, Role.AGENT, on="no", reason="wrong")).status_code == 403
    form = {"on": "no", "reason": "wrong text", "request_id": "1"}
    answer = await on.post(path, Role.COORDINATOR, **form)
    [asked] = rooms.kept(playbooks_pb2.SwitchPlaybookRequest)
    assert (asked.playbook, asked.on, asked.reason) == ("acknowledge", False, "wrong text")
    page = (await on.get(answer.headers["location"], Role.AGENT)).text
    assert "Switched off by" in page
    assert "wrong text" in page


async def test_a_line_is_given_a_text_in_two_languages(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    form = {"lines": "109 112", "text-ar": "نص", "text-en": "Text", "minutes": "60"}
    await on.post("/outreach/announcements/set", Role.COORDINATOR, request_id="1", **form)
    [asked] = rooms.kept(announcements_pb2.SetAnnouncementRequest)
    assert list(asked.lines) == ["109", "112"]
    assert [text.language for text in asked.texts] == ["ar", "en"]
    assert 0 < asked.until_ms - now_ms() <= 60 * 60_000
    assert not asked.drill
    shown = (await on.get("/outreach/announcements", Role.APPROVER)).text
    assert f"/outreach/announcements/{ANNOUNCEMENT}/end" in shown
    heard = (await on.get("/outreach/announcements", Role.COORDINATOR, "ar")).text
    assert "قاعدة العمل busy-line@2" in heard


@pytest.mark.parametrize("typed", [MW, MW.lower(), MW.replace("-", " "), f" {MW[3:]} "])
async def test_a_case_is_found_by_its_number(both: tuple[Desk, Rooms], typed: str) -> None:
    on, _ = both
    answer = await on.post("/cases/find", Role.AGENT, find=typed)
    assert answer.headers["location"] == f"/cases/{MW}"


@pytest.mark.parametrize("typed", [NUMBER, "0097150123456", "+971 50-123 (456)", "+٩٧١٥٠١٢٣٤٥٦"])
async def test_a_person_is_found_by_the_whole_number_which_is_then_shown_masked(
    both: tuple[Desk, Rooms], typed: str
) -> None:
    on, rooms = both
    answer = await on.post("/cases/find", Role.AGENT, find=typed)
    assert answer.status_code == 200
    assert MW in answer.text
    assert NUMBER not in answer.text
    assert NUMBER[1:] not in answer.text
    [asked] = rooms.kept(dedup.FindCasesRequest)
    assert asked.number == NUMBER


@pytest.mark.parametrize("typed", ["", "0501", "MW-AAAAA-AAAAA", "+97", "%", HOSTILE])
async def test_what_is_neither_is_not_looked_for(both: tuple[Desk, Rooms], typed: str) -> None:
    on, rooms = both
    answer = await on.post("/cases/find", Role.AGENT, find=typed)
    assert answer.headers["location"] == "/cases?did=mistyped"
    assert not rooms.kept(dedup.FindCasesRequest)


async def test_the_story_goes_across_ways_and_says_why(both: tuple[Desk, Rooms]) -> None:
    on, _ = both
    page = (await on.get(f"/cases/{MW}", Role.AGENT)).text
    assert "Opened again" in page
    assert "+971•••••56" in page
    assert "same number, same topic, 4 min later" in page
    assert "95% sure" in page
    assert "Delivered" in page
    assert "Called back: nobody answered" in page
    assert "Ask for the age" in page
    at = [page.index(f'<li class="{kind}">') for kind in ("note", "contact", "tried", "message")]
    assert at == sorted(at)
    arabic = (await on.get(f"/cases/{MW}", Role.AGENT, "ar")).text
    assert "المكان نفسه (الجهراء)" in arabic
    assert "Jahra" not in arabic
    assert ids.case_number(OTHER) in arabic
    assert "اسأل عن العمر" in arabic
    assert "same number" not in arabic
    assert "they came by" not in arabic


@pytest.mark.parametrize(
    ("confidence", "unsure", "told", "arabic"),
    [
        (1.0, False, "<dd>Vaccination <", "بثقة 99%؛ لم يؤكّده أحد بعد"),
        (0.31, True, "<dd>perhaps Vaccination <", "ربما"),
        # A life in danger makes no service surer.
        (0.31, False, "<dd>perhaps Vaccination <", "ربما"),
    ],
)
async def test_a_guessed_service_is_named_as_what_it_is(
    both: tuple[Desk, Rooms], confidence: float, unsure: bool, told: str, arabic: str
) -> None:
    on, rooms = both
    rooms.case.topic = ""
    rooms.case.triage.CopyFrom(
        cases.Triage(agency="moh", topic="vaccination", topic_confidence=confidence, unsure=unsure)
    )
    page = (await on.get(f"/cases/{MW}", Role.AGENT)).text
    assert told in page
    sure = f"{min(confidence, 0.99):.0%}"
    assert f"(going by the words, {sure} sure; nobody has confirmed it)" in page
    assert "100%" not in page
    assert arabic in (await on.get(f"/cases/{MW}", Role.AGENT, "ar")).text


async def test_another_agencys_case_does_not_exist_for_a_liaison(
    both: tuple[Desk, Rooms],
) -> None:
    on, _ = both
    answer = await on.get(f"/cases/{MW}", Role.LIAISON)
    assert answer.status_code == 404
    assert "Vaccination" not in answer.text


async def test_contacts_are_split_off_and_cases_merged(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    form: dict[str, Any] = {"reason": "another child", "request_id": "1"}
    answer = await on.post(f"/cases/{CASE}/split", Role.AGENT, contact=CONTACTS[1:], **form)
    assert answer.headers["location"] == f"/cases/{MW}?did=split"
    [asked] = rooms.kept(dedup.SplitCaseRequest)
    assert list(asked.contact_ids) == CONTACTS[1:]
    other = ids.case_number(OTHER)
    answer = await on.post(f"/cases/{CASE}/merge", Role.AGENT, into=other, **form)
    assert answer.headers["location"] == f"/cases/{other}?did=merged"
    [merged] = rooms.kept(dedup.MergeCasesRequest)
    assert (merged.case_id, merged.into) == (CASE, OTHER)


async def test_a_case_that_was_merged_offers_to_part_it(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    rooms.case.state = cases.CASE_STATE_MERGED
    rooms.case.merged_into.case_number = ids.case_number(OTHER)
    rooms.case.merged_into.across = True
    page = (await on.get(f"/cases/{MW}", Role.AGENT)).text
    assert f'action="/cases/{CASE}/split"' in page
    assert f'action="/cases/{CASE}/resolve"' not in page


async def test_a_number_is_told_for_a_reason_and_kept_nowhere(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    path = f"/cases/{CASE}/reveal"
    form = {"reason": "the ambulance has to call", "request_id": "1"}
    assert (await on.post(path, Role.AUDITOR, **form)).status_code == 403
    answer = await on.post(path, Role.AGENT, **form)
    assert NUMBER in answer.text
    assert answer.headers["cache-control"] == "no-store"
    [asked] = rooms.kept(dedup.RevealPersonRequest)
    assert asked.reason == "the ambulance has to call"
    refused = await on.post(path, Role.AGENT, reason="short", request_id="2")
    assert refused.status_code == 422
    assert NUMBER not in refused.text


async def test_a_case_is_taken_out_of_its_incident(both: tuple[Desk, Rooms]) -> None:
    on, rooms = both
    form = {"incident": INCIDENT, "reason": "another street", "request_id": "1"}
    assert (await on.post(f"/cases/{CASE}/unlink", Role.AGENT, **form)).status_code == 303
    [asked] = rooms.kept(dedup.UnlinkRequest)
    assert asked.incident_id == INCIDENT
