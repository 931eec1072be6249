"""What the Cloud API's error codes mean, as data. Pure.

Source: Meta, "WhatsApp Business Platform: error codes" (developers.facebook.com, as of May 2026),
which asks to go by `code` and never by its title. The codes 1, 2 and 131000 ("something went
wrong") are left out on purpose: with a status of 5xx they do not say that nothing was sent.
"""

from collections.abc import Mapping
from types import MappingProxyType

from services.broadcast.carriers.base import ReceiptState
from services.broadcast.carriers.errors import SendError

BY_CODE: Mapping[int, SendError] = MappingProxyType(
    {
        # About the token and the account: another attempt helps once they are mended.
        0: SendError.NOT_BOUND,
        3: SendError.NOT_BOUND,
        10: SendError.NOT_BOUND,
        33: SendError.NOT_BOUND,
        190: SendError.NOT_BOUND,
        368: SendError.NOT_BOUND,
        131005: SendError.NOT_BOUND,
        131031: SendError.NOT_BOUND,
        131037: SendError.NOT_BOUND,
        131045: SendError.NOT_BOUND,
        131057: SendError.NOT_BOUND,
        133010: SendError.NOT_BOUND,
        131042: SendError.NO_CREDIT,
        # Too fast, for the app, the account, the number, or one person.
        4: SendError.THROTTLED,
        80007: SendError.THROTTLED,
        130429: SendError.THROTTLED,
        131048: SendError.THROTTLED,
        131056: SendError.TEMPORARY,
        131016: SendError.SYSTEM_ERROR,
        132015: SendError.NOT_PERMITTED,
        132016: SendError.NOT_PERMITTED,
        # About the person.
        131021: SendError.INVALID_DESTINATION,
        131026: SendError.INVALID_DESTINATION,
        130497: SendError.NOT_PERMITTED,
        130472: SendError.NOT_PERMITTED,
        131047: SendError.NOT_PERMITTED,
        131049: SendError.NOT_PERMITTED,
        131050: SendError.OPTED_OUT,
        # About what we wrote.
        100: SendError.MALFORMED,
        131008: SendError.MALFORMED,
        131009: SendError.MALFORMED,
        131051: SendError.MALFORMED,
        132000: SendError.MALFORMED,
        132001: SendError.NOT_PERMITTED,
        132005: SendError.REJECTED_CONTENT,
        132007: SendError.REJECTED_CONTENT,
        132012: SendError.REJECTED_CONTENT,
    }
)
"""131047: nobody wrote to us in 24 hours, so that only a template may go. 131049: Meta chose not to
deliver it. 131048: too much was reported as spam. 130472: the person is in an experiment of Meta's.
"""

PERMISSIONS = range(200, 300)
"""Every one of these is a permission that is missing."""

BY_STATUS: Mapping[int, SendError] = MappingProxyType(
    {401: SendError.NOT_BOUND, 403: SendError.NOT_BOUND, 429: SendError.THROTTLED}
)
"""For an answer without a code that is known."""

BY_WORD: Mapping[str, ReceiptState] = MappingProxyType(
    {
        "sent": ReceiptState.ENROUTE,
        "delivered": ReceiptState.DELIVERED,
        # "read" may come without "delivered" (status reference): who read it has it.
        "read": ReceiptState.DELIVERED,
        "failed": ReceiptState.REJECTED,
    }
)
"""A status of the webhook; one that is not here ("deleted", "warning") says nothing."""


def error_of(code: object) -> SendError | None:
    """The error behind a code; None for one that says nothing definite."""
    if not isinstance(code, int) or isinstance(code, bool):
        return None
    return SendError.NOT_BOUND if code in PERMISSIONS else BY_CODE.get(code)


def failed_as(code: object) -> ReceiptState:
    """What became of a message whose status is "failed" with `code`."""
    error = error_of(code)
    if error is SendError.INVALID_DESTINATION:
        return ReceiptState.UNDELIVERABLE
    return ReceiptState.EXPIRED if error is SendError.EXPIRED else ReceiptState.REJECTED
