"""Signing in, and what holds for every page, by a real browser on the whole system."""

import pytest

from services.console import rights
from services.runtime.identity import Role
from tests.browser.conftest import LANGUAGES, People, overflows

pytestmark = pytest.mark.browser

PAGES = sorted(
    path
    for (method, path), roles in rights.RIGHTS.items()
    if method == "GET" and roles != rights.ANYBODY and "{" not in path
)
# Streams, files, and parts of pages, which have no head of their own.
OTHERS = frozenset(
    {
        "/wave/live",
        "/outreach/callbacks/queue",
        "/outreach/callbacks/live",
        "/outreach/hand-overs",
        "/report/card",
        "/report/card.csv",
        "/report/card.json",
        "/report/making",
        "/report/paper",
    }
)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_somebody_signs_in_and_out(people: People, lang: str) -> None:
    context = people.context()
    page = context.new_page()
    page.goto(people.url + "/people")
    assert page.url.endswith("/sign-in?next=/people")
    people.sign_in(page, Role.AGENT, lang)
    people.audit(page)
    page.goto(people.url + "/people")
    assert page.locator("html").get_attribute("lang") == lang
    assert page.locator("html").get_attribute("dir") == ("rtl" if lang == "ar" else "ltr")
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert cookies["mawja"]["httpOnly"]
    page.locator("form[action='/sign-out'] button").click()
    page.wait_for_url("**/sign-in")
    page.goto(people.url + "/wave")
    assert "/sign-in" in page.url
    context.close()


def test_a_wrong_password_says_so(people: People) -> None:
    page = people.context().new_page()
    page.goto(people.url + "/sign-in")
    page.fill("#f-user", "agent")
    page.fill("#f-password", "wrong")
    page.locator("button.main").click()
    assert page.get_by_role("alert").count() == 1
    people.audit(page)
    page.context.close()


@pytest.mark.parametrize(("lang", "theme"), [("ar", "dark"), ("en", "light")])
def test_every_page_is_for_everybody(people: People, lang: str, theme: str) -> None:
    page = people.page(Role.COORDINATOR, lang, theme)
    admin = people.page(Role.ADMINISTRATOR, lang, theme)
    for path in PAGES:
        if path in OTHERS:
            continue
        allowed = rights.RIGHTS["GET", path]
        on = page if Role.COORDINATOR in allowed else admin
        answer = on.goto(people.url + path)
        assert answer is not None
        assert answer.status == 200, path
        assert on.locator("h1").count() == 1, path
        people.audit(on)
        # On a telephone nothing stands beside the screen.
        on.set_viewport_size({"width": 390, "height": 800})
        assert not overflows(on), path
        on.set_viewport_size({"width": 1280, "height": 800})
    page.close()
    admin.close()


def test_the_keyboard_reaches_the_content_first(people: People) -> None:
    page = people.page(Role.AGENT)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


def test_nobody_sees_old_pages_after_signing_out(people: People) -> None:
    context = people.context()
    page = context.new_page()
    people.sign_in(page, Role.AGENT, "en")
    page.goto(people.url + "/people")
    page.locator("form[action='/sign-out'] button").click()
    page.wait_for_url("**/sign-in")
    page.go_back()
    assert "/sign-in" in page.url
    context.close()
