"""The wave page: figures that add up, honest where nothing is known, and hostile names as text."""

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from grpc_health.v1 import health, health_pb2_grpc
from mawja.dedup.v1 import incidents_pb2
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.outreach.v1 import (
    playbooks_pb2,
    playbooks_pb2_grpc,
    proposals_pb2,
    service_pb2_grpc,
)
from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1 import contracts_pb2_grpc
from mawja.wave.v1 import service_pb2 as wave
from mawja.wave.v1 import service_pb2_grpc as wave_grpc
from mawja.wave.v1.events_pb2 import Burst, Counts, Dimension, Level, ServiceLevels

from services.console import words
from services.console.calls import Calls, Refused
from services.console.catalogue import Catalogue
from services.console.static import Static
from services.console.wave import figures, naming, view
from services.console.wave.gather import Reader
from services.console.wave.picture import DAY_MS, HOUR_MS, MINUTE_MS, Picture, Scope, last_window
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Away
from services.runtime.identity import Caller, Role
from tests.console_rig import desk

NOW = 1_790_000_000_000 - 1_790_000_000_000 % MINUTE_MS + 23_456
ARABIC = words.load()["ar"]
HOSTILE = "<img src=x onerror=alert(1)>"


def level(start_ms: int, contacts: int, width_ms: int = MINUTE_MS, **more: Any) -> Level:
    counts = Counts(contacts=contacts, cases=contacts // 2)
    return Level(
        dimension=Dimension.DIMENSION_ALL,
        start_ms=start_ms,
        width_ms=width_ms,
        counts=counts,
        **more,
    )


def minutes(of: Callable[[int], int], back: int = 120) -> dict[int, Level]:
    end = last_window(NOW)
    return {
        start: level(start, of(start))
        for start in range(end - back * MINUTE_MS, end + 1, 10_000)
        if of(start)
    }


def test_now_is_the_newest_minute_that_is_whole() -> None:
    newest = last_window(NOW)
    assert NOW - 15_000 < newest + MINUTE_MS <= NOW - 3_000
    shown = figures.rate(Picture(NOW, Scope(), NOW, minutes=minutes(lambda at: 9 + (at == newest))))
    assert shown.contacts == 10


def test_the_usual_is_that_of_the_same_hour_on_days_on_which_anybody_came() -> None:
    begin = NOW - HOUR_MS // 2
    begin -= begin % (5 * MINUTE_MS)
    hours = [level(begin - day * DAY_MS, 600 * day, HOUR_MS) for day in (1, 2)]
    # On the third day people came, but not in this hour; before that the centre was closed.
    hours.append(level(begin - 3 * DAY_MS + HOUR_MS, 60, HOUR_MS))
    usual, days = figures.usually(Picture(NOW, Scope(), NOW, hours=hours))
    assert usual == pytest.approx((600 + 1200 + 0) / 3 / 60)
    assert days == 3


def test_without_earlier_days_the_last_two_hours_are_usual_and_a_first_minute_is_nothing() -> None:
    held = minutes(lambda at: 6)
    usual, days = figures.usually(Picture(NOW, Scope(), NOW, minutes=held))
    assert days == 0
    assert usual == pytest.approx(6, rel=0.05)
    few = minutes(lambda at: 6, back=5)
    assert figures.usually(Picture(NOW, Scope(), NOW, minutes=few)) == (None, 0)
    assert figures.rate(Picture(NOW, Scope(), NOW, minutes=few)).times is None


def test_a_surge_of_most_of_an_hour_is_not_what_is_usual() -> None:
    began = NOW - 50 * MINUTE_MS
    held = minutes(lambda at: 300 if at > began else 20)
    usual, _ = figures.usually(Picture(NOW, Scope(), NOW, minutes=held))
    assert usual == 20


def test_the_chart_has_every_whole_minute_and_zeros_where_nobody_came() -> None:
    held = minutes(lambda at: 3 if at % (2 * MINUTE_MS) == 0 else 0, back=40)
    points = figures.chart(Picture(NOW, Scope(), NOW, minutes=held))
    assert [b.at_ms - a.at_ms for a, b in pairwise(points)] == [MINUTE_MS] * (len(points) - 1)
    assert points[-1].at_ms + MINUTE_MS <= NOW - 3_000
    assert {point.contacts for point in points} == {0, 3}
    assert len(figures.chart(Picture(NOW, Scope(), NOW))) == 15


def test_a_service_level_that_nobody_measured_is_neither_kept_nor_broken() -> None:
    found = level(NOW, 5, service_levels=ServiceLevels(answered=0.85, handled_in_target=0.5))
    answered, in_target, handled, first = figures.gauges(found)
    assert (answered.met, answered.near) == (False, True)
    assert (handled.met, handled.near) == (False, False)
    assert (in_target.share, in_target.met, first.share) == (None, True, None)
    assert all(gauge.share is None for gauge in figures.gauges(None))


def test_shares_are_of_what_was_counted_and_add_up() -> None:
    quarter = [
        Level(dimension=Dimension.DIMENSION_CHANNEL, subject=name, counts=Counts(contacts=n))
        for name, n in (("sms", 1), ("voice", 3), ("web", 0))
    ]
    found = figures.shares(Picture(NOW, Scope(), NOW, quarter=quarter), Dimension.DIMENSION_CHANNEL)
    assert [(one.subject, one.share) for one in found] == [("voice", 0.75), ("sms", 0.25)]


def test_a_code_that_nobody_named_stands_for_itself() -> None:
    names = Catalogue(
        dedup.GetCatalogueResponse(
            agencies=[dedup.CatalogueAgency(agency="moh", names={"ar": "الصحة"})],
            places=[dedup.CataloguePlace(place="Marina", names={"ar": "مرسى دبي"})],
        ),
        "ar",
    )
    assert names.agency("moh") == "الصحة"
    assert Catalogue(dedup.GetCatalogueResponse(), "en").agency("moh") == "moh"
    assert names.place("Marina") == "مرسى دبي"
    assert names.place("Milan") == "Milan"
    assert names.language("ur", ARABIC.gettext) == "الأردية"
    assert names.language("ta", ARABIC.gettext) == "التاميلية"
    assert names.language("x", ARABIC.gettext) == "x"
    assert naming.channel("pigeon", str) == "pigeon"


class Wave(wave_grpc.WaveServiceServicer):
    """A room with one line in trouble. `away`: it says that it can't tell."""

    def __init__(self) -> None:
        self.away = False
        self.of_each = 1
        self.agencies: set[str] = set()

    async def GetLevels(self, request: wave.GetLevelsRequest, context: Any) -> Any:
        caller = rpc.CALLER.get()
        self.agencies.add(caller.agency)
        assert not caller.agency or request.dimension == Dimension.DIMENSION_AGENCY
        if self.away:
            raise Away("the history is being read")
        subject = {
            Dimension.DIMENSION_LINE: HOSTILE,
            Dimension.DIMENSION_AGENCY: request.subject or "moh",
            Dimension.DIMENSION_LANGUAGE: "ar",
            Dimension.DIMENSION_TOPIC: HOSTILE,
            Dimension.DIMENSION_CHANNEL: "voice",
        }.get(request.dimension, "")
        more = range(self.of_each if request.dimension == Dimension.DIMENSION_AGENCY else 1)
        made = [self._level(request, f"agency-{n}" if n else subject) for n in more]
        return wave.GetLevelsResponse(levels=made)

    @staticmethod
    def _level(request: wave.GetLevelsRequest, subject: str) -> Level:
        return Level(
            dimension=request.dimension,
            subject=subject,
            start_ms=last_window(now_ms()),
            width_ms=request.width_ms,
            counts=Counts(contacts=42, cases=30, offered=40, answered=30, abandoned=10),
            service_levels=ServiceLevels(answered=0.75),
        )

    async def ListBursts(self, request: wave.ListBurstsRequest, context: Any) -> Any:
        burst = Burst(
            dimension=Dimension.DIMENSION_TOPIC, subject=HOSTILE, last_minute=9, usual=2, known=True
        )
        return wave.ListBurstsResponse(bursts=[burst])


class Queues(contracts_pb2_grpc.ContractServiceServicer):
    async def ListQueues(self, request: contracts.ListQueuesRequest, context: Any) -> Any:
        ours = contracts.QueueState(
            holder=contracts.QUEUE_HOLDER_CENTRE,
            state=contracts.QUEUE_CONDITION_ACTIVE,
            queue_length=17,
        )
        return contracts.ListQueuesResponse(queues=[ours])


class Cases(dedup_grpc.DedupServiceServicer):
    crowded = False

    async def ListIncidents(self, request: dedup.ListIncidentsRequest, context: Any) -> Any:
        incident = incidents_pb2.Incident(
            incident_id="an-incident",
            drill=False,
            topic=HOSTILE,
            people=5,
            cases=6,
            recent=4,
            last_ms=now_ms(),
        )
        if self.crowded and not request.page_token:
            drills = [incidents_pb2.Incident(drill=True, last_ms=now_ms()) for _ in range(200)]
            shown = [dedup.ShownIncident(incident=one) for one in drills]
            return dedup.ListIncidentsResponse(incidents=shown, next_page_token="2")
        return dedup.ListIncidentsResponse(incidents=[dedup.ShownIncident(incident=incident)])

    async def GetCatalogue(self, request: dedup.GetCatalogueRequest, context: Any) -> Any:
        return dedup.GetCatalogueResponse()


class HandOvers(playbooks_pb2_grpc.PlaybookServiceServicer):
    async def ListHandOvers(self, request: Any, context: Any) -> Any:
        waiting = [playbooks_pb2.WatchedHandOver(drill=drill) for drill in (True, False, False)]
        return playbooks_pb2.ListHandOversResponse(hand_overs=waiting)


class Proposals(service_pb2_grpc.OutreachServiceServicer):
    async def ListProposals(self, request: Any, context: Any) -> Any:
        assert request.state == proposals_pb2.PROPOSAL_STATE_OPEN
        waiting = [proposals_pb2.Proposal(drill=drill) for drill in (True, False)]
        return proposals_pb2.ListProposalsResponse(proposals=waiting)


def rooms(told: Wave) -> list[Any]:
    queues = Queues()  # type: ignore[abstract]
    cases = Cases()  # type: ignore[abstract]
    return [
        partial(wave_grpc.add_WaveServiceServicer_to_server, told),
        partial(contracts_pb2_grpc.add_ContractServiceServicer_to_server, queues),
        partial(dedup_grpc.add_DedupServiceServicer_to_server, cases),
        partial(health_pb2_grpc.add_HealthServicer_to_server, health.aio.HealthServicer()),
    ]


async def test_the_page_is_whole_without_any_script_and_hostile_names_are_text(
    tmp_path: Path,
) -> None:
    told = Wave()  # type: ignore[abstract]
    async with desk(tmp_path, *rooms(told)) as on:
        page = (await on.get("/wave", Role.COORDINATOR)).text
        assert HOSTILE not in page
        assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 4
        for part in view.PARTS:
            assert f'sse-swap="{part}"' in page
        assert "<strong>42</strong>" in page
        assert "<strong>17</strong>" in page
        wall = (await on.get("/wall?drill=1", Role.AGENT)).text
        assert 'class="drill"' in wall
        assert "<form" not in wall
        assert "<button" not in wall


async def test_a_liaison_sees_their_own_agency_and_asks_for_no_other(tmp_path: Path) -> None:
    told = Wave()  # type: ignore[abstract]
    async with desk(tmp_path, *rooms(told)) as on:
        page = (await on.get("/wave", Role.LIAISON)).text
        assert told.agencies != {""}
        assert "" not in told.agencies
        assert "Whole centre" not in page


async def test_figures_that_can_not_be_had_are_no_zeros(tmp_path: Path) -> None:
    told = Wave()  # type: ignore[abstract]
    told.away = True
    async with desk(tmp_path, *rooms(told)) as on:
        page = (await on.get("/wave", Role.AUDITOR)).text
        assert page.count("Nobody reached out") == 0
        assert "The rooms can't be reached now" in page


class Rooms:
    """As `Calls`, without a network. `serving`: what the rooms say of themselves."""

    def __init__(self, told: Wave) -> None:
        self.wave, self.contracts, self.dedup = told, Queues(), Cases()  # type: ignore[abstract]
        self.playbooks, self.outreach = HandOvers(), Proposals()  # type: ignore[abstract]
        self.serves = True

    def itself(self, agency: str) -> tuple[()]:
        return ()

    async def serving(self, room: str) -> bool:
        return self.serves

    async def ask(self, who: Any, method: Any, request: Any, timeout_s: float) -> Any:
        try:
            return await method(request, None)
        except Away as error:
            raise Refused("UNAVAILABLE", str(error), away=True) from error


async def test_when_the_wave_is_gone_its_figures_stand_still_and_say_since_when() -> None:
    began = at = now_ms()
    rooms = Rooms(Wave())  # type: ignore[abstract]
    reader = Reader(cast(Calls, rooms), Scope(), ("wave",), clock=lambda: at)
    caller = rpc.CALLER.set(Caller("console", frozenset({Role.AUDITOR}), "", 0))
    try:
        rooms.dedup.crowded = True
        before = await reader.read()
        assert [one.incident.incident_id for one in before.incidents] == ["an-incident"]
        assert (before.counted_ms, before.in_danger, before.to_decide) == (began, 2, 1)
        rooms.wave.away, rooms.serves = True, False
        at += 10 * MINUTE_MS
        after = await reader.read()
    finally:
        rpc.CALLER.reset(caller)
    assert after.missing >= {"minutes", "quarter"}
    assert (after.at_ms, after.counted_ms) == (at, began)
    assert figures.rate(after) == figures.rate(before)
    assert figures.chart(after) == figures.chart(before)
    assert figures.rate(after).contacts == 42


async def test_a_wave_that_was_never_there_is_no_picture() -> None:
    rooms = Rooms(Wave())  # type: ignore[abstract]
    rooms.wave.away, rooms.serves = True, False
    reader = Reader(cast(Calls, rooms), Scope(), ("wave",))
    caller = rpc.CALLER.set(Caller("console", frozenset({Role.AUDITOR}), "", 0))
    try:
        for _ in range(2):
            with pytest.raises(Refused):
                await reader.read()
    finally:
        rpc.CALLER.reset(caller)


async def test_what_waits_for_a_person_leads_to_it(tmp_path: Path) -> None:
    hand_overs, proposals = HandOvers(), Proposals()  # type: ignore[abstract]
    asked = [
        partial(playbooks_pb2_grpc.add_PlaybookServiceServicer_to_server, hand_overs),
        partial(service_pb2_grpc.add_OutreachServiceServicer_to_server, proposals),
    ]
    async with desk(tmp_path, *rooms(Wave()), *asked) as on:  # type: ignore[abstract]
        page = (await on.get("/wave", Role.COORDINATOR)).text
        assert '<a href="/cases">A life is in danger: 2 cases wait for a person</a>' in page
        assert '<a href="/outreach/proposals">1 proposal waits for a decision</a>' in page
        assert 'href="/cases/incidents/an-incident"' in page
        assert 'class="wave decides"' in page
        # Who may not decide is not led there.
        assert 'class="wave"' in (await on.get("/wave", Role.AGENT)).text
        drills = (await on.get("/wave?drill=1", Role.COORDINATOR)).text
        assert "A life is in danger: 1 case waits" in drills


async def test_the_first_view_of_a_large_centre_fits_a_slow_phone(tmp_path: Path) -> None:
    told = Wave()  # type: ignore[abstract]
    told.of_each = 35
    async with desk(tmp_path, *rooms(told)) as on:
        answer = await on.get("/wave", Role.COORDINATOR, "ar", accept_encoding="gzip")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.text.count("<bdi>agency-") >= 34
        named = set(re.findall(r"/static/([\w.-]+)\?", answer.text)) | {"icons.svg"}
        scripts = ("arabic", "latin")
        named |= {f"plex-{script}-{weight}.woff2" for script in scripts for weight in (400, 600)}
        sent = sum(Static().bytes_sent(name) for name in named)
        assert sent + int(answer.headers["content-length"]) <= 200_000
        plain = await on.get("/wave", Role.COORDINATOR, "ar", accept_encoding="identity")
        assert "content-encoding" not in plain.headers
