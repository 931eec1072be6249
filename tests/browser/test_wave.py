"""The wave moves while one looks, says when it no longer does, and becomes a report."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from playwright.sync_api import expect

from services.local.system import CONSOLE, System, token
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.tools.bench.contacts import SOURCE, contacts
from tests.browser.conftest import People, overflows

pytestmark = pytest.mark.browser
_LIVE_MS = 30_000


async def _came(system: System, count: int) -> None:
    bearer = rpc.bearer(token(system.keys, SOURCE, Role.LOAD_TESTER))
    async with rpc.channel(system.target("intake")) as channel:
        stub: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(channel)
        for one in islice(contacts(), count):
            one.event_ms = now_ms()
            request = service_pb2.SubmitContactRequest(contact=one)
            await stub.SubmitContact(request, metadata=bearer, timeout=20)


def test_the_wave_moves_while_one_looks_also_on_a_wall_and_a_phone(people: People) -> None:
    page = people.page(Role.COORDINATOR, "ar")
    wall = people.page(Role.COORDINATOR, "ar")
    page.goto(people.url + "/wave?drill=1")
    wall.goto(people.url + "/wall?drill=1")
    assert page.title().startswith("تمرين")
    last = "section.now .tile:last-child strong"
    before = int(page.locator(last).inner_text().replace(",", ""))
    # The browser's own loop runs in this thread.
    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, _came(people.system, 30)).result(60)
    for one in (page, wall):
        # No reload: what came shows by itself.
        expect(one.locator(last)).to_have_text(f"{before + 30:,}", timeout=_LIVE_MS)
        people.audit(one)
    assert wall.locator("button, form, input").count() == 0
    expect(page.locator("#wave-chart canvas")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert not overflows(page)
    page.close()
    wall.close()


def test_a_page_says_that_it_is_old_and_recovers_by_itself(people: People) -> None:
    page = people.page(Role.AGENT)
    never = people.page(Role.AGENT, device="abroad", timezone_id="America/New_York")
    # Its stream is never answered: it has not heard a thing beyond itself.
    never.route("**/wave/live*", lambda route: None)
    never.reload()
    expect(page.locator("section.health .good-text")).to_be_visible(timeout=_LIVE_MS)
    (console,) = [one.process.pid for one in people.system.running if one.room == CONSOLE]
    os.kill(console, signal.SIGSTOP)
    try:
        expect(page.locator("#age")).to_be_visible(timeout=_LIVE_MS)
        expect(page.locator("html")).to_have_class("stale")
    finally:
        os.kill(console, signal.SIGCONT)
    expect(page.locator("#age")).to_be_hidden(timeout=_LIVE_MS)
    expect(never.locator("#age")).to_be_visible(timeout=_LIVE_MS)
    # It says when by the centre's clock, wherever the screen hangs.
    told = never.locator("html")
    made_s = int(told.get_attribute("data-now") or 0) / 1000
    zone = ZoneInfo(told.get_attribute("data-zone") or "")
    expect(never.locator("#age")).to_contain_text(
        f"{datetime.fromtimestamp(made_s, zone):%H:%M:%S}"
    )
    page.close()
    never.close()


def test_whose_session_ended_is_led_to_the_door_and_not_told_of_a_lost_connection(
    people: People,
) -> None:
    wall = people.page(Role.AUDITOR, device="leaving")
    wall.goto(people.url + "/wall")
    expect(wall.locator("section.health .good-text")).to_be_visible(timeout=_LIVE_MS)
    other = people.page(Role.AUDITOR, device="leaving")
    other.locator("form[action='/sign-out'] button").click()
    expect(wall).to_have_url(people.url + "/sign-in?next=%2Fwall", timeout=_LIVE_MS)
    wall.close()
    other.close()


@pytest.mark.parametrize("lang", ["ar", "en"])
def test_a_scorecard_and_a_report_are_read(people: People, lang: str) -> None:
    page = people.page(Role.AUDITOR, lang)
    page.goto(people.url + "/report?span=4h&by=agency&drill=1")
    expect(page.locator("#card table tbody tr").first).to_be_visible(timeout=_LIVE_MS)
    people.audit(page)
    page.locator("#f-name").fill("<b>Flood</b>")
    page.locator("form[action='/report/surge'] button").click()
    expect(page.locator("h1 bdi")).to_have_text("<b>Flood</b>")
    read = page.locator(f"a.main[href$='language={lang}']")
    expect(read).to_be_visible(timeout=_LIVE_MS)
    people.audit(page)
    read.click()
    expect(page.locator("p.name")).to_contain_text("<b>Flood</b>")
    assert page.locator("html").get_attribute("lang") == lang
    page.close()
