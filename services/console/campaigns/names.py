"""What states, buckets, reasons and languages are called on the pages: English, marked for the
catalogue. Pure."""

from collections.abc import Callable, Mapping

from services.console.words import N_

STATES: Mapping[str, str] = {
    "draft": N_("Draft"),
    "rehearsing": N_("Rehearsing"),
    "rehearsed": N_("Waits for approval"),
    "approved": N_("Approved"),
    "running": N_("Running"),
    "paused": N_("Paused"),
    "completed": N_("Completed"),
    "cancelled": N_("Cancelled"),
    "recalled": N_("Recalled"),
}
KINDS: Mapping[str, str] = {
    "information": N_("Information"),
    "marketing": N_("Marketing"),
    "emergency": N_("Emergency"),
}
BUCKETS: Mapping[str, str] = {
    "delivered": N_("Delivered"),
    "under_way": N_("Under way"),
    "waiting": N_("Waiting"),
    "unknown": N_("Unknown"),
    "failed": N_("Failed"),
    "expired": N_("Not sent in time"),
    "held_back": N_("Held back to compare"),
    "opted_out": N_("Want no messages"),
    "suppressed": N_("Not sent, by a rule"),
    "duplicate": N_("Listed twice"),
    "invalid": N_("No usable number"),
    "cancelled": N_("Cancelled before sending"),
}
REASONS: Mapping[str, str] = {
    "": N_("no reason given"),
    "expired": N_("not sent in time"),
    "opt-out": N_("want no messages"),
    "opted_out": N_("want no messages"),
    "opted_out_at_carrier": N_("told the carrier that they want no messages"),
    "kind-forbidden": N_("this kind may not be sent there"),
    "sender-not-registered": N_("the sender is not registered there"),
    "sender-not-marked": N_("the sender lacks the mark that is asked for there"),
    "quiet-hours": N_("quiet hours"),
    "frequency-cap": N_("had enough messages for now"),
    "expires-in-quiet-hours": N_("quiet hours last beyond its end"),
    "expires-under-cap": N_("had enough messages until its end"),
    "deferred": N_("quiet hours or caps at the start"),
    "held-back": N_("held back to compare"),
    "held_back": N_("held back to compare"),
    "field-missing": N_("a placeholder can't be filled"),
    "no-text": N_("no text in their language"),
    "text-not-sendable": N_("no carrier can write the text"),
    "no-route": N_("no carrier serves the number"),
    "erased": N_("erased"),
    "damaged": N_("can't be read"),
    "withheld": N_("withheld number"),
    "duplicate": N_("listed twice"),
    "invalid": N_("no usable number"),
    "invalid-number": N_("no usable number"),
    "invalid-destination": N_("no usable number"),
    "invalid_destination": N_("the carrier does not know the number"),
    "other-agency": N_("of another agency"),
    "drill": N_("synthetic and real numbers are not mixed"),
    "suppressed": N_("by a rule"),
    "cancelled": N_("cancelled before sending"),
    "not_sent": N_("never left the centre"),
    "malformed": N_("a fault of the centre's own"),
    "drill_on_live": N_("a drill may not use a live carrier"),
    "throttled": N_("the carrier wanted it slower"),
    "queue_full": N_("the carrier's queue was full"),
    "system_error": N_("the carrier had an error"),
    "temporary": N_("the carrier could not for now"),
    "not_bound": N_("not connected to the carrier"),
    "invalid_sender": N_("the carrier does not know the sender"),
    "rejected_content": N_("the carrier rejected the text"),
    "not_permitted": N_("the carrier does not allow it"),
    "no_credit": N_("the account at the carrier is empty"),
    "refused": N_("the carrier refused it"),
    "claim-too-old": N_("its time at the carrier had passed"),
    "synthetic-number": N_("synthetic and real numbers are not mixed"),
    "no-receipt": N_("no receipt came"),
    "restored": N_("the log was restored from a backup: it may have been sent"),
    "number-missing": N_("no number in the row"),
    "total": N_("a total, not a person"),
    "digits-lost": N_("digits lost in a spreadsheet"),
    "number-characters": N_("letters in the number"),
    "several-numbers": N_("more than one number in the cell"),
    "extension": N_("a number with an extension"),
    "too-short": N_("too few digits"),
    "too-long": N_("too many digits"),
    "country-unknown": N_("no country has this code"),
    "country-needed": N_("no country code"),
    "plus-needed": N_("not of the file's country"),
    "not-a-number": N_("not a telephone number"),
    "language": N_("the language is not known"),
    "text-too-long": N_("a cell is too long"),
    "control-character": N_("control characters"),
    "not-in-encoding": N_("letters that can't be read"),
    "too-many-cells": N_("too many cells in the row"),
    "row-too-long": N_("the row is too long"),
    "quotes": N_("quotation marks not closed"),
    "cell-error": N_("an error in the cell"),
}
OBVIOUS = frozenset(
    {"opt-out", "opted_out", "duplicate", "held-back", "held_back", "expired", "cancelled"}
)
"""Reasons that say no more than their bucket."""
WAITS: Mapping[str, str] = {
    "away": N_("not connected"),
    "throttled": N_("throttled by the carrier"),
    "unhealthy": N_("failing, tried with a few"),
    "pace": N_("at the pace agreed with it"),
    "window": N_("all that it may have at once is under way"),
}
CALLER_STATES: Mapping[str, str] = {"open": N_("Not met yet"), "resolved": N_("Met")}
CONTACT_KINDS: Mapping[str, str] = {
    "enquiry": N_("Question"),
    "complaint": N_("Complaint"),
    "request": N_("Request"),
    "feedback": N_("Feedback"),
}
USES: Mapping[str, str] = {
    "number": N_("telephone numbers"),
    "language": N_("languages"),
    "field": N_("a field that texts may name"),
}
RIGHT_TO_LEFT = frozenset({"ar", "fa", "ur", "ps", "he", "ckb", "sd", "ug", "dv", "yi"})
OFFERED = ("ar", "en", "ur", "hi", "bn", "ml", "ta", "te", "ne", "si", "fil", "fa", "ps", "fr")
"""Languages that the form offers; any other may be written."""


def reason(code: str, gettext: Callable[[str], str]) -> str:
    """A reason from a closed list; one that is not known here as it came."""
    known = REASONS.get(code)
    return gettext(known) if known is not None else code


def direction(tag: str) -> str:
    """How a language is written: "rtl" or "ltr"."""
    return "rtl" if tag.split("-")[0].lower() in RIGHT_TO_LEFT else "ltr"
