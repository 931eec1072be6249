"""Which roles may open which page and do which action: one table, by method and path.

The rooms enforce their own (`runtime/identity.py`); this table keeps from people what would only be
refused. A route without a row answers nobody. Each area has its own part.
"""

from collections.abc import Mapping

from services.runtime.identity import STAFF, Role

ACCOUNTABLE = STAFF - {Role.AGENT}
AUTHORS = frozenset({Role.COORDINATOR})
STOPPERS = frozenset({Role.COORDINATOR, Role.APPROVER})
DESK = frozenset({Role.AGENT, Role.COORDINATOR})
AGENTS = frozenset({Role.AGENT})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})

ANYBODY: frozenset[Role] = frozenset(Role)
"""Also who is not signed in."""

Table = Mapping[tuple[str, str], frozenset[Role]]

_DOOR: Table = {
    ("GET", "/"): ANYBODY,
    ("GET", "/sign-in"): ANYBODY,
    ("POST", "/sign-in"): ANYBODY,
    ("POST", "/sign-in/language"): ANYBODY,
    ("GET", "/sign-in/provider"): ANYBODY,
    ("GET", "/sign-in/provider/back"): ANYBODY,
    ("POST", "/sign-out"): STAFF,
    ("GET", "/live"): ANYBODY,
    ("GET", "/ready"): ANYBODY,
}
_WAVE: Table = {
    ("GET", "/wave"): STAFF,
    ("GET", "/wave/live"): STAFF,
    ("GET", "/wall"): STAFF,
}
_CAMPAIGN = "/campaigns/{campaign_id:uuid}"
_CAMPAIGNS: Table = {
    ("GET", "/campaigns"): STAFF,
    ("GET", _CAMPAIGN): STAFF,
    ("GET", f"{_CAMPAIGN}/live"): STAFF,
    ("GET", "/campaigns/lists"): STAFF,
    ("GET", "/campaigns/lists/{list_id:uuid}"): STAFF,
    ("GET", "/campaigns/lists/new"): AUTHORS,
    ("POST", "/campaigns/lists/callers"): AUTHORS,
    ("POST", "/campaigns/lists/subscribers"): AUTHORS,
    ("POST", "/campaigns/lists/upload"): AUTHORS,
    ("GET", "/campaigns/new"): AUTHORS,
    ("POST", "/campaigns/new"): AUTHORS,
    ("POST", "/campaigns/preview"): AUTHORS,
    ("POST", "/campaigns/estimate"): AUTHORS,
    ("GET", f"{_CAMPAIGN}/edit"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/edit"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/autosave"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/rehearse"): AUTHORS,
    ("GET", f"{_CAMPAIGN}/approve"): STOPPERS,
    ("POST", f"{_CAMPAIGN}/approve"): STOPPERS,
    ("GET", f"{_CAMPAIGN}/start"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/start"): AUTHORS,
    ("GET", f"{_CAMPAIGN}/pause"): STOPPERS,
    ("POST", f"{_CAMPAIGN}/pause"): STOPPERS,
    ("GET", f"{_CAMPAIGN}/resume"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/resume"): AUTHORS,
    ("GET", f"{_CAMPAIGN}/resend"): AUTHORS,
    ("POST", f"{_CAMPAIGN}/resend"): AUTHORS,
    ("GET", f"{_CAMPAIGN}/cancel"): STOPPERS,
    ("POST", f"{_CAMPAIGN}/cancel"): STOPPERS,
    ("GET", f"{_CAMPAIGN}/recall"): STOPPERS,
    ("POST", f"{_CAMPAIGN}/recall"): STOPPERS,
}
_OUTREACH: Table = {
    ("GET", "/outreach"): STAFF,
    ("GET", "/outreach/proposals"): ACCOUNTABLE,
    ("GET", "/outreach/proposals/{proposal_id}"): ACCOUNTABLE,
    ("POST", "/outreach/proposals/{proposal_id}/accept"): AUTHORS,
    ("POST", "/outreach/proposals/{proposal_id}/edit"): AUTHORS,
    ("POST", "/outreach/proposals/{proposal_id}/decline"): AUTHORS,
    ("GET", "/outreach/callbacks"): STAFF,
    ("GET", "/outreach/callbacks/queue"): STAFF,
    ("GET", "/outreach/callbacks/live"): STAFF,
    ("POST", "/outreach/callbacks/claim"): AGENTS,
    ("POST", "/outreach/callbacks/{callback_id}/extend"): AGENTS,
    ("POST", "/outreach/callbacks/{callback_id}/complete"): AGENTS,
    ("POST", "/outreach/callbacks/{callback_id}/no-answer"): AGENTS,
    ("POST", "/outreach/callbacks/{callback_id}/release"): DESK,
    ("POST", "/outreach/callbacks/{callback_id}/give-up"): AGENTS,
    ("GET", "/outreach/hand-overs"): STAFF,
    ("POST", "/outreach/hand-overs/{case_id}/confirm"): DESK,
    ("GET", "/outreach/playbooks"): STAFF,
    ("POST", "/outreach/playbooks/{name}/switch"): AUTHORS,
    ("GET", "/outreach/announcements"): STAFF,
    ("POST", "/outreach/announcements/set"): AUTHORS,
    ("POST", "/outreach/announcements/{announcement_id}/end"): STOPPERS,
}
_CASES: Table = {
    ("GET", "/cases"): STAFF,
    ("POST", "/cases/find"): STAFF,
    ("GET", "/cases/incidents"): STAFF,
    ("GET", "/cases/incidents/{incident_id}"): STAFF,
    ("GET", "/cases/{case}"): STAFF,
    ("POST", "/cases/{case_id}/assign"): DESK,
    ("POST", "/cases/{case_id}/triage"): DESK,
    ("POST", "/cases/{case_id}/resolve"): DESK,
    ("POST", "/cases/{case_id}/reopen"): DESK,
    ("POST", "/cases/{case_id}/note"): DESK | {Role.LIAISON},
    ("POST", "/cases/{case_id}/merge"): DESK,
    ("POST", "/cases/{case_id}/split"): DESK,
    ("POST", "/cases/{case_id}/unlink"): DESK,
    ("POST", "/cases/{case_id}/reveal"): DESK,
    ("POST", "/cases/{case_id}/words"): DESK,
}
_REPORT: Table = {
    ("GET", "/report"): ACCOUNTABLE,
    ("GET", "/report/card"): ACCOUNTABLE,
    ("GET", "/report/card.csv"): ACCOUNTABLE,
    ("GET", "/report/card.json"): ACCOUNTABLE,
    # Of the whole centre: no paper for those who see one agency's only.
    ("GET", "/report/surge"): ACCOUNTABLE - {Role.LIAISON},
    ("GET", "/report/making"): ACCOUNTABLE - {Role.LIAISON},
    ("GET", "/report/paper"): ACCOUNTABLE - {Role.LIAISON},
}
_PEOPLE: Table = {
    ("GET", "/people"): STAFF,
    ("POST", "/people/settings"): STAFF,
    # One's own sessions; those of others an administrator's alone, which the page holds.
    ("POST", "/people/revoke"): STAFF,
}
RIGHTS: Table = {
    **_DOOR,
    **_WAVE,
    **_CAMPAIGNS,
    **_OUTREACH,
    **_CASES,
    **_REPORT,
    **_PEOPLE,
}

FILE_BYTES = 64_000_000
"""Longest file of recipients: some million rows."""
LARGE: Mapping[tuple[str, str], int] = {
    # Sixteen languages of texts, each byte of which takes three in a form.
    ("POST", "/campaigns/"): 512 * 1024,
    ("POST", "/campaigns/lists/upload"): FILE_BYTES + 64 * 1024,
}
"""Longest bodies, in bytes, of actions that take more than `guard.USUAL_BYTES`: by method and the
path's beginning."""

STREAMED = frozenset({("POST", "/campaigns/lists/upload")})
"""Actions that read their form while it comes in, and hand its `csrf` to `admission.check_form`
themselves before they do anything."""


def roles_for(method: str, path: str) -> frozenset[Role] | None:
    """The roles that may ask for `path`, a route's template; None when the table has no row."""
    return RIGHTS.get(("GET" if method == "HEAD" else method, path))


def may(roles: frozenset[Role], method: str, path: str) -> bool:
    """Whether somebody with `roles` may; also what anybody may."""
    allowed = roles_for(method, path)
    return allowed is not None and (allowed == ANYBODY or bool(allowed & roles))
