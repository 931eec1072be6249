"""How long a part has not answered, as a metric tells it."""

import asyncio
import contextlib

from prometheus_client import CollectorRegistry, Gauge

from services.runtime import answering


def gauge() -> tuple[CollectorRegistry, Gauge]:
    registry = CollectorRegistry()
    return registry, Gauge("silent_seconds", "x", registry=registry)


def test_it_grows_until_there_is_an_answer() -> None:
    registry, metric = gauge()
    silence = answering.Silence(metric)
    silence._answered_s -= 30
    assert 30 <= (registry.get_sample_value("silent_seconds") or 0) < 40
    silence.answered()
    assert (registry.get_sample_value("silent_seconds") or 99) < 5


async def test_only_a_yes_is_an_answer() -> None:
    for said, silent in ((True, False), (False, True)):
        registry, metric = gauge()
        silence = answering.Silence(metric)
        silence._answered_s -= 30

        async def ask(said: bool = said) -> bool:
            return said

        watching = asyncio.create_task(answering.watch(ask, silence))
        await asyncio.sleep(0.05)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        assert ((registry.get_sample_value("silent_seconds") or 0) >= 30) is silent
