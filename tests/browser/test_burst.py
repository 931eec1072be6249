"""From a burst to a campaign that was sent and recalled, on the whole system: a coordinator takes
its proposal in Arabic, somebody else approves in English (`test_campaigns.py`: the other way)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from playwright.sync_api import Page, expect

from services.console.words import load
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from tests.browser.conftest import People

pytestmark = pytest.mark.browser
PEOPLE = 24
TEXT = "هل تقرر تعليق الدراسة غدا بسبب الأمطار؟"


async def _call(system: System) -> None:
    """Many people ask the same within a moment."""
    bearer = rpc.bearer(token(system.keys, "burst", Role.GATEWAY))
    async with rpc.channel(system.target("intake")) as channel:
        stub: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(channel)
        for number in range(PEOPLE):
            one = service_pb2.Contact(
                source="burst",
                idempotency_key=str(number),
                channel=common_pb2.CHANNEL_SMS,
                agency="education",
                language="ar",
                number=f"+99950{8_000_000 + number}",
                text=TEXT,
                event_ms=now_ms(),
                drill=True,
            )
            request = service_pb2.SubmitContactRequest(contact=one)
            await stub.SubmitContact(request, metadata=bearer, timeout=20)


def test_a_burst_becomes_a_campaign_of_two_people(people: People) -> None:
    expect.set_options(timeout=20_000)
    say = load()["ar"]
    # The browser's own loop runs in this thread.
    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, _call(people.system)).result(60)
    author = people.page(Role.COORDINATOR, "ar")
    _proposed(people, author)
    people.audit(author)
    author.locator("form[action$='/accept'] button").click()
    link = author.get_by_role("link", name=say("Go to its campaign"))
    link.click()
    expect(author.locator(".state")).to_have_text(say("Waits for approval"))
    at = author.url

    # Slower, so that there is something to pause, and with words for a recall.
    author.get_by_role("link", name=say("Change it")).click()
    author.fill("#correction_ar", "تصحيح")
    author.fill("#correction_en", "Correction")
    author.fill("#most_parts_per_second", "3")
    author.get_by_role("button", name=say("Save the draft")).click()
    author.wait_for_url(at)
    author.get_by_role("button", name=say("Rehearse")).click()
    expect(author.locator(".state")).to_have_text(say("Waits for approval"))

    second = people.page(Role.APPROVER, "en")
    second.goto(f"{at}/approve")
    people.audit(second)
    second.locator("form button.main").click()
    expect(author.locator(".state")).to_have_text(say("Approved"))
    _decide(author, at, "start")
    _decide(author, at, "pause", "the hour is wrong")
    expect(author.locator(".state")).to_have_text(say("Paused"))
    _decide(author, at, "resume")
    expect(author.locator(".state")).to_have_text(say("Completed"), timeout=150_000)
    people.audit(author)
    _decide(second, at, "recall", "it was decided otherwise")
    expect(author.locator(".state")).to_have_text(say("Recalled"))
    author.close()
    second.close()


def _proposed(people: People, page: Page) -> None:
    """Waits until the burst is proposed, and opens it."""
    for _ in range(60):
        page.goto(people.url + "/outreach/proposals")
        links = page.locator("tr.fresh th a")
        if links.count():
            links.first.click()
            return
        page.wait_for_timeout(1_000)
    raise AssertionError("nothing is proposed within a minute")


def _decide(page: Page, at: str, deed: str, reason: str = "") -> None:
    """Two clicks: the deed, and that it is meant."""
    page.goto(f"{at}/{deed}")
    assert page.url == f"{at}/{deed}", f"it can't {deed}: {page.locator('.state').text_content()}"
    if page.locator("#reason").count():
        page.fill("#reason", reason or "as planned")
    page.locator("main form button").first.click()
    page.wait_for_url(at)
