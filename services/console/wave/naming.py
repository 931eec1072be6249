"""What codes of the wave are called: channels, parts of the house, service levels. Pure."""

from collections.abc import Callable, Mapping

from mawja.wave.v1 import contracts_pb2 as contracts

Say = Callable[[str], str]
"""The catalogue's text of an English one."""


def channel(code: str, _: Say) -> str:
    """What a channel is called."""
    known = {
        "voice": _("Telephone"),
        "sms": _("SMS"),
        "whatsapp": _("WhatsApp"),
        "web": _("Web and app"),
        "social": _("Social networks"),
        "email": _("E-mail"),
        "sign_language_video": _("Sign-language video"),
    }
    return known.get(code, code)


def level(code: str, _: Say) -> str:
    """What a service level is called."""
    known = {
        "answered": _("Calls answered"),
        "answered_in_target": _("Answered within 20 seconds"),
        "handled_in_target": _("Handled within 4 minutes"),
        "first_contact_resolved": _("Resolved at first contact"),
    }
    return known.get(code, code)


def part(room: str, _: Say) -> str:
    """What a room does, in words of those who need it."""
    known = {
        "intake": _("Taking contacts in"),
        "dedup": _("Cases and incidents"),
        "wave": _("Counting the wave"),
        "outreach": _("Answers, callbacks and proposals"),
        "broadcast": _("Sending messages"),
        "reports": _("Making reports"),
    }
    return known.get(room, room)


def felt(room: str, _: Say) -> str:
    """What people feel while a room can't serve."""
    known = {
        "intake": _(
            "New contacts are not taken: telephone systems keep trying, web forms show an error."
        ),
        "dedup": _(
            "What came in is safe but waits: no new cases show, and nobody is answered by message."
        ),
        "wave": _("These figures stand still, and bursts are not noticed. Calls are not affected."),
        "outreach": _("Nobody gets automatic answers, agents get no callbacks. Nothing is lost."),
        "broadcast": _(
            "No message leaves and campaigns stand still. What was sent is not sent again."
        ),
        "reports": _("No scorecards and reports can be made. Nothing else is affected."),
    }
    return known.get(room, "")


def models(_: Say) -> Mapping[int, str]:
    """How an agency's calls are served."""
    return {
        contracts.SERVICE_MODEL_FULL_SERVICE: _("All calls are ours"),
        contracts.SERVICE_MODEL_OVERFLOW: _("Overflow"),
        contracts.SERVICE_MODEL_HOSTING: _("Hosted agents"),
        contracts.SERVICE_MODEL_INFRASTRUCTURE_ONLY: _("Lines and systems only"),
    }


def routes(_: Say) -> Mapping[int, str]:
    """Where a call goes."""
    return {
        contracts.ROUTE_OURS: _("to us"),
        contracts.ROUTE_HOSTED: _("to its agents here"),
        contracts.ROUTE_AGENCY: _("to the agency"),
    }


def reasons(_: Say) -> Mapping[int, str]:
    """Why a call goes there, where that is not the contract's ordinary case."""
    return {
        contracts.ROUTE_REASON_BEYOND_CAPACITY: _("more wait there than it can take"),
        contracts.ROUTE_REASON_AGENCY_FULL: _("its queue is full"),
        contracts.ROUTE_REASON_AGENCY_CLOSED: _("its queue is closed"),
        contracts.ROUTE_REASON_AGENCY_SILENT: _("it has not told its state for long"),
        contracts.ROUTE_REASON_SETTLING: _("its queue was full and settles"),
        contracts.ROUTE_REASON_CANNOT_TELL: _("its state can't be told"),
        contracts.ROUTE_REASON_WE_ARE_FULL: _("our queue is full"),
    }


def states(_: Say) -> Mapping[int, str]:
    """How a queue is."""
    return {
        contracts.QUEUE_CONDITION_ACTIVE: _("open"),
        contracts.QUEUE_CONDITION_INACTIVE: _("no agents"),
        contracts.QUEUE_CONDITION_DISABLED: _("switched off"),
        contracts.QUEUE_CONDITION_FULL: _("full"),
        contracts.QUEUE_CONDITION_STANDBY: _("ready"),
        contracts.QUEUE_CONDITION_RESOURCE_EXHAUSTED: _("takes no more"),
        contracts.QUEUE_CONDITION_UNREACHABLE: _("can't be reached"),
    }
