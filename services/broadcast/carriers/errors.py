"""Why a carrier did not take a part: a closed list, and the table from SMPP statuses to it. The
tables of other carriers stand with them (``http.py``, ``whatsapp_codes.py``).

Every error here is a *definite* refusal: the carrier does not have the part, so another attempt
can't become a second SMS. What may have arrived (a timeout, a lost bind) is not an error but
``Unknown``, and has no place in this list. ``retry`` says whether another attempt at the same
carrier can help; ``throttle`` whether it should be fed slower first (after an error of its own:
when they are frequent); ``fault`` whether another carrier may be asked, and what the refusal says
of this one.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from services.runtime.smpp import Status


class Fault(enum.Enum):
    """Where the reason of a refusal lies."""

    MESSAGE = "message"
    """In the message or the number: no other carrier is asked."""
    RULES = "rules"
    """In what this carrier allows us: another may, and this one is well."""
    PACE = "pace"
    """In how fast it is fed: another is asked when that lasts."""
    CARRIER = "carrier"
    """In the carrier: another is asked, and this one gets less."""


class SendError(enum.Enum):
    """A definite refusal."""

    NOT_SENT = ("not_sent", True, False, Fault.CARRIER)
    """It never left this process: no bind, no room in the window in time, or a stop."""
    DRILL_ON_LIVE = ("drill_on_live", False, False, Fault.MESSAGE)
    """A drill message was about to reach a carrier declared live; nothing was written."""
    MALFORMED = ("malformed", False, False, Fault.MESSAGE)
    """We built a request that SMPP does not allow: a fault of ours."""
    THROTTLED = ("throttled", True, True, Fault.PACE)
    QUEUE_FULL = ("queue_full", True, True, Fault.PACE)
    SYSTEM_ERROR = ("system_error", True, True, Fault.CARRIER)
    TEMPORARY = ("temporary", True, False, Fault.CARRIER)
    NOT_BOUND = ("not_bound", True, False, Fault.CARRIER)
    """The carrier says this bind may not submit (now)."""
    INVALID_DESTINATION = ("invalid_destination", False, False, Fault.MESSAGE)
    INVALID_SENDER = ("invalid_sender", False, False, Fault.RULES)
    REJECTED_CONTENT = ("rejected_content", False, False, Fault.MESSAGE)
    NOT_PERMITTED = ("not_permitted", False, False, Fault.RULES)
    OPTED_OUT = ("opted_out_at_carrier", False, False, Fault.MESSAGE)
    """The person asked the carrier itself for no more messages."""
    NO_CREDIT = ("no_credit", True, True, Fault.CARRIER)
    """The account is empty or its bill unpaid; another attempt helps once somebody has paid."""
    EXPIRED = ("expired", False, False, Fault.MESSAGE)
    """Its validity had ended when it arrived."""
    REFUSED = ("refused", False, False, Fault.MESSAGE)
    """Refused for a reason that only this carrier knows; its status is beside the error."""

    def __init__(self, code: str, retry: bool, throttle: bool, fault: Fault) -> None:
        self.code = code
        self.retry = retry
        self.throttle = throttle
        self.fault = fault


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


def said_by(status: int, table: Mapping[int, SendError]) -> SendError | None:
    """What an HTTP status alone says of a message; None where it says neither that the API has it
    nor that it has not."""
    if status >= 500 or status < 300:
        return None
    # Sent elsewhere (3xx): the address is not right, and nobody followed.
    return table.get(status, SendError.NOT_BOUND if status < 400 else SendError.REFUSED)
