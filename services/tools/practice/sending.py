"""Sends exercises: each is a synthetic caller who hung up, so that an agent calls back."""

import asyncio
from collections.abc import Callable, Iterable

from grpc.aio import AioRpcError
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake.client import CallReporter, ContactStream
from services.runtime import channels
from services.runtime.clock import now_ms
from services.runtime.errors import MawjaError
from services.tools.asked import error_of
from services.tools.practice.exercises import Made

_RANG_MS = 60_000
_HUNG_UP_MS = 30_000


def contact(made: Made, source: str, at_ms: int) -> service_pb2.Contact:
    """The caller, who rang a minute before `at_ms` (Unix ms). Whose matter it is the agent says."""
    return service_pb2.Contact(
        source=source,
        idempotency_key=made.key,
        channel=common_pb2.CHANNEL_VOICE,
        line=made.line,
        language=made.language,
        number=made.number,
        text=made.exercise.says,
        event_ms=at_ms - _RANG_MS,
        drill=True,
        exercise=made.exercise,
    )


def calls(made: Made, source: str, at_ms: int) -> tuple[service_pb2.ReportedCall, ...]:
    """What the telephone system tells of the call: it rang, and nobody answered in time."""
    return tuple(
        service_pb2.ReportedCall(
            source=source,
            contact_key=made.key,
            state=state,
            number=made.number,
            line=made.line,
            language=made.language,
            event_ms=at_ms - before_ms,
            queue_wait_ms=_RANG_MS - before_ms,
            drill=True,
        )
        for state, before_ms in (
            (events_pb2.CALL_STATE_OFFERED, _RANG_MS),
            (events_pb2.CALL_STATE_ABANDONED, _HUNG_UP_MS),
        )
    )


async def send(
    target: str,
    token: str,
    source: str,
    exercises: Iterable[Made],
    pause_s: float,
    sent: Callable[[Made], None],
) -> None:
    """Sends every exercise, `pause_s` seconds after the one before, and waits until intake has
    them. `sent` is told of each. Raises MawjaError when intake refuses one, Forbidden and
    Unauthenticated when it refuses who sends."""
    refused: list[str] = []

    def answered(answer: service_pb2.SubmitContactsResponse) -> None:
        if answer.HasField("refused"):
            refused.append(answer.refused.message)

    async with channels.channel(target, channels.folder_of()) as channel:
        stream, reporter = ContactStream(channel, token), CallReporter(channel, token)
        try:
            for number, made in enumerate(exercises):
                if number and pause_s:
                    await asyncio.sleep(pause_s)
                at_ms = now_ms()
                await stream.submit(contact(made, source, at_ms), answered)
                for call in calls(made, source, at_ms):
                    reporter.report(call)
                sent(made)
            await asyncio.gather(stream.close(), reporter.close())
        except AioRpcError as error:
            raise error_of(error, "intake", target) from None
        finally:
            stream.abort()
            reporter.abort()
    refused += [one.refusal.message for one in reporter.refused]
    if refused:
        raise MawjaError(f"intake refused {len(refused)} exercises: {refused[0]}")
