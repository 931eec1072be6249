"""The figures that findings are made of. Pure.

None where the log has nothing to measure: what was not measured is neither good nor bad.
"""

from collections import Counter
from collections.abc import Mapping

from services.tools.afteraction.facts import SENT, Facts
from services.tools.afteraction.messages import Trouble
from services.tools.reports.facts import Facts as CampaignFacts
from services.tools.reports.facts import middle

_CARD = ("answered_share", "mean_wait_s", "mean_handling_s", "first_contact_resolved_share")
_SLOWER = frozenset({"throttled", "queue-full"})
_SEVERAL = "mul"


def measures(facts: Facts) -> Mapping[str, float | None]:
    """By name: shares 0 to 1, seconds, or counts."""
    whole, sent, states = facts.whole, facts.sent(), facts.callback_states()
    gone = sum(sent[bucket] for bucket in SENT)
    callbacks = len(facts.callbacks)
    languages = sum(
        (Counter({code: sum(buckets.values())}) for origin in facts.origins
         for code, buckets in origin.by_language.items()),
        Counter[str](),
    )  # fmt: skip
    unknown_agency = sum(row["contacts"] for key, row in facts.groups["agency"] if not key)
    return {
        **{name: whole[name] for name in _CARD},
        "dialled_per_need": _share(whole["dialled"], whole["needs"]) if whole["dialled"] else None,
        "first_proposal_s": _first_proposal_s(facts),
        "proposals_undecided": (
            sum(one.state == "expired" for one in facts.proposals) if facts.proposals else None
        ),
        "proposals_wordless": (
            sum(not one.texts or bool(one.languages_missing) for one in facts.proposals)
            if facts.proposals
            else None
        ),
        "satisfaction": facts.satisfaction,
        "first_message_s": _first_message_s(facts),
        "answer_p99_s": _answers_s(facts),
        "life_safety_open": _opened(facts) if callbacks else None,
        "callbacks_open": facts.callbacks_open if callbacks else None,
        "callbacks_moved": sum(one.moved for one in facts.callbacks) if callbacks else None,
        "callbacks_given_up_share": _share(states["given_up"], callbacks),
        "unknown_share": _share(sent["unknown"], gone),
        "undelivered_share": _share(sent["failed"] + sent["expired"], gone),
        "throttled_share": _share(_slower(facts.trouble), gone),
        "no_language_share": _share(languages[_SEVERAL], sum(languages.values())),
        "no_agency_share": _share(unknown_agency, whole["contacts"]),
        "correction_s": max(
            (one for one in map(_corrected_s, facts.campaigns) if one is not None), default=None
        ),
        "dead_letters": sum(one.records - one.again for one in facts.letters),
        "takeovers": len(facts.takeovers),
        "forbidden": facts.forbidden,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _opened(facts: Facts) -> int:
    return sum(
        one.life_safety and one.state in ("due", "claimed", "later") for one in facts.callbacks
    )


def _first_message_s(facts: Facts) -> float | None:
    """From the first burst to the first message that arrived after it."""
    begun = [one.start_ms for one in facts.bursts]
    if facts.replayed or not begun:
        return None
    after = [at for at in facts.reached_ms if at >= min(begun)]
    return (after[0] - min(begun)) / 1000 if after else None


def _first_proposal_s(facts: Facts) -> float | None:
    """From the first burst of which something was proposed to its first proposal."""
    if facts.replayed:
        return None
    after = [
        (one.burst_ms, one.proposed_ms - one.burst_ms) for one in facts.proposals if one.burst_ms
    ]
    return max(0, min(after)[1]) / 1000 if after else None


def _answers_s(facts: Facts) -> float | None:
    took = next((one.took_ms for one in facts.origins if one.step == "answer"), ())
    most = middle(took, 99)
    return None if most is None else most / 1000


def _slower(trouble: Mapping[tuple[str, str, str], Trouble]) -> int:
    return sum(one.times for (_, _, reason), one in trouble.items() if reason in _SLOWER)


def _corrected_s(campaign: CampaignFacts) -> float | None:
    at = {deed.what: deed.at_ms for deed in campaign.timeline if not deed.refused}
    if "recalled" not in at or "corrected" not in at:
        return None
    return (at["corrected"] - at["recalled"]) / 1000
