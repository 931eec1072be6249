"""`make pictures`: every page of the console in both languages and both themes, into docs/console.

A drill plays a wave on a whole system meanwhile, and a campaign is sent, so that there is something
to see. Look at each picture: no test says what is ugly. What axe finds on a page is printed, and
the run ends with code 1.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from mawja.broadcast.v1 import campaigns_pb2
from playwright.sync_api import Page

from services.local.system import token
from services.runtime.identity import Role
from tests.browser.conftest import LANGUAGES, People, whole
from tests.campaigns_rig import MAKER, OTHER, Office, listed, plan, started

LOCALES = {"ar": "ar-QA", "en": "en-GB"}
WIDTH, TELEPHONE = 1280, 390
FOLDER = Path(__file__).parents[2] / "docs/console"
PAGES = (
    "/wave?drill=1",
    "/wall?drill=1",
    "/campaigns",
    "/campaigns/new",
    "/campaigns/lists",
    "/campaigns/lists/new",
    "/outreach/proposals",
    "/outreach/callbacks?work=drill",
    "/outreach/playbooks",
    "/outreach/announcements",
    "/cases",
    "/cases/incidents",
    "/report?drill=1",
    "/report/surge",
    "/people",
    "/nowhere",
)
OF_ADMINISTRATORS = ("/people",)
ON_A_TELEPHONE = ("/wave?drill=1", "/outreach/callbacks?work=drill", "/cases", "/campaigns")
FIRST_OF = {
    "campaigns": ("campaigns-one", r"/campaigns/[0-9a-f-]{36}"),
    "outreach-proposals": ("outreach-proposals-one", r"/outreach/proposals/[0-9a-f-]{36}"),
    "cases-incidents": ("cases-incidents-one", r"/cases/incidents/[0-9a-f-]{36}"),
    "cases-incidents-one": ("cases-one", r"/cases/MW-[0-9A-Z-]+"),
}
"""Pages whose first link of this form is a page of its own, to be shown too, by this name."""

_WAVE_S = 240
"""How long the wave rises: `wave.yaml`."""


@contextmanager
def acted(people: People) -> Iterator[None]:
    """What there is to see: a campaign that was sent, and a wave while it is played."""
    mawja, system = Path(sys.executable).with_name("mawja"), people.system
    env = {
        **os.environ,
        "MAWJA_KAFKA": people.parts.kafka,
        "MAWJA_INTAKE": system.target("intake"),
        "MAWJA_WAVE": system.target("wave"),
        "MAWJA_TOKEN": token(system.keys, "pictures", Role.LOAD_TESTER, Role.AUDITOR),
        "MAWJA_DRILLS": str(people.parts.home / "drills"),
    }
    wave = Path(__file__).with_name("wave.yaml")
    # Its people call again for hours: it is ended when all has been pictured.
    with subprocess.Popen([str(mawja), "drill", "play", str(wave)], env=env) as drill:
        try:
            began = time.monotonic()
            maker, other = Office(system, MAKER), Office(system, OTHER)
            numbers = [f"+99957391{number:04}" for number in range(300)]
            campaign_id = started(maker, other, plan(maker.upload(listed(numbers)).audience_id))
            maker.until(campaign_id, campaigns_pb2.CAMPAIGN_STATE_COMPLETED)
            time.sleep(max(0.0, began + _WAVE_S - time.monotonic()))
            yield
        finally:
            drill.send_signal(signal.SIGINT)


def named(path: str) -> str:
    """What the picture of a page is called."""
    return re.sub(r"\W+", "-", path.partition("?")[0].strip("/"))


def shown(page: Page, url: str) -> Iterator[tuple[str, str]]:
    """The name of each picture, and the path of its page."""
    for path in PAGES:
        name = named(path)
        yield name, path
        while name in FIRST_OF:
            name, form = FIRST_OF[name]
            page.goto(url + path)
            links = page.eval_on_selector_all("main a", "all => all.map(a => a.pathname)")
            path = next((link for link in links if re.fullmatch(form, link)), "")
            if not path:
                break
            yield name, path


def picture(page: Page, name: str, lang: str, theme: str, width: int = WIDTH) -> None:
    """The whole of a page as a screen of `width` would show it that is high enough."""
    page.set_viewport_size({"width": width, "height": 800})
    # What is live has come by then, and every font.
    page.wait_for_timeout(1_500)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": max(800, height)})
    page.screenshot(path=FOLDER / f"{name}-{lang}-{theme}.png", full_page=True)
    page.set_viewport_size({"width": WIDTH, "height": 800})
    print(f"{name}-{lang}-{theme}.png", flush=True)


def barred(people: People, page: Page) -> bool:
    """Whether a page shuts somebody out; prints how."""
    try:
        people.audit(page)
    except AssertionError as error:
        print(f"{page.url}: {error}", flush=True)
        return True
    return False


def main() -> None:
    """Makes the pictures. It takes about nine minutes."""
    wrong = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, whole(Path(home)) as people, acted(people):
        for lang, theme in product(LANGUAGES, ("light", "dark")):
            page = people.page(Role.COORDINATOR, lang, theme, locale=LOCALES[lang])
            for name, path in list(shown(page, people.url)):
                page.goto(people.url + path)
                picture(page, name, lang, theme)
                wrong += barred(people, page)
            for path in ON_A_TELEPHONE:
                page.goto(people.url + path)
                picture(page, f"{named(path)}-telephone", lang, theme, TELEPHONE)
            page.close()
            admin = people.page(Role.ADMINISTRATOR, lang, theme, locale=LOCALES[lang])
            for path in OF_ADMINISTRATORS:
                admin.goto(people.url + path)
                picture(admin, f"{named(path)}-administrator", lang, theme)
                wrong += barred(people, admin)
            admin.close()
            # Before anybody said which, it looks as the machine does.
            nobody = people.context(locale=LOCALES[lang], color_scheme=theme).new_page()
            people.at_the_door(nobody, lang)
            picture(nobody, "sign-in", lang, theme)
            wrong += barred(people, nobody)
            nobody.context.close()
    print(f"pages with barriers (axe): {wrong}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
