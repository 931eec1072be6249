"""Why a carrier did not take a part: a closed list, and the table from SMPP statuses to it.

Every error here is a *definite* refusal: the carrier does not have the part, so another attempt
can't become a second SMS. What may have arrived (a timeout, a lost bind) is not an error but
``Unknown``, and has no place in this list. ``retry`` says whether another attempt can help;
``throttle`` whether the route should slow down first.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from services.runtime.smpp import Status


class SendError(enum.Enum):
    """A definite refusal."""

    NOT_SENT = ("not_sent", True, False)
    """It never left this process: no bind, no room in the window in time, or a stop."""
    DRILL_ON_LIVE = ("drill_on_live", False, False)
    """A drill message was about to reach a carrier declared live; nothing was written."""
    MALFORMED = ("malformed", False, False)
    """We built a request that SMPP does not allow: a fault of ours."""
    THROTTLED = ("throttled", True, True)
    QUEUE_FULL = ("queue_full", True, True)
    SYSTEM_ERROR = ("system_error", True, True)
    TEMPORARY = ("temporary", True, False)
    NOT_BOUND = ("not_bound", True, False)
    """The carrier says this bind may not submit (now)."""
    INVALID_DESTINATION = ("invalid_destination", False, False)
    INVALID_SENDER = ("invalid_sender", False, False)
    REJECTED_CONTENT = ("rejected_content", False, False)
    NOT_PERMITTED = ("not_permitted", False, False)
    EXPIRED = ("expired", False, False)
    """Its validity had ended when it arrived."""
    REFUSED = ("refused", False, False)
    """Refused for a reason that only this carrier knows; its status is beside the error."""

    def __init__(self, code: str, retry: bool, throttle: bool) -> None:
        self.code = code
        self.retry = retry
        self.throttle = throttle


BY_STATUS: Mapping[int, SendError] = MappingProxyType(
    {
        Status.ESME_RINVMSGLEN: SendError.REJECTED_CONTENT,
        Status.ESME_RINVCMDLEN: SendError.MALFORMED,
        Status.ESME_RINVCMDID: SendError.MALFORMED,
        Status.ESME_RINVBNDSTS: SendError.NOT_BOUND,
        Status.ESME_RINVPRTFLG: SendError.MALFORMED,
        Status.ESME_RINVREGDLVFLG: SendError.MALFORMED,
        Status.ESME_RSYSERR: SendError.SYSTEM_ERROR,
        Status.ESME_RINVSRCADR: SendError.INVALID_SENDER,
        Status.ESME_RINVDSTADR: SendError.INVALID_DESTINATION,
        Status.ESME_RMSGQFUL: SendError.QUEUE_FULL,
        Status.ESME_RINVSERTYP: SendError.NOT_PERMITTED,
        Status.ESME_RINVESMCLASS: SendError.REJECTED_CONTENT,
        Status.ESME_RSUBMITFAIL: SendError.TEMPORARY,
        Status.ESME_RINVSRCTON: SendError.INVALID_SENDER,
        Status.ESME_RINVSRCNPI: SendError.INVALID_SENDER,
        Status.ESME_RINVDSTTON: SendError.INVALID_DESTINATION,
        Status.ESME_RINVDSTNPI: SendError.INVALID_DESTINATION,
        Status.ESME_RINVSYSTYP: SendError.NOT_PERMITTED,
        Status.ESME_RINVREPFLAG: SendError.MALFORMED,
        Status.ESME_RINVNUMMSGS: SendError.MALFORMED,
        Status.ESME_RTHROTTLED: SendError.THROTTLED,
        Status.ESME_RINVSCHED: SendError.MALFORMED,
        Status.ESME_RINVEXPIRY: SendError.EXPIRED,
        Status.ESME_RINVDFTMSGID: SendError.MALFORMED,
        Status.ESME_RX_T_APPN: SendError.TEMPORARY,
        Status.ESME_RX_P_APPN: SendError.REFUSED,
        Status.ESME_RX_R_APPN: SendError.REFUSED,
        Status.ESME_RINVOPTPARSTREAM: SendError.MALFORMED,
        Status.ESME_ROPTPARNOTALLWD: SendError.NOT_PERMITTED,
        Status.ESME_RINVPARLEN: SendError.MALFORMED,
        Status.ESME_RMISSINGOPTPARAM: SendError.MALFORMED,
        Status.ESME_RINVOPTPARAMVAL: SendError.MALFORMED,
        Status.ESME_RDELIVERYFAILURE: SendError.REFUSED,
        Status.ESME_RUNKNOWNERR: SendError.REFUSED,
    }
)


def error_of(status: int, overrides: Mapping[int, SendError] = MappingProxyType({})) -> SendError:
    """The error behind a non-zero ``command_status``; ``overrides`` is the carrier's own table.

    A status that no table knows is ``REFUSED``: definite, and not worth another attempt.
    """
    return overrides.get(status) or BY_STATUS.get(status, SendError.REFUSED)
