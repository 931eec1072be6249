"""What is typed into a field of a time is told beside it in words that mean one thing only.

A page without a system: the script is the console's own, in a browser that would show 12 hours.
"""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from services.console import static

pytestmark = pytest.mark.browser
BASE = Path(static.__file__).parent / "static" / "base.js"


@pytest.mark.parametrize(
    ("lang", "told", "zone"),
    [
        ("en", "Monday, 23 November 2026 at 03:05", "Gulf Standard Time"),
        ("ar", "الاثنين، 23 نوفمبر 2026 في 03:05", "توقيت الخليج"),
    ],
)
def test_a_typed_time_is_told_in_the_pages_language_and_the_centres_zone(
    lang: str, told: str, zone: str
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        page = browser.new_page(locale="en-US", timezone_id="America/New_York")
        page.set_content(
            f'<html lang="{lang}" data-zone="Asia/Dubai"><input type="datetime-local"></html>'
        )
        page.add_script_tag(path=BASE)
        beside = page.locator("output.understood")
        assert beside.inner_text() == zone
        page.fill("input", "2026-11-23T03:05")
        assert beside.inner_text() == f"{told} · {zone}"
        page.fill("input", "2026-11-23T15:05")
        assert "15:05" in beside.inner_text()
        assert page.locator("output").count() == 1
        browser.close()
