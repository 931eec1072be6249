"""What is wrong with a campaign's plan, beyond what its proto says of each field. Pure."""

from collections.abc import Iterator

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Audience, CampaignPlan
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns import holding, saying
from services.runtime.errors import Violation

LONGEST_MS = 7 * 24 * 3_600_000
"""How long a campaign may run from its start: as long as any message waits."""
_DEEPEST = 8


def problems(plan: CampaignPlan, now_ms: int) -> list[Violation]:
    """Every field that breaks a rule, and the rule."""
    found = [Violation(f"plan.{field}", rule) for field, rule in _problems(plan, now_ms)]
    for name, texts in (("texts", plan.texts), ("corrections", plan.corrections)):
        found += saying.problems(texts, plan.language, f"plan.{name}")
    return found


def lane_of(plan: CampaignPlan) -> common_pb2.Lane.ValueType:
    """The lane in which its messages go."""
    if plan.kind == events_pb2.CAMPAIGN_KIND_EMERGENCY:
        return common_pb2.LANE_URGENT
    return common_pb2.LANE_BULK


def uploads(audience: Audience) -> Iterator[str]:
    """The files that an audience is made of, in order; one may come twice."""
    of = audience.WhichOneof("of")
    if of == "upload":
        yield audience.upload
    elif of is not None:
        for one in getattr(audience, of).audiences:
            yield from uploads(one)


def _problems(plan: CampaignPlan, now_ms: int) -> Iterator[tuple[str, str]]:
    starts_ms = plan.starts_ms or now_ms
    if plan.expires_ms <= max(now_ms, starts_ms):
        yield "expires_ms", "must be after now, and after the start"
    elif plan.expires_ms - starts_ms > LONGEST_MS:
        yield "expires_ms", "must be at most 7 days after the start"
    emergency = plan.kind == events_pb2.CAMPAIGN_KIND_EMERGENCY
    if plan.HasField("override") and not emergency:
        yield "override", "only an emergency may override rules"
    if plan.HasField("override") and plan.drill:
        yield "override", "a drill overrides nothing"
    if refused := holding.problem(plan):
        yield "held_back", refused
    if (wrong := _shape(plan.audience, 1)) is not None:
        yield "audience", wrong


def _shape(audience: Audience, depth: int) -> str | None:
    of = audience.WhichOneof("of")
    if of is None:
        return "must name a file, or be made of several with all_of, any_of or except"
    if depth > _DEEPEST:
        return f"is more than {_DEEPEST} levels deep"
    if of == "upload":
        return None
    return next(
        (wrong for one in getattr(audience, of).audiences if (wrong := _shape(one, depth + 1))),
        None,
    )
