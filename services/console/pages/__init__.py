"""The pages: a router for each area."""

from services.console.pages import (
    announcements,
    audiences,
    callbacks,
    campaign_deeds,
    campaign_writing,
    campaigns,
    case_deeds,
    case_words,
    cases,
    door,
    incidents,
    outreach,
    people,
    playbooks,
    report,
    wave,
)

AREAS = (
    door.router,
    wave.router,
    audiences.router,
    campaign_writing.router,
    campaign_deeds.router,
    campaigns.router,
    outreach.router,
    callbacks.router,
    playbooks.router,
    announcements.router,
    # Before a case, whose path would take its own.
    incidents.router,
    cases.router,
    case_deeds.router,
    case_words.router,
    report.router,
    people.router,
)
