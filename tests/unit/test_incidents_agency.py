"""Of an incident that concerns several agencies each liaison sees the texts of their own."""

from pathlib import Path
from typing import Any, cast

import pytest
from mawja.dedup.v1 import service_pb2

from services.dedup.catalogue import Catalogue
from services.dedup.incidents.places import Gazetteer
from services.dedup.incidents.server import IncidentServicer
from services.dedup.incidents.views import Shown
from services.dedup.server import asked_agency
from services.runtime import privacy, rpc
from services.runtime.errors import Forbidden, NotFound
from services.runtime.identity import Caller, Role
from services.runtime.privacy import Keyring
from tests.incidents_desk import NOW, Desk

ANYBODY = Caller("c", frozenset({Role.COORDINATOR}), "", NOW)
NOBODY = Caller("n", frozenset({Role.LIAISON}), "", NOW)


def liaison(agency: str) -> Caller:
    return Caller("l", frozenset({Role.LIAISON}), agency, NOW)


class Shelf:
    """A view that is a dict."""

    def __init__(self, entries: dict[str, bytes]) -> None:
        self.entries = entries

    async def get(self, *keys: str) -> list[bytes | None]:
        return [self.entries.get(key) for key in keys]

    async def range(self, index: str, first: int, last: int) -> list[bytes]:
        return []


async def test_a_liaison_sees_the_samples_of_their_own_agency(tmp_path: Path) -> None:
    privacy.create(tmp_path, NOW)
    ring, desk = Keyring(tmp_path), Desk()
    told = {
        "fire": ("نفق خيطان غرق بالماي والسيارات عالقة وسط النفق", "ar", "civil-defence"),
        "road": ("Khaitan underpass is flooded, cars are stuck in the water", "en", "roads"),
    }
    for minute, (name, (text, language, agency)) in enumerate(told.items()):
        sealed = ring.seal("text", text, NOW)
        desk.say(name, text, minute, language=language, agency=agency, sealed_text=sealed)
    [group] = desk.state.everything()
    items = Shown(0).items(desk.state, [group.incident_id], (), 1)
    none = cast(Any, None)
    servicer = IncidentServicer(
        none, none, none, ring, none, Catalogue(iter(())), none, Gazetteer({})
    )
    servicer.watch_incidents(cast(Any, Shelf({i.key: i.payload for i in items})), none)
    request = service_pb2.GetIncidentRequest(incident_id=group.incident_id)

    async def seen() -> list[str]:
        shown = (await servicer.GetIncident(request, none)).incident
        assert not shown.incident.samples
        return [sample.language for sample in shown.samples]

    rpc.CALLER.set(ANYBODY)
    assert sorted(await seen()) == ["ar", "en"]
    rpc.CALLER.set(liaison("roads"))
    assert await seen() == ["en"]
    for other in (liaison("water"), NOBODY):
        rpc.CALLER.set(other)
        with pytest.raises(NotFound):
            await seen()


async def test_a_liaison_of_no_agency_lists_nothing() -> None:
    rpc.CALLER.set(NOBODY)
    with pytest.raises(Forbidden):
        asked_agency("")
    rpc.CALLER.set(liaison("roads"))
    assert asked_agency("") == "roads"
    with pytest.raises(Forbidden):
        asked_agency("water")
    rpc.CALLER.set(ANYBODY)
    assert (asked_agency(""), asked_agency("water")) == ("", "water")
