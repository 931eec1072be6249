"""Folds the log into the facts of one campaign.

Deterministic, without clock or I/O: the same records give the same facts, whatever order the topics
come in (the records of one partition come in their order). What is counted is counted by the code
that the services count with, so that a report says what people saw on their screens.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    AudienceSlice,
    BucketCount,
    Campaign,
    CampaignCommand,
    CampaignDecision,
)
from mawja.broadcast.v1.events_pb2 import CampaignKind, MessageChange, StatusRecord

from services.broadcast.campaigns.life import BY_BRAKE, FINAL, RECALLED, name_of
from services.broadcast.campaigns.plans import uploads
from services.broadcast.campaigns.tally import Tally
from services.broadcast.messages import CLAIMED, DELIVERED, NEXT, QUEUED, RELEASED, SUBMITTED, State
from services.broadcast.messages import FINAL as SETTLED
from services.broadcast.messages import UNKNOWN as NOT_KNOWN
from services.tools.reports.deeds import Asked, deeds
from services.tools.reports.facts import (
    Agreed,
    Deed,
    Facts,
    File,
    Made,
    Placed,
    Reached,
    Said,
    Sending,
    Takeover,
    grouped,
    merged,
    pace_of,
)

_BY_TAKEOVER = "takeover"
_REASONED = frozenset({"pause", "resume", "cancel", "recall", "export"})
"""Commands that hold nothing but why."""
_SET_APART = frozenset({"duplicate", "invalid"})
_Bucket = campaigns_pb2.Bucket


@dataclass(slots=True)
class _Open:
    """A message that has not come to its end."""

    state: State
    claimed_ms: int
    since_ms: int
    reason: str
    resend: int

    @property
    def unknown(self) -> bool:
        """Whether the carrier may have it and nobody knows: also when an attempt to send it once
        more was given back."""
        return self.state == NOT_KNOWN or (self.state == RELEASED and self.resend > 0)


@dataclass(slots=True)
class _Messages:
    """The messages of a campaign, or of its correction."""

    open: dict[str, _Open] = field(default_factory=dict)
    settled: set[bytes] = field(default_factory=set)
    reached: dict[tuple[str, str], "array[int]"] = field(default_factory=dict)
    latencies: "array[int]" = field(default_factory=lambda: array("q"))
    released: Counter[str] = field(default_factory=Counter)
    taken: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    takeovers: dict[tuple[int, int], Takeover] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    claims: Counter[tuple[int, int]] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0
    forbidden: int = 0

    def take(self, change: MessageChange, at_ms: int) -> bool:
        """Takes up a change; False when no state allows it, so that it counts for nothing."""
        name = change.message_id
        before = self.open.get(name)
        known = bytes.fromhex(name.replace("-", "")) if before is None else b""
        state = QUEUED if before is None else before.state
        again = (state, change.state) == (NOT_KNOWN, CLAIMED)
        undecided = again and before is not None and change.resend <= before.resend
        if known in self.settled or change.state not in NEXT[state] or undecided:
            self.forbidden += 1
            return False
        if change.state == CLAIMED:
            self.first_ms = min(self.first_ms or at_ms, at_ms)
        if change.state == RELEASED:
            self.released[change.reason] += 1
        if change.state == SUBMITTED and state == CLAIMED:
            self.taken[change.carrier][at_ms // 1000] += change.parts
        if change.state in SETTLED:
            self._settle(change, at_ms, before)
        elif before is None:
            self.open[name] = _Open(change.state, at_ms, at_ms, change.reason, change.resend)
        else:
            if change.state == CLAIMED:
                before.claimed_ms = at_ms
            was = before.unknown
            before.state, before.reason = change.state, change.reason
            before.resend = change.resend
            if change.state != state and not (was and before.unknown):
                before.since_ms = at_ms
        return True

    def _settle(self, change: MessageChange, at_ms: int, before: _Open | None) -> None:
        self.open.pop(change.message_id, None)
        self.settled.add(bytes.fromhex(change.message_id.replace("-", "")))
        if before is not None:
            self.last_ms = max(self.last_ms, at_ms)
        if change.state == DELIVERED and before is not None:
            times = self.reached.setdefault((change.language, change.carrier), array("q"))
            times.append(at_ms)
            self.latencies.append(max(0, at_ms - before.claimed_ms))

    def owner(self, partition: int, epoch: int, at_ms: int, lost: int) -> None:
        """A record of this campaign's was written by the owner that began at `epoch`, with `lost`
        claims of an earlier one."""
        before = self.epochs.setdefault(partition, epoch)
        if epoch <= before and not lost:
            return
        self.epochs[partition] = max(before, epoch)
        self.claims[partition, epoch] += lost
        self.takeovers.setdefault((partition, epoch), Takeover(at_ms, partition, epoch, 0))

    def sending(self, buckets: Sequence[Placed]) -> Sending:
        """What became of them."""
        unknown = [one for one in self.open.values() if one.unknown]
        return Sending(
            buckets=buckets,
            first_ms=self.first_ms,
            reached=[
                Reached(language, carrier, sorted(times))
                for (language, carrier), times in sorted(self.reached.items())
            ],
            latencies_ms=sorted(self.latencies),
            unknown_since=sorted((one.since_ms, one.reason) for one in unknown),
            released=dict(sorted(self.released.items())),
            takeovers=[
                replace(one, claims=self.claims[key]) for key, one in sorted(self.takeovers.items())
            ],
            taken={carrier: dict(taken) for carrier, taken in sorted(self.taken.items())},
            forbidden=self.forbidden,
        )


class Fold:
    """Takes up records of the log and gives the facts of one campaign."""

    def __init__(self, campaign_id: str) -> None:
        self.campaign_id = campaign_id
        self._decisions: list[CampaignDecision] = []
        self._refused: dict[str, CampaignDecision] = {}
        self._asked: dict[str, Asked] = {}
        self._files: dict[str, AudienceFile] = {}
        self._in_log = Counter[tuple[str, bytes]]()
        self._pieces: set[tuple[str, bytes, int, int]] = set()
        self._tally = Tally()
        self._messages = _Messages()
        self._corrections = _Messages()

    def status(self, record: StatusRecord, partition: int, epoch: int) -> None:
        """A record of broadcast.message-status.v1. `epoch`: of its writer."""
        for correction, messages in ((False, self._messages), (True, self._corrections)):
            met, lost = False, 0
            for change in record.changes:
                if change.campaign_id == self.campaign_id and change.correction is correction:
                    met = True
                    if messages.take(change, record.decided_ms):
                        self._tally.take(change, record.decided_ms)
                        lost += change.state == NOT_KNOWN and change.reason == _BY_TAKEOVER
            if met:
                messages.owner(partition, epoch, record.decided_ms, lost)

    def decision(self, decision: CampaignDecision) -> None:
        """A record of broadcast.campaign.v1."""
        if decision.HasField("audience") and not decision.code:
            self._files.setdefault(decision.audience.audience_id, decision.audience)
        name = decision.campaign.campaign_id
        if decision.code:
            self._refused.setdefault(decision.command_id, decision)
        elif name == self.campaign_id:
            self._decisions.append(decision)

    def command(self, command: CampaignCommand) -> None:
        """A record of broadcast.campaign-command.v1: who asked for what, and why."""
        if command.campaign_id != self.campaign_id or command.HasField("share"):
            return
        action = str(command.WhichOneof("action"))
        why = getattr(command, action) if action in _REASONED else ""
        if action == "resend":
            why = command.resend.by.reason
        envelope = command.envelope
        self._asked.setdefault(envelope.command_id, Asked(action, envelope.subject, str(why)))

    def audience(self, piece: AudienceSlice, partition: int) -> None:
        """A record of broadcast.audience.v1; the same piece twice counts once."""
        attempt = (piece.audience_id, piece.attempt)
        if (*attempt, partition, piece.number) not in self._pieces:
            self._pieces.add((*attempt, partition, piece.number))
            self._in_log[attempt] += len(piece.recipients)

    @property
    def stated(self) -> Sequence[BucketCount]:
        """What the status log says of the campaign's recipients, as the services count it."""
        return self._tally.stated(self.campaign_id)

    @property
    def known(self) -> bool:
        """Whether the log has the campaign."""
        return bool(self._decisions)

    def facts(self, made: Made) -> Facts:
        """The campaign as of all that was taken up. Raises KeyError when the log does not have
        it."""
        if not self._decisions:
            raise KeyError(self.campaign_id)
        campaign = self._decisions[-1].campaign
        plan = campaign.plan
        meant = list(dict.fromkeys(uploads(plan.audience)))
        files = [self._files[name] for name in meant if name in self._files]
        buckets = self._buckets(campaign, files)
        sending = self._messages.sending(buckets)
        correction = None
        if campaign.state == RECALLED:
            correction = self._corrections.sending(self._corrected(sending))
        timeline = sorted(
            [
                *deeds(self._decisions, self._refused, self._asked, BY_BRAKE),
                *self._seen(sending, correction),
            ],
            key=lambda deed: deed.at_ms,
        )
        kind = CampaignKind.Name(plan.kind).removeprefix("CAMPAIGN_KIND_").lower()
        return Facts(
            campaign_id=campaign.campaign_id,
            name=plan.name,
            agency=plan.agency,
            kind=kind,
            drill=plan.drill,
            state=name_of(campaign.state),
            revision=campaign.revision,
            language=plan.language,
            starts_ms=plan.starts_ms,
            expires_ms=plan.expires_ms,
            legal_basis=plan.override.legal_basis,
            order=plan.override.order,
            most_parts_per_second=plan.most_parts_per_second,
            audience=str(plan.audience.WhichOneof("of")),
            files_meant=len(meant),
            files=[
                File(
                    file.name,
                    file.recipients,
                    self._in_log[file.audience_id, file.attempt],
                    dict(sorted(file.bad_rows.items())),
                    file.query,
                )
                for file in files
            ],
            texts=[Said(one.language, one.template) for one in plan.texts],
            corrections=[Said(one.language, one.template) for one in plan.corrections],
            timeline=timeline,
            rehearsed=list(_placed(campaign.rehearsal.buckets)),
            cost_milli=dict(sorted(campaign.rehearsal.cost_milli.items())),
            agreed=[
                Agreed(eta.carrier, eta.parts, pace_of(eta.parts, eta.takes_ms))
                for eta in campaign.rehearsal.etas
                if not eta.language
                if eta.takes_ms
            ],
            sending=sending,
            correction=correction,
            made=made,
        )

    def _buckets(self, campaign: Campaign, files: Sequence[AudienceFile]) -> list[Placed]:
        stated = list(_placed(self.stated))
        found = list(_placed(campaign.rehearsal.buckets))
        rows = [
            Placed("invalid", rule, "", "", count, 0)
            for file in files
            for rule, count in sorted(file.bad_rows.items())
        ]
        return [*_left(found, stated, campaign.state in FINAL), *stated, *(rows if found else ())]

    def _corrected(self, sending: Sending) -> list[Placed]:
        """Those to correct: who got the campaign, or may have. What the status log does not tell
        of yet waits."""
        found = list(_placed(self._tally.stated(self.campaign_id, correction=True)))
        totals = sending.totals()
        with_carrier = sum(one.state == SUBMITTED for one in self._messages.open.values())
        owed = totals["delivered"] + totals["unknown"] + with_carrier
        waits = owed - sum(one.recipients for one in found)
        return [*found, Placed("waiting", "", "", "", waits, 0)] if waits > 0 else found

    def _seen(self, sending: Sending, correction: Sending | None) -> Iterator[Deed]:
        """What the status log adds to the timeline."""
        for messages, begun in ((self._messages, "sending"), (self._corrections, "correcting")):
            if messages.first_ms:
                yield Deed(messages.first_ms, begun)
            if messages.last_ms and not messages.open:
                yield Deed(messages.last_ms, f"{begun}_over", count=len(messages.settled))
        for at_ms, partitions, claims in grouped(merged((sending, correction))):
            yield Deed(at_ms, "takeover", count=claims, reason=str(partitions))


def _left(found: Sequence[Placed], stated: Sequence[Placed], ended: bool) -> Iterator[Placed]:
    """Of what a rehearsal `found`: who was set apart there for good, and who waits, or gets nothing
    because the campaign has `ended`. As `campaigns.counts.placed`, but a log that does not add up
    gives fewer than none instead of failing."""
    left = Counter[str]()
    for one in found:
        if one.bucket in _SET_APART:
            yield one
        else:
            left[one.language] += one.recipients
    for one in stated:
        left[one.language] -= one.recipients
    for language, count in sorted(left.items()):
        if count:
            yield Placed("cancelled" if ended else "waiting", "", language, "", count, 0)


def _placed(buckets: Sequence[BucketCount]) -> Iterator[Placed]:
    for one in buckets:
        name = _Bucket.Name(one.bucket).removeprefix("BUCKET_").lower()
        yield Placed(name, one.reason, one.language, one.carrier, one.recipients, one.parts)
