"""A campaign's whole life by two people, in a browser on the whole system: a file of people, texts
side by side, a rehearsal, somebody else's approval, sending, a pause, the end, and its recall."""

import re

import pytest
from playwright.sync_api import Page, expect

from services.runtime.identity import Role
from tests.browser.conftest import People

pytestmark = pytest.mark.browser

NAME = "Shelters <script>alert(1)</script> ملاجئ"
ROWS = "mobile,language,place\n" + "".join(
    f"+99955123{number:04},{'ar' if number % 2 else 'en'},Jahra\n" for number in range(12)
)


def test_from_a_file_to_a_recalled_campaign(people: People) -> None:
    expect.set_options(timeout=20_000)
    author = people.page(Role.COORDINATOR, "en")
    _brings_a_file(people, author)
    at = _writes_it(people, author)
    author.get_by_role("button", name="Rehearse").click()
    # The page follows by itself: nobody loads it anew.
    expect(author.locator(".state")).to_have_text("Waits for approval")
    expect(author.get_by_text("somebody else must approve it")).to_be_visible()
    expect(author.get_by_role("link", name="Approve")).to_have_count(0)
    people.audit(author)
    second = people.page(Role.APPROVER, "ar")
    _approves_it(people, second, at)
    expect(author.locator(".state")).to_have_text("Approved")
    _decides(author, "Start")
    expect(author.locator(".state")).to_have_text("Running")
    delivered = author.locator("#progress tr", has_text="Delivered").locator("td").first
    expect(delivered).not_to_have_text("0")
    _decides(author, "Pause", "wrong hour")
    expect(author.locator(".state")).to_have_text("Paused")
    expect(second.locator(".state")).to_have_text("موقوفة مؤقتاً")
    expect(second.get_by_text("wrong hour")).to_be_visible()
    people.audit(second)
    _decides(author, "Resume")
    expect(author.locator(".state")).to_have_text("Completed")
    # Every row is somewhere, the one that can't be read too.
    expect(author.locator("#progress tfoot td").first).to_have_text("13")
    expect(delivered).to_have_text("12")
    people.audit(author)
    author.goto(f"{at}/recall")
    expect(author.get_by_text("12 got the message or may have")).to_be_visible()
    people.audit(author)
    author.fill("#reason", "the shelter is closed")
    author.get_by_role("button", name="Recall", exact=True).click()
    expect(author.locator(".state")).to_have_text("Recalled")
    expect(author.get_by_text("Where the correction is")).to_be_visible()


def _brings_a_file(people: People, page: Page) -> None:
    page.goto(people.url + "/campaigns/lists/new")
    file = {"name": "people.csv", "mimeType": "text/csv", "buffer": (ROWS + "12\n").encode()}
    page.set_input_files("#upload-file", file)  # type: ignore[arg-type]
    page.fill("#upload-country", "AE")
    page.get_by_role("button", name="Bring it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The file is taken")
    expect(page.locator("tbody tr")).to_contain_text("14")
    people.audit(page)
    page.get_by_role("link", name="Campaign for these people").click()


def _writes_it(people: People, page: Page) -> str:
    """Saves the draft; gives its address."""
    expect(page.locator("#counted")).to_contain_text("12 people")
    page.fill("#name", NAME)
    page.fill("#text_ar", "الملجأ {place|الأقرب} مفتوح")
    page.fill("#text_en", "Shelter {place|near you} is open")
    expect(page.locator("[data-count=text_en]")).to_contain_text("about 1 · GSM-7")
    expect(page.locator("[data-count=text_ar]")).to_contain_text("UCS-2")
    expect(page.locator("[data-preview=text_en]")).to_have_text("DRILL: Shelter near you is open")
    # The local carriers have no price.
    expect(page.locator("#cost")).to_contain_text("no price is known")
    page.get_by_role("button", name="Save the draft").click()
    # Without a correction nobody could recall it: said on its page.
    expect(page.get_by_text("It has no correction")).to_be_visible()
    at = page.url
    page.get_by_role("link", name="Change it").click()
    page.fill("#correction_ar", "تصحيح: الملجأ مغلق")
    page.fill("#correction_en", "Correction: the shelter is closed")
    page.fill("#most_parts_per_second", "3")
    # It saves itself while somebody writes.
    expect(page.locator("#saved")).to_contain_text("Saved at")
    people.audit(page)
    page.get_by_role("button", name="Save the draft").click()
    page.wait_for_url(at)
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    return at


def _approves_it(people: People, page: Page, at: str) -> None:
    page.goto(people.url + "/campaigns")
    people.audit(page)
    page.get_by_role("link", name=NAME).first.click()
    page.get_by_role("link", name=re.compile("اعتماد")).click()
    expect(page.get_by_text("تصحيح: الملجأ مغلق")).to_be_visible()
    people.audit(page)
    page.get_by_role("button", name="اعتماد").click()
    page.wait_for_url(at)
    expect(page.locator(".state")).to_have_text("معتمدة")


def _decides(page: Page, deed: str, reason: str = "") -> None:
    """Two clicks: the deed, and that it is meant."""
    page.get_by_role("link", name=f"{deed}…").click()
    if reason:
        page.fill("#reason", reason)
    page.get_by_role("button", name=deed, exact=True).click()
