"""What is typed into a field of a time is told beside it in words that mean one thing only.

A page of its own with the console's script, in a browser that would show 12 hours.
"""

from pathlib import Path

import pytest

from services.console import static
from tests.browser.conftest import People

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
    people: People, lang: str, told: str, zone: str
) -> None:
    page = people.browser.new_page(locale="en-US", timezone_id="America/New_York")
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
    page.close()
