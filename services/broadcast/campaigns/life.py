"""The life of a campaign: what may be done with it, by whom, and what it is afterwards. Pure.

    draft -> rehearsing -> rehearsed -> approved -> running <-> paused -> completed
      ^__________|____________|____________|          |___________|__> cancelled, recalled

A change of the plan leads back to the draft. An approval is bound to the hash of the rehearsal: of
the plan, the recipients, the rules and the routes; while others are in force than were rehearsed,
nothing is approved or started. Who made a campaign or changed its plan last can't approve it,
whatever their roles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from google.rpc import code_pb2
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Campaign,
    CampaignCommand,
    CampaignDeed,
    CampaignPlan,
    CampaignShare,
    FieldGap,
)
from mawja.broadcast.v1.events_pb2 import CAMPAIGN_KIND_EMERGENCY

from services.broadcast.campaigns.counts import added, etas
from services.broadcast.campaigns.returning import calls_back
from services.broadcast.campaigns.terms import Terms
from services.runtime.ids import same_subject

State: TypeAlias = campaigns_pb2.CampaignState.ValueType

DRAFT = campaigns_pb2.CAMPAIGN_STATE_DRAFT
REHEARSING = campaigns_pb2.CAMPAIGN_STATE_REHEARSING
REHEARSED = campaigns_pb2.CAMPAIGN_STATE_REHEARSED
APPROVED = campaigns_pb2.CAMPAIGN_STATE_APPROVED
RUNNING = campaigns_pb2.CAMPAIGN_STATE_RUNNING
PAUSED = campaigns_pb2.CAMPAIGN_STATE_PAUSED
COMPLETED = campaigns_pb2.CAMPAIGN_STATE_COMPLETED
CANCELLED = campaigns_pb2.CAMPAIGN_STATE_CANCELLED
RECALLED = campaigns_pb2.CAMPAIGN_STATE_RECALLED
BEFORE_SENDING = frozenset({DRAFT, REHEARSING, REHEARSED, APPROVED})
FINAL = frozenset({CANCELLED, RECALLED})
"""Ended by a person. What was sent may still be recalled."""

REHEARSAL, DONE, BRAKE, CORRECTED = (
    campaigns_pb2.SHARE_STAGE_REHEARSED,
    campaigns_pb2.SHARE_STAGE_DONE,
    campaigns_pb2.SHARE_STAGE_BRAKE,
    campaigns_pb2.SHARE_STAGE_CORRECTED,
)
Stage: TypeAlias = campaigns_pb2.ShareStage.ValueType
MOST_SAMPLES = 16
"""Recipients that a rehearsal names as examples."""
BY_BRAKE = "brake"
"""Who holds a campaign of which too many messages fail."""
OTHER_TERMS = (
    "the routes, carriers or sending rules are not those it was rehearsed with; rehearse it again"
)

# Which deed is possible in which states, and what a person is told of it.
_MAY: Mapping[str, tuple[frozenset[State], str]] = {
    "update": (BEFORE_SENDING, "what is being sent can't be changed: cancel or recall it"),
    "rehearse": (
        frozenset({DRAFT, REHEARSED, APPROVED}),
        "only a draft is rehearsed, and one that was rehearsed before",
    ),
    "approve": (frozenset({REHEARSED}), "rehearse it first: what is approved is the rehearsal"),
    "start": (frozenset({APPROVED}), "only an approved campaign can be started"),
    "pause": (frozenset({RUNNING}), "only a running campaign can be paused"),
    "resume": (frozenset({PAUSED}), "only a paused campaign can be resumed"),
    "cancel": (
        BEFORE_SENDING | {RUNNING, PAUSED},
        "it has ended: what was sent can be recalled, not cancelled",
    ),
    "recall": (
        frozenset({RUNNING, PAUSED, COMPLETED, CANCELLED}),
        "only what was sent can be recalled",
    ),
    "resend": (
        frozenset({RUNNING, COMPLETED}),
        "only of what is being sent, or was sent to its end, the unknown is sent once more",
    ),
    "slow": (frozenset({RUNNING}), "only what is being sent is slowed"),
    "export": (frozenset(campaigns_pb2.CampaignState.values()) - {DRAFT}, "rehearse it first"),
}


_REASONED = frozenset({"pause", "resume", "cancel", "recall", "export"})
"""Deeds of which the command holds nothing but why."""


class Refused(Exception):
    """A deed that may not be done: gRPC status and a sentence that says what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Shares:
    """What the partitions have stated of one revision of a campaign, by stage and partition."""

    revision: int = 0
    stated: dict[Stage, dict[int, CampaignShare]] = field(default_factory=dict)

    def take(self, share: CampaignShare, revision: int) -> None:
        """Takes up a share of a campaign that is at `revision`. Of one partition and stage the
        first counts. A late one of an earlier revision says nothing, and takes nothing away from
        what the others have stated: each states it once."""
        if share.revision != revision:
            return
        if revision != self.revision:
            self.revision, self.stated = revision, {}
        self.stated.setdefault(share.stage, {}).setdefault(share.partition, share)

    def whole(self, stage: Stage, revision: int, partitions: int) -> Sequence[CampaignShare] | None:
        """The shares of all partitions in order, once they are there."""
        found = self.stated.get(stage, {}) if revision == self.revision else {}
        if len(found) < partitions:
            return None
        return [found[partition] for partition in sorted(found)]


def done(
    before: Campaign | None,
    command: CampaignCommand,
    shares: Shares,
    partitions: int,
    terms: Terms,
    now_ms: int,
) -> Campaign:
    """The campaign after a command, which `before`, what the partitions stated and the `terms` that
    are in force allow.

    Raises Refused. Of a share that changes nothing it gives the campaign as it was.
    """
    deed = command.WhichOneof("action")
    if deed == "create":
        return _created(before, command, now_ms)
    if before is None or (command.agency and command.agency != before.plan.agency):
        raise Refused(code_pb2.NOT_FOUND, "no campaign has this id")
    after = Campaign()
    after.CopyFrom(before)
    if deed == "share":
        _share(after, command.share, shares, partitions, terms, now_ms)
    else:
        _check(before, command, str(deed), terms, now_ms)
        _DEEDS[str(deed)](after, command, _by(command, now_ms))
    if after != before:
        after.version += 1
    return after


def rehearsal_hash(plan: CampaignPlan, shares: Sequence[CampaignShare]) -> bytes:
    """What an approval is bound to: the plan and what every partition rehearsed."""
    found = sha256(plan.SerializeToString(deterministic=True))
    for share in shares:
        found.update(share.digest)
    return found.digest()


def _created(before: Campaign | None, command: CampaignCommand, now_ms: int) -> Campaign:
    if before is not None:
        raise Refused(
            code_pb2.ALREADY_EXISTS, "this request_id made another campaign: use a new one"
        )
    by = _by(command, now_ms)
    return Campaign(
        campaign_id=command.campaign_id,
        version=1,
        revision=1,
        state=DRAFT,
        plan=command.create,
        made=by,
        changed=by,
    )


def _check(
    before: Campaign, command: CampaignCommand, deed: str, terms: Terms, now_ms: int
) -> None:
    states, rule = _MAY[deed]
    if before.state not in states:
        raise Refused(code_pb2.FAILED_PRECONDITION, f"it is {name_of(before.state)}: {rule}")
    if command.version and command.version != before.version:
        raise Refused(
            code_pb2.FAILED_PRECONDITION,
            "the campaign was changed meanwhile: look at it again",
        )
    ended = before.plan.expires_ms <= now_ms
    if deed in ("rehearse", "approve", "start", "resume", "resend") and ended:
        raise Refused(
            code_pb2.FAILED_PRECONDITION, "its end has passed: give it a later expires_ms"
        )
    if deed in ("approve", "start") and before.rehearsal.terms != terms.digest:
        raise Refused(code_pb2.FAILED_PRECONDITION, OTHER_TERMS)
    if deed == "approve":
        _check_approval(before, command)
    if deed == "recall" and not before.HasField("started"):
        raise Refused(code_pb2.FAILED_PRECONDITION, "it was never started: there is nobody to tell")
    if deed in ("approve", "recall") and not before.plan.corrections:
        raise Refused(
            code_pb2.FAILED_PRECONDITION,
            "it has no corrections: write what a recall would say before it is approved",
        )


def _check_approval(before: Campaign, command: CampaignCommand) -> None:
    authors = (before.made.subject, before.changed.subject)
    if any(same_subject(command.envelope.subject, one) for one in authors):
        raise Refused(
            code_pb2.PERMISSION_DENIED,
            "who made or last changed a campaign can't approve it: ask somebody else",
        )
    if command.approve != before.rehearsal.hash:
        raise Refused(
            code_pb2.FAILED_PRECONDITION,
            "it was rehearsed again meanwhile: look at it again",
        )
    if before.rehearsal.without_text and not before.plan.accept_missing:
        missing = ", ".join(sorted(before.rehearsal.without_text))
        raise Refused(
            code_pb2.FAILED_PRECONDITION,
            f"some of its recipients have no text in their language: write {missing}, or set "
            "accept_missing",
        )


def _update(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    if command.update.agency != after.plan.agency:
        raise Refused(
            code_pb2.INVALID_ARGUMENT,
            "plan.agency: a campaign stays with its agency: make another for the other",
        )
    after.plan.CopyFrom(command.update)
    after.changed.CopyFrom(by)
    after.revision += 1
    after.state = DRAFT
    after.ClearField("rehearsal")
    after.ClearField("approved")


def _rehearse(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.revision += 1
    after.state = REHEARSING
    after.ClearField("rehearsal")
    after.ClearField("approved")


def _approve(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = APPROVED
    after.approved.CopyFrom(by)


def _start(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = RUNNING
    after.started.CopyFrom(by)


def _pause(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = PAUSED
    after.paused.CopyFrom(by)


def _resume(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = RUNNING
    after.ClearField("paused")
    after.revision += 1


def _cancel(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = CANCELLED
    after.ended.CopyFrom(by)


def _resend(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = RUNNING
    after.resends.add(
        by=by,
        recipients=command.resend.recipients,
        command_id=command.envelope.command_id,
    )
    # The partitions say once more when nothing is left to be done.
    after.revision += 1


def _recall(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.state = RECALLED
    after.ended.CopyFrom(by)


def _slow(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    if after.plan.kind == CAMPAIGN_KIND_EMERGENCY:
        raise Refused(code_pb2.FAILED_PRECONDITION, "an emergency is never slowed")
    if not command.slow.reason:
        after.ClearField("slowed")
        return
    since_ms = after.slowed.since_ms or by.done_ms
    after.slowed.CopyFrom(command.slow)
    after.slowed.since_ms = since_ms


def _export(after: Campaign, command: CampaignCommand, by: CampaignDeed) -> None:
    after.exported.CopyFrom(by)


_DEEDS = {
    "update": _update,
    "rehearse": _rehearse,
    "approve": _approve,
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "recall": _recall,
    "resend": _resend,
    "export": _export,
    "slow": _slow,
}


def _share(
    after: Campaign,
    share: CampaignShare,
    shares: Shares,
    partitions: int,
    terms: Terms,
    now_ms: int,
) -> None:
    """What a partition stated, which stands in `shares` already."""
    if share.revision != after.revision:
        return
    if share.stage == BRAKE:
        if after.state == RUNNING:
            after.state = PAUSED
            after.paused.CopyFrom(CampaignDeed(subject=BY_BRAKE, done_ms=now_ms))
        return
    found = shares.whole(share.stage, after.revision, partitions)
    if found is None:
        return
    if share.stage == REHEARSAL and after.state == REHEARSING:
        after.state = REHEARSED
        after.rehearsal.hash = rehearsal_hash(after.plan, found)
        after.rehearsal.rehearsed_ms = now_ms
        asked = {one.terms for one in found}
        after.rehearsal.terms = asked.pop() if len(asked) == 1 else b""
        after.rehearsal.buckets.extend(added(one.buckets for one in found))
        after.rehearsal.etas.extend(etas(after.rehearsal.buckets, terms.paces))
        expected = calls_back(after.plan, after.rehearsal.buckets, terms.calls_back)
        if expected is not None:
            after.rehearsal.calls_back.CopyFrom(expected)
        samples = [sample for one in found for sample in one.samples]
        after.rehearsal.samples.extend(samples[:MOST_SAMPLES])
        after.rehearsal.gaps.extend(gaps(found))
        for one in found:
            for language, count in one.without_text.items():
                after.rehearsal.without_text[language] += count
            for currency, milli in one.cost_milli.items():
                after.rehearsal.cost_milli[currency] += milli
    elif share.stage == DONE and after.state == RUNNING:
        after.state = COMPLETED
    elif share.stage == CORRECTED and after.state == RECALLED and not after.corrected_ms:
        after.corrected_ms = now_ms


def name_of(state: State) -> str:
    """E.g. "approved"."""
    return campaigns_pb2.CampaignState.Name(state).removeprefix("CAMPAIGN_STATE_").lower()


def gaps(shares: Sequence[CampaignShare]) -> Iterator[FieldGap]:
    """The placeholders that some recipients can't fill, of all partitions together, in order."""
    found: dict[tuple[str, str, bool, bool], FieldGap] = {}
    for one in (gap for share in shares for gap in share.gaps):
        key = one.field, one.language, one.too_long, one.correction
        if key in found:
            found[key].recipients += one.recipients
        else:
            found[key] = FieldGap()
            found[key].CopyFrom(one)
    yield from (found[key] for key in sorted(found))


def _by(command: CampaignCommand, now_ms: int) -> CampaignDeed:
    deed = command.WhichOneof("action")
    why = getattr(command, str(deed)) if deed in _REASONED else ""
    if deed == "resend":
        why = command.resend.by.reason
    return CampaignDeed(subject=command.envelope.subject, done_ms=now_ms, reason=why)
