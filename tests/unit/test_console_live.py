"""What is live is told to all alike, slow viewers get the newest, and age is told honestly."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

from services.console.live import Feed, Feeds, event


class Source:
    """States that a test gives; None ends them, an error is raised."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.begun = 0
        self.rendered: list[tuple[int, str]] = []

    async def __call__(self) -> AsyncIterator[int]:
        self.begun += 1
        while (given := await self.given.get()) is not None:
            if isinstance(given, Exception):
                raise given
            yield given

    def render(self, state: int, language: str) -> Mapping[str, str]:
        self.rendered.append((state, language))
        return {"count": f"{language} {state}", "same": f"{language} always"}


def feed(source: Source, clock: int = 1_790_000_000_000) -> Feed[int]:
    return Feed(source, source.render, clock=lambda: clock, every_s=0.01)


def told(data: bytes) -> dict[str, str]:
    return dict(re.findall(r"event: (\w+)\ndata: (.*)\n", data.decode()))


async def heard(stream: AsyncIterator[bytes], part: str, value: str) -> dict[str, str]:
    """Reads on until a part says `value`."""
    while True:
        found = told(await asyncio.wait_for(anext(stream), 5))
        if found.get(part) == value:
            return found


def test_no_line_of_the_data_can_end_an_event() -> None:
    assert event("a", "x\n\nevent: b\r\ndata: y\rz") == (
        b"event: a\ndata: x\ndata: \ndata: event: b\ndata: data: y\ndata: z\n\n"
    )


async def test_each_change_is_rendered_once_for_each_language_however_many_look() -> None:
    source = Source()
    live = feed(source)
    source.given.put_nowait(1)
    assert await live.first(5) == 1
    viewers = [live.stream("ar") for _ in range(20)] + [live.stream("en")]
    for viewer in viewers:
        await anext(viewer)
    source.rendered.clear()
    source.given.put_nowait(2)
    for viewer in viewers[:-1]:
        found = await heard(viewer, "count", "ar 2")
        assert "same" not in found, "what did not change is not sent again"
    await heard(viewers[-1], "count", "en 2")
    assert sorted(source.rendered) == [(2, "ar"), (2, "en")]
    await live.close()


async def test_who_is_slow_gets_the_newest_and_nothing_is_kept_for_them() -> None:
    source = Source()
    live = feed(source)
    source.given.put_nowait(0)
    await live.first(5)
    slow, quick = live.stream("ar"), live.stream("ar")
    await anext(slow)
    await anext(quick)
    for state in range(1, 6):
        source.given.put_nowait(state)
        await heard(quick, "count", f"ar {state}")
    assert told(await anext(slow))["count"] == "ar 5"
    await live.close()


async def test_who_comes_new_hides_no_change_from_those_who_look() -> None:
    source = Source()
    # Nothing is published by time while this lasts.
    live = Feed(source, source.render, every_s=60)
    source.given.put_nowait(1)
    await live.first(5)
    looking, other = live.stream("ar"), live.stream("ar")
    for stream in (looking, other):
        await anext(stream)
    for state in (2, 3):
        source.given.put_nowait(state)
        for _ in range(500):
            if live.latest == state:
                break
            await asyncio.sleep(0.01)
        if state == 2:
            live.shown("ar")
        else:
            await anext(live.stream("ar"))
        for stream in (looking, other):
            await heard(stream, "count", f"ar {state}")
    await live.close()


async def test_what_a_page_has_already_is_not_sent_again() -> None:
    source = Source()
    live = feed(source)
    source.given.put_nowait(1)
    await live.first(5)
    parts, mark = live.shown("ar")
    assert parts == {"count": "ar 1", "same": "ar always"}
    stream = live.stream("ar", mark)
    assert told(await anext(stream)) == {"at": "1790000000000"}
    source.given.put_nowait(2)
    assert "same" not in await heard(stream, "count", "ar 2")
    # What changed since the page was made is sent to who comes late with its mark.
    late = live.stream("ar", mark)
    assert told(await anext(late)) == {"at": "1790000000000", "count": "ar 2"}
    # Another process's mark, and what is none, say nothing of this one.
    for wrong in ("", "-", "another-1", f"{mark}9999999999999999", f"{mark}x", "-1"):
        stranger = live.stream("ar", wrong)
        assert told(await anext(stranger)).keys() == {"at", "count", "same"}
    await live.close()


async def test_a_source_that_fails_is_begun_again_and_says_nothing_of_time_meanwhile() -> None:
    source = Source()
    live = feed(source)
    source.given.put_nowait(1)
    await live.first(5)
    stream = live.stream("ar")
    assert told(await anext(stream))["at"] == "1790000000000"
    source.given.put_nowait(ValueError("a name that nobody shall read"))
    while b": away" not in (await asyncio.wait_for(anext(stream), 5)):
        pass
    source.given.put_nowait(2)
    assert "at" in await heard(stream, "count", "ar 2")
    assert source.begun == 2
    await live.close()


async def test_nothing_is_followed_before_anybody_looks_and_idle_feeds_are_let_go() -> None:
    sources: dict[object, Source] = {}

    def make(key: object) -> Feed[int]:
        sources[key] = Source()
        return feed(sources[key])

    feeds = Feeds(make, linger_s=0)
    one = await feeds.of("one")
    await asyncio.sleep(0.02)
    assert not sources["one"].begun
    stream = one.stream("ar")
    await anext(stream)
    assert await feeds.of("one") is one
    await feeds.of("two")
    assert await feeds.of("one") is one, "somebody still looks"
    await stream.aclose()  # type: ignore[attr-defined]
    await feeds.of("two")
    assert await feeds.of("one") is not one
    await feeds.close()


async def test_closing_ends_every_viewers_stream() -> None:
    source = Source()
    live = feed(source)
    source.given.put_nowait(1)
    await live.first(5)
    stream = live.stream("ar")
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, b""))
    await asyncio.sleep(0)
    await live.close()
    async with asyncio.timeout(5):
        await waiting
        assert [told async for told in stream] == []
