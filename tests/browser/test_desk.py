"""A case from the call that nobody answered to its story put right, by an agent and a coordinator,
in Arabic and in English, on the whole system."""

import asyncio
import contextlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc
from playwright.sync_api import Page, expect

from services.local.system import token
from services.runtime import clock, ids, rpc
from services.runtime.identity import Role
from tests.browser.conftest import LANGUAGES, People

pytestmark = pytest.mark.browser
SOURCE = "desk/browser"
HOSTILE = "<img src=x onerror=alert(1)> تسرب مياه"


def calls(people: People, number: str) -> str:
    """Somebody calls and hangs up before an agent answers, then writes; the case number."""
    key = uuid.uuid4().hex

    async def reach() -> str:
        metadata = rpc.bearer(token(people.system.keys, "desk", Role.GATEWAY))
        async with rpc.channel(people.system.target("intake")) as channel:
            stub: Any = service_pb2_grpc.IntakeServiceStub(channel)
            first = await stub.SubmitContact(contact(key, common_pb2.CHANNEL_VOICE), **on(metadata))
            hung_up = service_pb2.ReportCallsRequest(
                sequence=1,
                calls=[
                    service_pb2.ReportedCall(
                        source=SOURCE,
                        contact_key=key,
                        number=number,
                        state=events_pb2.CALL_STATE_ABANDONED,
                        event_ms=clock.now_ms(),
                        queue_wait_ms=60_000,
                        drill=True,
                    )
                ],
            )
            reported = stub.ReportCalls(iter([hung_up]), metadata=metadata, timeout=20)
            answer = await reported.read()
            assert answer.accepted == 1, answer
            written = contact(key + "-sms", common_pb2.CHANNEL_SMS, text=HOSTILE)
            await stub.SubmitContact(written, **on(metadata))
            return ids.case_number(ids.case_id(first.contact_id))

    def contact(name: str, channel: Any, **given: Any) -> service_pb2.SubmitContactRequest:
        return service_pb2.SubmitContactRequest(
            contact=service_pb2.Contact(
                source=SOURCE,
                idempotency_key=name,
                channel=channel,
                line="109",
                agency="municipality",
                language="ar",
                number=number,
                event_ms=clock.now_ms(),
                drill=True,
                **given,
            )
        )

    def on(metadata: Any) -> dict[str, Any]:
        return {"metadata": metadata, "timeout": 20}

    # Playwright has this thread's loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(reach())).result(60)


def appears(page: Page, path: str, text: str) -> None:
    """Waits until a page shows what a room has just been told."""
    for _ in range(60):
        with contextlib.suppress(AssertionError):
            page.goto(path)
            expect(page.locator("main")).to_contain_text(text, timeout=500)
            return
    raise AssertionError(f"{path} does not show {text}")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_call_is_made_back_and_its_case_found_split_and_resolved(
    people: People, lang: str
) -> None:
    number = f"+99950{7_000_000 + LANGUAGES.index(lang)}"
    case = calls(people, number)
    board = people.url + "/outreach/callbacks?work=drill"
    agent = people.page(Role.AGENT, lang)
    appears(agent, board, case)
    people.audit(agent)
    assert number not in agent.content()
    # By the keyboard alone.
    agent.locator("form.claim button").focus()
    agent.keyboard.press("Enter")
    expect(agent.locator(".phone")).to_contain_text(number)
    people.audit(agent)
    agent.fill("#f-note", HOSTILE)
    agent.locator("button[value=needs-more]").click()
    expect(agent.get_by_role("status").first).to_be_visible()
    assert number not in agent.content()
    agent.close()

    page = people.page(Role.COORDINATOR, lang)
    page.goto(people.url + "/cases")
    page.fill("#f-find", number)
    page.keyboard.press("Enter")
    expect(page.locator("tbody")).to_contain_text(case)
    assert number not in page.url + page.content()
    page.get_by_role("link", name=case).click()
    expect(page.locator("h1")).to_contain_text(case)
    expect(page.locator(".story .contact")).to_have_count(2)
    expect(page.locator(".story .called")).to_have_count(1)
    people.audit(page)

    said = page.locator(".story details", has=page.locator("form[action$='/words']")).first
    said.locator("summary").click()
    said.locator("input[name=reason]").fill("to know where it leaks")
    said.locator("button").click()
    expect(page.locator(".said")).to_have_text(HOSTILE)
    # By its own first letter that has a direction, in both languages of the page.
    assert page.locator(".said").evaluate("it => getComputedStyle(it).direction") == "ltr"
    assert HOSTILE not in page.url
    people.audit(page)
    page.locator("main a.button").click()

    split = page.locator("details", has=page.locator("form[action$='/split']")).last
    split.locator("summary").click()
    split.locator("input[type=checkbox]").last.check()
    split.locator("input[name=reason]").fill(HOSTILE)
    split.locator("button").click()
    expect(page.locator(".story .split")).to_have_count(1)
    expect(page.locator(".story .contact")).to_have_count(1)
    expect(page.locator(".story")).to_contain_text(HOSTILE)
    page.locator("form[action$='/resolve'] button").click()
    expect(page.locator(".story .resolved")).to_have_count(1)
    people.audit(page)
    page.close()


def test_the_board_hears_of_who_comes_and_goes_without_being_asked(people: People) -> None:
    board = people.url + "/outreach/callbacks?work=drill"
    looks = people.page(Role.AUDITOR, "en")
    asked: list[str] = []
    looks.on("request", lambda request: asked.append(request.url))
    looks.goto(board)
    case = calls(people, "+999507000009")
    queue = looks.locator("#queue")
    expect(queue).to_contain_text(case, timeout=30_000)
    assert not [url for url in asked if "/callbacks/queue" in url]
    agent = people.page(Role.AGENT, "en")
    agent.goto(board)
    agent.locator("form.claim button").click()
    expect(agent.locator(".phone")).to_be_visible()
    expect(queue).not_to_contain_text(case, timeout=30_000)
    agent.get_by_role("button", name="Nobody answered").click()
    agent.close()
    looks.close()


def test_a_playbook_is_switched_off_and_on(people: People) -> None:
    page = people.page(Role.COORDINATOR)
    for off in (True, False):
        page.goto(people.url + "/outreach/playbooks")
        row = page.locator("li.card", has_text="busy-line@")
        row.locator("summary").last.click()
        row.locator("input[name=reason]").fill("the words are being mended")
        row.locator("form button").click()
        expect(page.get_by_role("status").first).to_be_visible()
        row = page.locator("li.card", has_text="busy-line@")
        expect(row.locator(".tag").first).to_have_text("Off" if off else "On")
        expect(row).to_contain_text("the words are being mended")
    people.audit(page)
    page.close()


def test_a_line_is_given_words_until_they_are_ended(people: People) -> None:
    page = people.page(Role.COORDINATOR, "ar")
    page.goto(people.url + "/outreach/announcements")
    page.fill("#f-lines", "199")
    page.fill("#f-text-ar", "الخطوط مشغولة")
    page.fill("#f-text-en", HOSTILE)
    page.check("input[name=drill]")
    page.locator("form[action$='/set'] button").click()
    row = page.locator("li.card", has_text="199")
    expect(row).to_contain_text(HOSTILE)
    people.audit(page)
    row.locator("form button").click()
    expect(page.locator("li.card", has_text="199")).to_have_count(0)
    page.close()
