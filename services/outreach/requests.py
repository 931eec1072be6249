"""What follows for a case from what outreach did: commands that dedup decides on. Pure.

They follow from records of outreach's logs alone, with ids derived from those: who takes a
partition over sends them again, and dedup tells that they are the same.
"""

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.runtime import ids

_OUTREACH = "outreach"


def of_message(request: outreach.MessageRequested) -> dedup.CaseCommand | None:
    """The person is asked how well they were served: a reply is not a need."""
    if not request.score_until_ms:
        return None
    return dedup.CaseCommand(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.follow_up_id(request.message_id, "ask-score"),
            subject=_OUTREACH,
            asked_ms=request.requested_ms,
        ),
        case_id=request.case_id,
        ask_score=dedup.AskScore(until_ms=request.score_until_ms),
    )


def of_callback(callback: outreach.Callback) -> dedup.CaseCommand | None:
    """An agent who called back met the person's need: its case is resolved, by that agent."""
    if (
        callback.state != outreach.CALLBACK_STATE_COMPLETED
        or callback.outcome != outreach.CALLBACK_OUTCOME_RESOLVED
    ):
        return None
    return dedup.CaseCommand(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.follow_up_id(callback.callback_id, "resolve"),
            subject=callback.claimed_by,
            asked_ms=callback.decided_ms,
        ),
        case_id=callback.case_id,
        resolve=dedup.Resolve(),
    )
