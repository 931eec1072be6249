"""A campaign that is watched through a pipe: its last figures are told, whenever they come."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign, WatchCampaignResponse
from rich.console import Console

from services.runtime.errors import Away, NotFound
from services.tools.campaigns import live

RUNNING = campaigns_pb2.CAMPAIGN_STATE_RUNNING
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED


def seen(delivered: int, state: int = RUNNING) -> WatchCampaignResponse:
    bucket = campaigns_pb2.BUCKET_DELIVERED
    return WatchCampaignResponse(
        campaign=Campaign(state=state),  # type: ignore[arg-type]
        buckets=[BucketCount(bucket=bucket, recipients=delivered)],
        recipients=9,
        eta_ms=-1,
    )


class Office:
    """Tells what it is given, one after the other; what is called may wait or raise."""

    def __init__(self, *told: WatchCampaignResponse | Callable[[], object]) -> None:
        self._told = iter(told)

    def watch(self, campaign_id: str) -> Iterator[WatchCampaignResponse]:
        """The campaign."""
        for one in self._told:
            if isinstance(one, WatchCampaignResponse):
                yield one
            else:
                one()


def watched(office: Office) -> None:
    live.watch(cast(Any, office), "c", Console(force_terminal=False), as_json=False)


def failing(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def test_what_comes_soon_after_a_line_and_is_the_last_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "_PLAIN_EVERY_S", 0.1)
    quiet = threading.Event()
    watched(Office(seen(1), seen(2), seen(3), lambda: quiet.wait(0.35), seen(9, COMPLETED)))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("delivered ")[1].split()[0] for line in lines] == ["1", "3", "9"]


def test_an_outage_is_told_and_what_is_wrong_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "_AGAIN_S", 0.01)
    with pytest.raises(NotFound):
        watched(Office(seen(1), failing(Away("it is away")), failing(NotFound("it is gone"))))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["it is away"]
