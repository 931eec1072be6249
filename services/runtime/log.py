"""JSON logs: a sentence and structured fields, one line each, on standard error.

Fields never hold numbers, texts or names. As a second line of defence, anything shaped like a
telephone number is blotted out of every line before it is written.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_NUMBER = re.compile(r"\+\d{7,}")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Logger = structlog.stdlib.BoundLogger


def _blot(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _blotted(value)
    return event


def _blotted(value: Any) -> Any:
    if isinstance(value, str):
        return _NUMBER.sub("[number]", value) if "+" in value else value
    if isinstance(value, dict):
        return {_blotted(k): _blotted(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_blotted(v) for v in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _blotted(repr(value))


def configure(service: str, level: str) -> None:
    """Sets the process's logging up once. `level` is one of debug, info, warning, error."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _blot,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(ensure_ascii=False),
            foreign_pre_chain=shared,
        )
    )
    # The libraries tell of every reconnect; what matters of it reaches us as an error or a metric.
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)
    # Fifty lines a second, as errors, for as long as a broker is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # It quotes what it could not parse.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)


def get(name: str) -> Logger:
    """A logger; `name` is the room's verb, e.g. "intake.submit"."""
    logger: Logger = structlog.get_logger(verb=name)
    return logger
