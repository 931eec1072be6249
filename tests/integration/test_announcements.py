"""Announcements on real parts: set with the command, fetched by gRPC and from intake's page, ended
by a person or by themselves, and never a rehearsal's on a live line."""

import asyncio
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.outreach.v1 import announcements_pb2, announcements_pb2_grpc
from mawja.outreach.v1.announcements_pb2 import AnnouncementText
from mawja.wave.v1.events_pb2 import Burst, Dimension
from typer.testing import CliRunner, Result

from services.local.system import token
from services.outreach import shelf
from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BURST
from services.tools.__main__ import app
from tests.room_process import Room, room


@pytest.fixture(scope="module")
def outreach(settings: Settings, folder: Path) -> Iterator[Room]:
    """With the shipped playbooks, whose announcement somebody has approved."""
    books = folder / "playbooks"
    shutil.copytree(Path(shelf.__file__).parent / "playbooks", books)
    busy = books / "busy-line.yaml"
    approved = "    lasts: 30m\n    approver: badr\n    approved-on: 2026-01-01\n"
    busy.write_text(busy.read_text("utf-8").replace("    lasts: 30m\n", approved), "utf-8")
    with room("outreach", settings, folder, "outreach", MAWJA_RULES=str(books)) as started:
        yield started
        assert "Traceback" not in started.said


@pytest.fixture(scope="module")
def page(settings: Settings, folder: Path) -> Iterator[str]:
    with room("intake", settings, folder, "intake") as started:
        started.target()
        ports = json.loads((folder / "intake.json").read_text())
        yield f"http://127.0.0.1:{ports['webhook']}/v1/lines"
        assert "Traceback" not in started.said


@pytest.fixture
def mawja(settings: Settings, outreach: Room) -> Callable[..., Result]:
    env = {
        "MAWJA_OUTREACH": outreach.target(),
        "MAWJA_TOKEN": token(settings.keys, "huda", Role.COORDINATOR),
        "MAWJA_KEYS": str(settings.keys),
    }
    return lambda *words: CliRunner().invoke(app, ["announce", *words], env=env)


def fetch(url: str, known: str = "") -> tuple[int, Any, Any]:
    request = urllib.request.Request(url, headers={"If-None-Match": known} if known else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, None, error.headers


def said(url: str) -> list[str]:
    status, body, _ = fetch(url)
    assert status == 200
    return [one["texts"]["en"] for one in body["announcements"]]


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(outreach: Room, settings: Settings, role: Role, method: str, request: object) -> Any:
    async def asked() -> Any:
        async with rpc.channel(outreach.target()) as channel:
            stub = announcements_pb2_grpc.AnnouncementServiceStub(channel)
            shown = rpc.bearer(token(settings.keys, "someone", role))
            return await getattr(stub, method)(request, metadata=shown, timeout=10)

    return asyncio.run(asked())


def test_a_line_plays_what_was_set_until_it_is_ended(
    settings: Settings, outreach: Room, page: str, mawja: Callable[..., Result]
) -> None:
    texts = ("--ar", "المدارس مغلقة", "--en", "Schools are closed", "--text", "ur=اسکول بند ہیں")
    done = mawja("set", "--line", "109", *texts, "--lasts", "2h")
    assert done.exit_code == 0, done.output
    name = done.stdout.split()[0]
    eventually(lambda: said(f"{page}/109/announcements") == ["Schools are closed"])
    _, body, headers = fetch(f"{page}/109/announcements")
    [one] = body["announcements"]
    assert list(one["texts"]) == ["ar", "en", "ur"]
    assert 0 <= int(headers["Cache-Control"].removeprefix("max-age=")) <= 30
    assert fetch(f"{page}/109/announcements", headers["ETag"])[0] == 304
    assert fetch(f"{page}/16000/announcements")[1]["announcements"] == []
    assert fetch(f"{page}/a%20b/announcements")[0] == 404
    # By gRPC the same, and a rehearsal asks in vain.
    asked = announcements_pb2.GetAnnouncementsRequest(line="109")
    answer = ask(outreach, settings, Role.GATEWAY, "GetAnnouncements", asked)
    assert f'"{answer.etag}"' == headers["ETag"]
    asked.etag = answer.etag
    again = ask(outreach, settings, Role.GATEWAY, "GetAnnouncements", asked)
    assert (again.not_modified, len(again.played)) == (True, 0)
    listed = mawja("list", "--line", "109")
    assert "huda" in listed.stdout
    assert mawja("end", name).exit_code == 0
    eventually(lambda: said(f"{page}/109/announcements") == [])
    assert mawja("end", name).exit_code == 1
    over = json.loads(mawja("list", "--over", "--json").stdout)["announcements"]
    assert [one["ended_by"] for one in over if one["announcement_id"].startswith(name)] == ["huda"]


def test_a_rehearsal_plays_marked_and_on_rehearsing_lines_only(
    settings: Settings, outreach: Room, page: str, mawja: Callable[..., Result]
) -> None:
    set_ = mawja(
        "set", "--line", "16000", "--ar", "ماء", "--en", "Water", "--lasts", "1h", "--drill"
    )
    assert set_.exit_code == 0, set_.output
    live = mawja("set", "--line", "16000", "--ar", "حي", "--en", "Live", "--lasts", "1h")
    assert live.exit_code == 0, live.output
    asked = announcements_pb2.GetAnnouncementsRequest(line="16000", drill=True)
    drill = ask(outreach, settings, Role.LOAD_TESTER, "GetAnnouncements", asked)
    assert [[t.text for t in one.texts] for one in drill.played] == [["تمرين. ماء", "DRILL. Water"]]
    eventually(lambda: said(f"{page}/16000/announcements") == ["Live"])
    asked.drill = False
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        ask(outreach, settings, Role.LOAD_TESTER, "GetAnnouncements", asked)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def state(settings: Settings, burst: Burst) -> None:
    producer = Producer(settings.kafka, "test-announcements")
    await producer.start()
    try:
        await acknowledged([await producer.send(BURST, 0, burst.SerializeToString())])
    finally:
        await producer.stop()


def test_callers_of_a_busy_line_hear_what_the_playbook_says_once(
    settings: Settings, outreach: Room, page: str, mawja: Callable[..., Result]
) -> None:
    outreach.target()
    for dimension, subject, cases in (
        (Dimension.DIMENSION_AGENCY, "education", 90),
        (Dimension.DIMENSION_LINE, "109", 29),
        (Dimension.DIMENSION_LINE, "109", 31),
        (Dimension.DIMENSION_LINE, "109", 50),
    ):
        now = clock.now_ms()
        burst = Burst(dimension=dimension, subject=subject, start_ms=1, until_ms=now, cases=cases)
        asyncio.run(state(settings, burst))
    eventually(lambda: len(said(f"{page}/109/announcements")) == 1)
    assert "More people are calling than usual" in said(f"{page}/109/announcements")[0]
    listed = json.loads(mawja("list", "--json").stdout)["announcements"]
    [one] = [one for one in listed if one["set_by"].startswith("playbook ")]
    assert one["lines"] == ["109"]
    assert mawja("end", one["announcement_id"]).exit_code == 0
    eventually(lambda: said(f"{page}/109/announcements") == [])


def test_the_same_request_sets_one_and_a_wrong_one_is_told_by_field(
    settings: Settings, outreach: Room, page: str
) -> None:
    def request(**given: Any) -> announcements_pb2.SetAnnouncementRequest:
        fields: dict[str, Any] = {
            "request_id": "one",
            "lines": ["155"],
            "texts": [AnnouncementText(language=one, text="x") for one in ("en", "ar")],
            "until_ms": now + 2_500,
            **given,
        }
        return announcements_pb2.SetAnnouncementRequest(**fields)

    def refused(**given: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            ask(outreach, settings, Role.COORDINATOR, "SetAnnouncement", request(**given))
        return error.value.code(), error.value.details() or ""

    now = clock.now_ms()
    first = ask(outreach, settings, Role.COORDINATOR, "SetAnnouncement", request())
    second = ask(outreach, settings, Role.COORDINATOR, "SetAnnouncement", request())
    assert first == second
    assert [text.language for text in first.announcement.texts] == ["ar", "en"]
    assert refused(lines=["109"])[0] == grpc.StatusCode.ALREADY_EXISTS
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    twice = [AnnouncementText(language="en", text="x")] * 2
    code, told = refused(texts=twice)
    assert code == invalid
    assert "ar is missing" in told
    assert "en stands twice" in told
    assert refused(until_ms=now - 1)[0] == invalid
    assert refused(until_ms=now + 32 * 24 * 3600_000)[0] == invalid
    with pytest.raises(grpc.aio.AioRpcError) as error:
        ask(outreach, settings, Role.AGENT, "SetAnnouncement", request(request_id="two"))
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    # It ends by itself.
    eventually(lambda: clock.now_ms() > now + 2_500)
    assert said(f"{page}/155/announcements") == []
