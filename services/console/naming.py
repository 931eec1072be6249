"""What the rooms' codes are called on pages: states, ways, playbooks. Pure.

English here; the Arabic stands in the catalogues. A code that has no name is shown as it is.
"""

from collections.abc import Mapping

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import proposals_pb2

from services.console.words import N_

CHANNELS: Mapping[int, str] = {
    common_pb2.CHANNEL_VOICE: N_("Call"),
    common_pb2.CHANNEL_SMS: N_("SMS"),
    common_pb2.CHANNEL_WHATSAPP: N_("WhatsApp"),
    common_pb2.CHANNEL_WEB: N_("Web form"),
    common_pb2.CHANNEL_SOCIAL: N_("Social network"),
    common_pb2.CHANNEL_EMAIL: N_("E-mail"),
    common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO: N_("Sign-language call"),
}
ICONS: Mapping[int, str] = {
    common_pb2.CHANNEL_VOICE: "phone",
    common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO: "phone",
    common_pb2.CHANNEL_WEB: "globe",
    common_pb2.CHANNEL_SOCIAL: "globe",
}
KINDS: Mapping[int, str] = {
    common_pb2.CONTACT_KIND_ENQUIRY: N_("Enquiry"),
    common_pb2.CONTACT_KIND_COMPLAINT: N_("Complaint"),
    common_pb2.CONTACT_KIND_REQUEST: N_("Request"),
    common_pb2.CONTACT_KIND_FEEDBACK: N_("Feedback"),
}
CASES: Mapping[int, str] = {
    dedup.CASE_STATE_OPEN: N_("Open"),
    dedup.CASE_STATE_ASSIGNED: N_("Assigned"),
    dedup.CASE_STATE_RESOLVED: N_("Resolved"),
    dedup.CASE_STATE_MERGED: N_("Merged"),
}
LEVELS: Mapping[int, str] = {
    dedup.LINK_LEVEL_FIRST: N_("First contact of the case"),
    dedup.LINK_LEVEL_SAME_DELIVERY: N_("The same delivery again"),
    dedup.LINK_LEVEL_SAME_NEED: N_("Same person, same need"),
    dedup.LINK_LEVEL_OTHER_PERSON: N_("Another person, same need"),
    dedup.LINK_LEVEL_SAME_INCIDENT: N_("Same incident"),
    dedup.LINK_LEVEL_SAME_QUESTION: N_("Same question"),
    dedup.LINK_LEVEL_BY_HAND: N_("A person said so"),
}
CALLBACKS: Mapping[int, str] = {
    outreach.CALLBACK_STATE_DUE: N_("Waits to be called"),
    outreach.CALLBACK_STATE_WITHDRAWN: N_("Not needed any more"),
    outreach.CALLBACK_STATE_CLAIMED: N_("An agent has it"),
    outreach.CALLBACK_STATE_LATER: N_("To be called later"),
    outreach.CALLBACK_STATE_COMPLETED: N_("Called back"),
    outreach.CALLBACK_STATE_GIVEN_UP: N_("Given up"),
}
MESSAGES: Mapping[str, str] = {
    "QUEUED": N_("Waits to be sent"),
    "CLAIMED": N_("Being sent"),
    "RELEASED": N_("To be tried again"),
    "SUBMITTED": N_("With the carrier"),
    "UNKNOWN": N_("Nobody knows whether it arrived"),
    "DELIVERED": N_("Delivered"),
    "FAILED": N_("Not delivered"),
    "SUPPRESSED": N_("Held back by a rule"),
    "EXPIRED": N_("Not sent in time"),
}
PROPOSALS: Mapping[int, str] = {
    proposals_pb2.PROPOSAL_STATE_OPEN: N_("To be decided"),
    proposals_pb2.PROPOSAL_STATE_ACCEPTED: N_("Accepted"),
    proposals_pb2.PROPOSAL_STATE_DECLINED: N_("Declined"),
    proposals_pb2.PROPOSAL_STATE_EXPIRED: N_("Over"),
}
PLAYBOOKS: Mapping[str, str] = {
    "acknowledge": N_("Whoever wrote is told that we have it"),
    "answer": N_("A question with a known answer is answered"),
    "clarify": N_("Who may have meant two things is asked which"),
    "callback-offer": N_("Who hung up waiting is owed a call"),
    "callback-promised": N_("Who is called later is told when"),
    "callback-moved": N_("Who is called at another time is told so"),
    "callback-given-up": N_("Who could not be reached is told how to reach us"),
    "life-safety": N_("A life in danger is handed to a person"),
    "satisfaction": N_("Who was helped is asked how it went"),
    "waiting-status": N_("Who waits long is told so"),
    "burst-proposal": N_("A burst becomes a proposal"),
    "busy-line": N_("A busy line plays an announcement"),
}
EVENTS: Mapping[str, str] = {
    "case-opened": N_("when a case is opened"),
    "call-abandoned": N_("when a caller hangs up"),
    "question-answered": N_("when a question has a known answer"),
    "question-unclear": N_("when a question may be one of two"),
    "callback-promised": N_("when a call is promised"),
    "callback-moved": N_("when a promised call is moved"),
    "callback-given-up": N_("when a callback is given up"),
    "case-resolved": N_("when a case is resolved"),
    "waiting": N_("while somebody waits"),
    "life-safety": N_("when a life is in danger"),
    "burst": N_("when a burst begins"),
    "incident": N_("when an incident grows"),
}
DEEDS: Mapping[str, str] = {
    "message": N_("sends a message"),
    "callback": N_("owes a callback"),
    "satisfaction": N_("asks for a score"),
    "hand-over": N_("hands over to a person"),
    "announcement": N_("plays an announcement"),
    "proposal": N_("makes a proposal"),
}
LANGUAGES: Mapping[str, str] = {
    "ar": N_("Arabic"),
    "en": N_("English"),
    "hi": N_("Hindi"),
    "ur": N_("Urdu"),
    "bn": N_("Bengali"),
    "ml": N_("Malayalam"),
    "tl": N_("Tagalog"),
    "fa": N_("Persian"),
    "mul": N_("Several languages"),
}
