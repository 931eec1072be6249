"""A message and an account for carriers behind HTTP APIs."""

from typing import Any

from services.broadcast.carriers.base import (
    OutMessage,
)
from services.broadcast.carriers.web import WebConfig
from tests.web_peers import (
    AUTHORIZATION,
)

ARABIC = "انقطاع المياه في المنطقة الصناعية 💧 [€]"


def message(number: int = 0, **changes: Any) -> OutMessage:
    values: dict[str, Any] = {
        "key": f"key-{number}-1",
        "destination": f"+9995{number:08d}",
        "sender": "MAWJA",
        "text": ARABIC,
        "language": "ar",
        "parts": 2,
        "reference": number + 1,
        "drill": True,
    }
    return OutMessage(**values | changes)


def config(url: str, **changes: Any) -> WebConfig:
    values: dict[str, Any] = {
        "name": "web",
        "declared": "test",
        "url": url,
        "authorization": AUTHORIZATION,
        "response_timeout_s": 0.4,
        "late_s": 5.0,
        "retry_min_s": 0.02,
        "stop_within_s": 0.2,
    }
    return WebConfig(**values | changes)
