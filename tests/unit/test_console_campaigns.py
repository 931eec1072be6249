"""The console's Campaigns pages: from the form to the end of a campaign, by two people."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from markupsafe import escape
from mawja.broadcast.v1 import campaigns_pb2 as pb

from services.broadcast.campaigns import life
from services.runtime.errors import Away, Forbidden
from services.runtime.identity import Role
from tests.console_campaigns_rig import (
    HOSTILE,
    LIST,
    OTHER_LIST,
    SURVEY,
    Console,
    console,
    hidden,
)

FORM = {
    "name": "Shelters",
    "kind": "information",
    "drill": "1",
    "language": "ar",
    "expires": "2099-01-01T10:00",
    "include": [LIST],
    "how": "any",
    "text_ar": "الملجأ {place|الأقرب} مفتوح الآن",
    "text_en": "Shelter {place|near you} is open",
    "correction_ar": "تصحيح: الملجأ مغلق",
    "correction_en": "Correction: it is closed",
    "version": "0",
    "do": "save",
}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Console]:
    async with console(tmp_path) as opened:
        yield opened


def soon(room: Console) -> dict[str, object]:
    """FORM with an end that the rules take."""
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    at = datetime.now(ZoneInfo("Asia/Qatar")) + timedelta(hours=5)
    return {**FORM, "expires": f"{at:%Y-%m-%dT%H:%M}"}


async def made(room: Console, **more: object) -> str:
    """A draft of Amal's: its address."""
    amal = room.browser("amal", Role.COORDINATOR)
    answer = await amal.post("/campaigns/new", {**soon(room), **more})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_from_the_form_to_a_recalled_campaign_by_two_people(room: Console) -> None:
    at = await made(room)
    amal = room.browser("amal", Role.COORDINATOR)
    badr = room.browser("badr", Role.APPROVER)
    page = (await amal.get(at)).text
    assert "الملجأ {place|الأقرب} مفتوح الآن" in page
    assert f'action="{at}/rehearse"' in page
    assert (await amal.post(f"{at}/rehearse")).status_code == 303
    campaign_id = at.rpartition("/")[2]
    room.broadcast.rehearsed(campaign_id)
    page = (await amal.get(at)).text
    assert "somebody else must approve it" in page
    assert f"Where this share is from: <bdi>{escape(SURVEY)}</bdi>" in page
    assert f"{at}/approve" not in page
    asked = (await badr.get(f"{at}/approve")).text
    for shown in ("1,170", "2,050", "61.50", "Residents of the north", "تصحيح: الملجأ مغلق"):
        assert shown in asked
    refused = await amal.post(f"{at}/approve", {"hash": hidden(asked, "hash")})
    assert refused.status_code == 409
    assert "ask somebody else" in refused.text
    done = await badr.post(f"{at}/approve", {"hash": hidden(asked, "hash")})
    assert done.status_code == 303
    assert (await amal.post(f"{at}/start")).status_code == 303
    room.broadcast.buckets = [
        pb.BucketCount(bucket=pb.BUCKET_DELIVERED, recipients=700),
        pb.BucketCount(bucket=pb.BUCKET_UNKNOWN, recipients=20, oldest_ms=1),
        pb.BucketCount(bucket=pb.BUCKET_WAITING, recipients=450),
        pb.BucketCount(bucket=pb.BUCKET_OPTED_OUT, reason="opt-out", recipients=30),
    ]
    page = (await badr.get(f"{at}/pause")).text
    assert "450 wait" in page
    assert (await badr.post(f"{at}/pause", {"reason": "wrong hour"})).status_code == 303
    page = (await amal.get(at)).text
    assert "wrong hour" in page
    assert "1,200" in page
    assert (await amal.post(f"{at}/resume")).status_code == 303
    page = (await badr.get(f"{at}/recall")).text
    assert "720 got the message" in page
    assert "Correction: it is closed" in page
    short = await badr.post(f"{at}/recall", {"reason": "x"})
    assert short.status_code == 422
    assert "Say why" in short.text
    assert (await badr.post(f"{at}/recall", {"reason": "it is closed"})).status_code == 303
    assert room.broadcast.campaigns[campaign_id].state == life.RECALLED


async def test_what_the_form_lacks_is_told_at_its_field(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR)
    wrong = {
        "name": "",
        "expires": "soon",
        "include": [],
        "text_ar": "",
        "text_en": "",
        "held_back": "90",
        "legal_basis": "ae-ncema",
    }
    answer = await amal.post("/campaigns/new", {**FORM, **wrong})
    assert answer.status_code == 422
    for field in ("name", "expires", "audience", "texts", "held_back", "legal_basis"):
        assert f'id="{field}-faults"' in answer.text, field
    assert not room.broadcast.asked


async def test_what_the_service_finds_wrong_is_told_at_its_field(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR, language="ar")
    answer = await amal.post("/campaigns/new", {**soon(room), "text_ar": " ", "text_en": "a } b"})
    assert answer.status_code == 422
    assert 'id="language-faults"' in answer.text
    answer = await amal.post("/campaigns/new", {**soon(room), "text_en": "a } b"})
    assert answer.status_code == 422
    assert 'id="text_en-faults"' in answer.text
    assert "هذا القوس" in answer.text
    assert "a } b" in answer.text
    answer = await amal.post("/campaigns/new", {**soon(room), "expires": "2099-01-01T10:00"})
    assert 'id="expires-faults"' in answer.text


async def test_who_writes_while_another_wrote_is_told(room: Console) -> None:
    at = await made(room)
    amal = room.browser("amal", Role.COORDINATOR)
    huda = room.browser("huda", Role.COORDINATOR)
    page = (await amal.get(f"{at}/edit")).text
    version = hidden(page, "version")
    theirs = await huda.post(f"{at}/edit", {**soon(room), "name": "Theirs", "version": version})
    assert theirs.status_code == 303
    mine = {**soon(room), "name": "Mine", "version": version}
    saved = await amal.post(f"{at}/autosave", mine)
    assert "huda changed it" in saved.text
    answer = await amal.post(f"{at}/edit", mine)
    assert answer.status_code == 409
    assert "huda changed it while you wrote" in answer.text
    assert 'value="Mine"' in answer.text
    again = await amal.post(f"{at}/edit", {**mine, "version": hidden(answer.text, "version")})
    assert again.status_code == 303
    [one] = room.broadcast.campaigns.values()
    assert one.plan.name == "Mine"


async def test_a_draft_is_saved_while_it_is_written_and_gives_the_version_along(
    room: Console,
) -> None:
    at = await made(room)
    amal = room.browser("amal", Role.COORDINATOR)
    first = await amal.post(f"{at}/autosave", {**soon(room), "name": "One", "version": "1"})
    assert "Saved at" in first.text
    assert hidden(first.text, "version") == "2"
    second = await amal.post(f"{at}/autosave", {**soon(room), "name": "Two", "version": "2"})
    assert hidden(second.text, "version") == "3"
    wrong = await amal.post(f"{at}/autosave", {**soon(room), "name": "", "version": "3"})
    assert "Give it a name" in wrong.text
    [one] = room.broadcast.campaigns.values()
    assert one.plan.name == "Two"


async def test_a_form_that_is_sent_twice_makes_one_campaign(room: Console) -> None:
    form = soon(room)
    amal = room.browser("amal", Role.COORDINATOR)
    one, two = await amal.post("/campaigns/new", form), await amal.post("/campaigns/new", form)
    assert one.headers["location"] == two.headers["location"]
    assert len(room.broadcast.campaigns) == 1


async def test_what_got_no_answer_is_sent_again_as_the_same_request(room: Console) -> None:
    at = await made(room)
    amal = room.browser("amal", Role.COORDINATOR)
    page = (await amal.get(f"{at}/cancel")).text
    room.broadcast.fails = Away("Kafka is away")
    sent = {"reason": "not needed", "request_id": hidden(page, "request_id")}
    answer = await amal.post(f"{at}/cancel", sent)
    assert answer.status_code == 409
    assert "does it once only" in answer.text
    assert hidden(answer.text, "request_id") == sent["request_id"]
    assert 'value="not needed"' in answer.text


async def test_a_liaison_sees_their_agency_only_and_writes_nothing(room: Console) -> None:
    at = await made(room, agency="water")
    await made(room, name="Power", agency="power", request_id="r2")
    lina = room.browser("lina", Role.LIAISON, agency="water")
    page = (await lina.get("/campaigns")).text
    assert "Shelters" in page
    assert "Power" not in page
    shown = await lina.get(at)
    assert shown.status_code == 200
    assert "/rehearse" not in shown.text
    assert (await lina.get("/campaigns/new")).status_code == 403
    other = next(one for one in room.broadcast.campaigns.values() if one.plan.agency == "power")
    assert (await lina.get(f"/campaigns/{other.campaign_id}")).status_code == 404
    assert (await lina.get(f"/campaigns/{other.campaign_id}/live")).status_code == 404


@pytest.mark.parametrize("lang", ["ar", "en"])
async def test_hostile_names_and_texts_are_text(room: Console, lang: str) -> None:
    at = await made(
        room, name=HOSTILE, text_en=HOSTILE, correction_en=HOSTILE, include=[OTHER_LIST]
    )
    amal = room.browser("amal", Role.COORDINATOR, language=lang)
    for path in (at, f"{at}/edit", f"{at}/cancel", "/campaigns", "/campaigns/lists"):
        page = await amal.get(path)
        assert page.status_code == 200, path
        assert "<script>alert" not in page.text, path
        assert "<img src=x" not in page.text, path
    found = await amal.post("/campaigns/preview", {"include": [OTHER_LIST]})
    assert "<script" not in found.text


async def test_what_is_chosen_is_counted_and_priced(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR)
    form = {**FORM, "include": [LIST, OTHER_LIST], "how": "all"}
    page = (await amal.post("/campaigns/preview", form)).text
    assert "1,160" in page
    assert "listed twice" in page
    assert 'value="ar:860"' in page
    page = (await amal.post("/campaigns/estimate", {**form, "people": ["ar:860", "en:300"]})).text
    assert "48.00" in page
    assert "61.50" in page
    estimate = room.broadcast.asked[-1]
    assert dict(estimate.people) == {"ar": 860, "en": 300}
    assert estimate.texts[0].template == "الملجأ الأقرب مفتوح الآن"


async def test_the_list_is_filtered_by_state_and_kind(room: Console) -> None:
    await made(room)
    at = await made(room, name="Live one", drill="", request_id="r2")
    amal = room.browser("amal", Role.COORDINATOR)
    del at
    page = (await amal.get("/campaigns?what=drill")).text
    assert "Shelters" in page
    page = (await amal.get("/campaigns?state=running")).text
    assert "Shelters" not in page
    assert "No campaign is like that" in page


async def test_a_drill_says_so_on_every_page_of_it(room: Console) -> None:
    at = await made(room)
    amal = room.browser("amal", Role.COORDINATOR, language="ar")
    for path in (at, f"{at}/cancel"):
        page = (await amal.get(path)).text
        assert "<title>تمرين" in page, path
        assert 'class="drill"' in page, path


async def test_an_agent_looks_and_changes_nothing(room: Console) -> None:
    at = await made(room)
    agent = room.browser("noor", Role.AGENT)
    assert (await agent.get(at)).status_code == 200
    for path in (f"{at}/cancel", f"{at}/edit", "/campaigns/lists/new"):
        assert (await agent.get(path)).status_code == 403, path
    assert (await agent.post(f"{at}/rehearse")).status_code == 403


async def test_what_the_room_forbids_is_said(room: Console) -> None:
    at = await made(room)
    room.broadcast.hides = Forbidden("not for you")
    amal = room.browser("amal", Role.COORDINATOR)
    assert (await amal.get(at)).status_code == 403
