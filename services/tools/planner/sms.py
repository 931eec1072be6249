"""SMS of a wave: how many parts, over how many routes, in what time. Pure.

A carrier sets the pace: parts a second of a route. Two things are sent: what the wave itself asks
for (acknowledgements, callbacks offered, answers), as it comes; and one campaign to everybody.
"""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """`messages_per_call` dialled; `parts` of a message; `pace`: parts a second of one route;
    `routes` there are; `audience`: people of a campaign; `within_s`: until all of them have it."""

    messages_per_call: float
    parts: float
    pace: float
    routes: int
    audience: int
    within_s: float


@dataclass(frozen=True, slots=True)
class Sending:
    """`messages` and `parts` of the whole wave; `peak`: parts a second of the busiest half-hour;
    `wave_routes`, `campaign_routes`: needed for that peak, and for the campaign in its time beside
    it; `campaign_s`: how long the campaign takes over the routes there are, beside the wave's
    peak; None: never, as the wave alone fills them."""

    order: Order
    messages: float
    parts: float
    peak: float
    wave_routes: int
    campaign_parts: float
    campaign_routes: int
    campaign_s: float | None


def sending(order: Order, dialled: float, dialled_per_s: float) -> Sending:
    """What `dialled` calls, at most `dialled_per_s` of them a second, have sent."""
    messages = dialled * order.messages_per_call
    peak = dialled_per_s * order.messages_per_call * order.parts
    campaign = order.audience * order.parts
    left = order.pace * order.routes - peak
    return Sending(
        order,
        messages,
        messages * order.parts,
        peak,
        max(1, math.ceil(peak / order.pace - 1e-9)),
        campaign,
        max(1, math.ceil((peak + campaign / order.within_s) / order.pace - 1e-9)),
        campaign / left if left > 0 else None,
    )


def as_json(of: Sending) -> dict[str, Any]:
    """`sms` of the plan's JSON: messages, parts, parts_per_message, peak_parts_per_s, pace (parts a
    second of a route), routes, routes_needed, campaign {people, parts, within_s, seconds,
    routes_needed}."""
    return {
        "messages": round(of.messages),
        "parts": round(of.parts),
        "parts_per_message": of.order.parts,
        "peak_parts_per_s": round(of.peak, 3),
        "pace": of.order.pace,
        "routes": of.order.routes,
        "routes_needed": of.wave_routes,
        "campaign": {
            "people": of.order.audience,
            "parts": round(of.campaign_parts),
            "within_s": of.order.within_s,
            "seconds": None if of.campaign_s is None else round(of.campaign_s, 1),
            "routes_needed": of.campaign_routes,
        },
    }
