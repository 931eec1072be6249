"""Deliveries that are signed as Standard Webhooks 1.0 says. Pure.

    webhook-id: unique id of the delivery
    webhook-timestamp: Unix seconds
    webhook-signature: v1,base64(HMAC-SHA-256(secret, "{id}.{timestamp}.{body}"))

Several signatures stand apart by spaces, while a secret is changed for another.
"""

import base64
import binascii
import hmac

TOLERANCE_S = 300
"""A delivery's timestamp may be so far from now: what is older may be somebody's recording."""
LEAST_SECRET = 24
"""Bytes; Standard Webhooks asks for 24 to 64."""


def verify(secret: bytes, delivery: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the space-separated signatures is right. Constant time."""
    # Headers are bytes that may be anything: what is not UTF-8 comes as surrogates.
    signed = f"{delivery}.{timestamp}.".encode(errors="surrogateescape") + body
    expected = b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256"))
    return any(
        hmac.compare_digest(expected, candidate.encode(errors="surrogateescape"))
        for candidate in signatures.split(" ")
    )


def fresh(timestamp: str, now_ms: int) -> bool:
    """Whether a delivery's timestamp is near enough to `now_ms` (Unix ms)."""
    try:
        return abs(now_ms / 1000 - int(timestamp)) <= TOLERANCE_S
    except (ValueError, OverflowError):
        return False


def secret_of(text: str) -> bytes:
    """The secret as people hand it over: base64, with or without the prefix whsec_.

    Raises ValueError saying what it must be.
    """
    try:
        secret = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"a webhook's secret is base64 of at least {LEAST_SECRET} bytes")
    return secret
