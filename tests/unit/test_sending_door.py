"""The page behind an opt-out link: what changes something and what does not."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest

from services.broadcast.rules import page
from services.broadcast.rules.door import MADE_UP_PER_S, PATH, Door
from services.broadcast.rules.links import Links
from services.runtime import privacy
from services.runtime.errors import Away, ConfigError
from services.runtime.privacy import Keyring
from tests.sending_rules import DAY_MS, at

NOW = at("2026-11-22 09:00")
NUMBER = "+971501234567"


class Rig:
    """A door whose clocks stand still until they are moved, and what it recorded."""

    def __init__(self, folder: Path) -> None:
        privacy.create(folder, NOW)
        self.keyring = Keyring(folder)
        self.links = Links(self.keyring)
        self.left: list[bytes] = []
        self.error: Exception | None = None
        self.steady_s = 100.0
        self.door = Door(self.links, self._opt_out, lambda: NOW, lambda: self.steady_s)
        self.port = 0

    async def _opt_out(self, person: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.left.append(person)

    async def ask(self, method: str, path: str) -> aiohttp.ClientResponse:
        self.steady_s += 1
        async with aiohttp.ClientSession() as session:
            answer = await session.request(method, f"http://127.0.0.1:{self.port}{path}")
            await answer.read()
            return answer

    def link(self, number: str = NUMBER) -> str:
        return PATH + self.links.make(number, NOW + 30 * DAY_MS)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    made.port = await made.door.start("127.0.0.1:0")
    yield made
    await made.door.stop()


async def test_opening_a_link_changes_nothing_and_pressing_the_button_does(rig: Rig) -> None:
    for method in ("GET", "HEAD", "GET"):
        answer = await rig.ask(method, rig.link())
        assert answer.status == 200
    assert rig.left == []
    assert '<form method="post"><button' in await (await rig.ask("GET", rig.link())).text()
    answer = await rig.ask("POST", rig.link())
    assert (answer.status, rig.left) == (200, [rig.keyring.person(NUMBER)])
    assert "Messages stopped" in await answer.text()
    assert "<form" not in await answer.text()


async def test_pressing_twice_is_recorded_once_and_later_again(rig: Rig) -> None:
    for _ in range(3):
        assert (await rig.ask("POST", rig.link())).status == 200
    assert len(rig.left) == 1
    await rig.ask("POST", rig.link("+971501234568"))
    assert len(rig.left) == 2
    rig.steady_s += 5
    await rig.ask("POST", rig.link())
    assert len(rig.left) == 3


@pytest.mark.parametrize("error", [Away("Kafka is away"), RuntimeError("+971501234567")])
async def test_what_was_not_kept_is_not_said_to_be(
    rig: Rig, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    rig.error = error
    answer = await rig.ask("POST", rig.link())
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert "not stopped yet" in await answer.text()
    rig.error = None
    assert (await rig.ask("POST", rig.link())).status == 200
    assert len(rig.left) == 1
    told = "".join(capfd.readouterr())
    assert NUMBER not in told
    assert rig.link() not in told


async def test_links_that_are_none(rig: Rig) -> None:
    dead = PATH + rig.links.make(NUMBER, NOW - DAY_MS)
    altered = rig.link()[:-2] + "AA"
    for method in ("GET", "POST"):
        assert (await rig.ask(method, dead)).status == 410
        assert (await rig.ask(method, altered)).status == 404
        for path in ("/", "/o/", "/o/x/y", "/robots.txt", "/o/%00%ff", "/o/" + "x" * 4000):
            answer = await rig.ask(method, path)
            assert answer.status == 404
            assert answer.headers["Content-Security-Policy"]
    assert (await rig.ask("DELETE", rig.link())).status == 404
    assert rig.left == []


async def test_a_flood_of_made_up_links_keeps_nobody_out(rig: Rig) -> None:
    rig.steady_s += 60
    async with aiohttp.ClientSession() as session:
        told = []
        for _ in range(20):
            answer = await session.get(f"http://127.0.0.1:{rig.port}/o/made-up")
            told.append(answer.status)
        # Time stands still here: one goes through, and none after it.
        assert told == [404] + [429] * 19
        url = f"http://127.0.0.1:{rig.port}{rig.link()}"
        assert (await session.get(url)).status == 200
        assert (await session.post(url)).status == 200
        rig.steady_s += 1 / MADE_UP_PER_S
        assert (await session.get(f"http://127.0.0.1:{rig.port}/o/made-up")).status == 404
        told = [(await session.get(url)).status for _ in range(40)]
        assert 429 in told


async def test_a_body_that_is_too_large_is_not_read(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{rig.port}{rig.link()}"
        answer = await session.post(url, data=b"x" * 1000)
        assert answer.status == 200


async def test_an_address_that_cannot_be_had_is_named(rig: Rig, tmp_path: Path) -> None:
    other = Door(rig.links, rig._opt_out)
    with pytest.raises(ConfigError, match="MAWJA_OPT_OUT"):
        await other.start(f"127.0.0.1:{rig.port}")
    await other.stop()


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "shown",
    [page.ASK, page.DONE, page.UNKNOWN, page.DEAD, page.BUSY, page.AWAY],
    ids=["ask", "done", "unknown", "dead", "busy", "away"],
)
def test_a_page_asks_nobody_and_speaks_both_languages(shown: page.Page) -> None:
    html = shown.html()
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    for tag, attributes in tags.seen:
        assert tag not in ("script", "img", "link", "iframe", "object", "base", "a")
        assert not {"src", "href", "style", "action", "onclick"} & attributes.keys()
    assert "//" not in html
    assert "url(" not in html
    assert ("html", {"lang": "ar", "dir": "rtl"}) in tags.seen
    assert ("section", {"lang": "en", "dir": "ltr"}) in tags.seen
    assert sum(tag == "button" for tag, _ in tags.seen) == (1 if shown is page.ASK else 0)
    assert re.search("[\u0600-\u06ff]", html)


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    policy = page.HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.HEADERS["Referrer-Policy"] == "no-referrer"
    assert page.HEADERS["Cache-Control"] == "no-store"
