"""How long the certificates that a process holds are still good, as a metric.

It is reckoned when somebody asks, of what is held then: a file that was renewed and can't be taken
up still shows the end of the one that is in use.
"""

import math
from collections.abc import Callable

from cryptography import x509

from services.runtime import metrics
from services.runtime.clock import now_ms

Pem = Callable[[], bytes]


def show(used_for: str, certificate: Pem, authority: Pem) -> None:
    """Shows until when a process is believed by its `certificate`, and believes others by their
    `authority`, for what both are `used_for`. Of a chain that is until the first of it ends; of
    authorities, of which one may replace the other, until the last."""
    metrics.CERTIFICATE_ENDS_S.labels(used_for, "certificate").set_function(
        lambda: min(_left_s(certificate()))
    )
    metrics.CERTIFICATE_ENDS_S.labels(used_for, "authority").set_function(
        lambda: max(_left_s(authority()))
    )


def _left_s(pem: bytes) -> list[float]:
    try:
        held = x509.load_pem_x509_certificates(pem)
    except ValueError:
        # OpenSSL has taken it and reads more than this; no other metric may be lost by that.
        return [math.nan]
    now_s = now_ms() / 1000
    return [one.not_valid_after_utc.timestamp() - now_s for one in held]
