"""One whole system with its console for all browser tests, and a browser for each role.

    def test_x(people: People) -> None:
        page = people.page(Role.COORDINATOR, "ar")      # signed in, at the wave
        page.goto(people.url + "/cases")
        people.audit(page)                              # axe: 0 violations

What happens in a browser beside the test is held too: no page may ask another host, tell an error
to its console or break its content security policy.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from services.local.parts import Parts
from services.local.progress import Silent
from services.local.system import System
from services.runtime.errors import ConfigError
from services.runtime.identity import Role
from services.tools.local import console_url, make_parts, make_system, make_users
from tests.browser.install import axe

LANGUAGES = ("ar", "en")
_WIDE = {"width": 1280, "height": 800}


def overflows(page: Page) -> bool:
    """Whether a page is wider than its screen."""
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return bool(page.evaluate(wider))


@dataclass(slots=True)
class People:
    """Everybody who may sign in at the console of `system`. `url` has no slash at its end."""

    url: str
    system: System
    parts: Parts
    passwords: dict[str, str]
    browser: Browser
    axe: str
    wrong: list[str] = field(default_factory=list)
    """What pages did that they may not."""
    _contexts: dict[tuple[Role, str, str, str], BrowserContext] = field(default_factory=dict)

    def context(self, **options: Any) -> BrowserContext:
        """A browser of its own, with nobody signed in, that is watched."""
        context = self.browser.new_context(**{"viewport": _WIDE, **options})
        context.set_default_timeout(15_000)
        context.on("request", lambda request: self._own(request.url))
        context.on("console", lambda said: self._said(said.type, said.text))
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        return context

    def page(
        self, role: Role, lang: str = "en", theme: str = "light", device: str = "", **options: Any
    ) -> Page:
        """A new page of somebody with `role` who is signed in. `device` keeps apart two people of
        one role, and those who need other `options` of a context."""
        key = (role, lang, theme, device)
        if key not in self._contexts:
            context = self._contexts[key] = self.context(**options)
            page = context.new_page()
            self.sign_in(page, role, lang)
            if theme == "dark":
                page.locator("button[name=theme][value=dark]").click()
            page.close()
        page = self._contexts[key].new_page()
        page.goto(self.url + "/wave")
        return page

    def sign_in(self, page: Page, role: Role, lang: str) -> None:
        """Signs in on `page`."""
        self.at_the_door(page, lang)
        page.fill("#f-user", role.value)
        page.fill("#f-password", self.passwords[role.value])
        page.locator("button.main").click()
        page.wait_for_url("**/wave")

    def at_the_door(self, page: Page, lang: str) -> None:
        """Where one signs in, nobody being signed in."""
        page.goto(self.url + "/sign-in")
        if page.locator("html").get_attribute("lang") != lang:
            page.locator("button[name=language]").click()

    def audit(self, page: Page) -> None:
        """Fails with what axe finds on `page` (WCAG 2.2 AA and best practices)."""
        page.evaluate(self.axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        said = [
            f"{one['id']}: {one['help']}: " + "; ".join(node["html"] for node in one["nodes"][:3])
            for one in found["violations"]
        ]
        assert not said, f"{page.url}\n" + "\n".join(said)

    def _own(self, url: str) -> None:
        if not url.startswith((self.url + "/", "data:", "blob:", "about:")):
            self.wrong.append(f"asked {url}")

    def _said(self, kind: str, text: str) -> None:
        # A browser tells each answer of 400 and more, which tests look at themselves; htmx tells of
        # a stream that was under way when its page was left.
        if kind == "error" and not text.startswith(("Failed to load resource", "[object Event]")):
            self.wrong.append(f"console: {text}")


@contextmanager
def whole(home: Path) -> Iterator[People]:
    """A system of its own, and everybody. Raises ConfigError without a browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise ConfigError("no chromium here; on Debian: apt-get install chromium")
    with make_parts(home, brokers=1, profile="default", progress=Silent()) as parts:
        system = make_system(parts, console=0)
        passwords = make_users(Path(system.env["MAWJA_CONSOLE_USERS"]))
        try:
            system.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                url = console_url(system).rstrip("/")
                yield People(url, system, parts, passwords, browser, axe())
                browser.close()
        finally:
            system.stop()
        assert not system.crashes


@pytest.fixture(scope="session")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """The one system of this run."""
    with whole(tmp_path_factory.mktemp("mawja")) as people:
        yield people


@pytest.fixture
def people(everybody: People) -> Iterator[People]:
    """Everybody, held to what pages may do."""
    everybody.wrong.clear()
    yield everybody
    assert not everybody.wrong
