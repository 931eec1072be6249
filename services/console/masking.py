"""What a page holds of a secret: never the same bytes twice, so that the length of many compressed
pages tells nothing of it (BREACH)."""

import base64
import binascii
import secrets


def masked(secret: str) -> str:
    """`secret` as a page may hold it: a new pad, and the secret under it."""
    plain = secret.encode()
    pad = secrets.token_bytes(len(plain))
    return base64.urlsafe_b64encode(pad + _under(plain, pad)).decode()


def unmasked(said: str) -> str:
    """What `masked` was given; empty when it is nothing of the kind."""
    try:
        both = base64.b64decode(said.encode(), altchars=b"-_", validate=True)
        half = len(both) // 2
        return _under(both[half:], both[:half]).decode()
    except (ValueError, binascii.Error):
        return ""


def _under(plain: bytes, pad: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(plain, pad, strict=True))
