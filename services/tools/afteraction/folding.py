"""Folds the log into the facts of a surge.

Deterministic, without clock or I/O: the same records give the same facts, whatever order the topics
come in (the records of one partition come in their order). Calls are counted by the scorecard's
code and campaigns by that of their own report, so that three papers about one day agree.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import Message as Proto
from mawja.broadcast.v1.campaigns_pb2 import CampaignCommand, CampaignDecision
from mawja.broadcast.v1.events_pb2 import StatusRecord
from mawja.common.v1.common_pb2 import DeadLetter
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.events_pb2 import CaseDecision
from mawja.dedup.v1.incidents_pb2 import IncidentDecision
from mawja.outreach.v1.announcements_pb2 import Announcement
from mawja.outreach.v1.events_pb2 import Callback, MessageRequested
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.contracts_pb2 import CallDecision
from mawja.wave.v1.events_pb2 import Burst

from services.runtime.own import Record, epoch_of
from services.runtime.topics import (
    ANNOUNCEMENT,
    BURST,
    CALL_DECISION,
    CALLBACK,
    CAMPAIGN,
    CAMPAIGN_COMMAND,
    CASE,
    DEAD_LETTERS,
    INCIDENT,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    PROPOSAL,
    Topic,
)
from services.tools.afteraction.callbacks import Callbacks
from services.tools.afteraction.counting import CampaignPeople, Origins, Played, Told
from services.tools.afteraction.events import (
    Announcements,
    Bursts,
    Incidents,
    Letters,
    Owners,
    Proposals,
)
from services.tools.afteraction.facts import GROUPS, Avoided, Facts, Share, Span
from services.tools.afteraction.messages import Messages
from services.tools.contracts.settling import Settlement
from services.tools.effects.measuring import Effect
from services.tools.reports.facts import Facts as CampaignFacts
from services.tools.reports.facts import Made
from services.tools.reports.folding import Fold as CampaignFold
from services.tools.scorecards.calls import NONE, Calls, Counted
from services.tools.scorecards.figures import card

WIDTHS_MS = tuple(
    minutes * 60_000 for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 360, 1440, 2880, 10_080)
)
"""Stretches into which a surge is parted: the shortest of which there are not too many."""
_MOST_SPANS = 120
_SOON_MS = 60_000
_M = TypeVar("_M", bound=Proto)


class Campaigns:
    """Every campaign's own fold."""

    def __init__(self, drill: bool) -> None:
        self._drill = drill
        self._folds: dict[str, CampaignFold] = {}
        self._shared: list[CampaignDecision] = []
        self._commands: list[CampaignCommand] = []

    def decision(self, decision: CampaignDecision) -> None:
        """A record of broadcast.campaign.v1."""
        name = decision.campaign.campaign_id
        if decision.code or decision.HasField("audience"):
            self._shared.append(decision)
        elif name and decision.campaign.plan.drill == self._drill:
            self._fold(name).decision(decision)

    def command(self, command: CampaignCommand) -> None:
        """A record of broadcast.campaign-command.v1."""
        if not command.HasField("share"):
            self._commands.append(command)

    def status(self, record: StatusRecord, partition: int, epoch: int) -> None:
        """A record of broadcast.message-status.v1."""
        names = {one.campaign_id for one in record.changes if one.drill == self._drill}
        for name in names - {""}:
            self._fold(name).status(record, partition, epoch)

    def _fold(self, name: str) -> CampaignFold:
        return self._folds.setdefault(name, CampaignFold(name))

    def facts(self, made: Made, since_ms: int, until_ms: int) -> Iterator[CampaignFacts]:
        """Those with which something was done in [since_ms, until_ms), in order of their start."""
        for fold in self._folds.values():
            if not fold.known:
                continue
            for decision in self._shared:
                fold.decision(decision)
            for command in self._commands:
                fold.command(command)
            found = fold.facts(made)
            times = [deed.at_ms for deed in found.timeline]
            times += [one.at_ms[-1] for one in found.sending.reached if one.at_ms]
            if any(since_ms <= at and (not until_ms or at < until_ms) for at in times):
                yield found


class Fold:
    """Takes up records of the log and gives the facts of the surge of [since_ms, until_ms), Unix
    ms, 0 for no limit; of rehearsals if `drill`."""

    def __init__(self, drill: bool = False, since_ms: int = 0, until_ms: int = 0) -> None:
        self.drill = drill
        self._span = since_ms, until_ms
        self._announcements = Announcements(drill)
        self._proposals = Proposals(drill)
        self._people = CampaignPeople()
        # All of a surge is one period.
        self._routes = Settlement(since_ms, until_ms, drill, lambda _: "")
        self._calls = Calls(drill)
        self._played = Played()
        self._messages = Messages(drill)
        self._callbacks = Callbacks(drill)
        self._bursts = Bursts(drill)
        self._incidents = Incidents(drill)
        self._letters = Letters()
        self._owners = Owners()
        self._campaigns = Campaigns(drill)
        self._take: Mapping[str, Callable[[Record, bytes], None]] = {
            CASE.name: self._case,
            INCIDENT.name: _parsed(IncidentDecision, self._incidents.take),
            MESSAGE_REQUESTED.name: _parsed(MessageRequested, self._messages.requested),
            CALLBACK.name: _parsed(Callback, self._callbacks.take),
            MESSAGE_STATUS.name: self._status,
            BURST.name: _parsed(Burst, self._bursts.take),
            ANNOUNCEMENT.name: _parsed(Announcement, self._announcements.take),
            CALL_DECISION.name: self._route,
            PROPOSAL.name: _parsed(Proposal, self._proposals.take),
            CAMPAIGN.name: _parsed(CampaignDecision, self._campaigns.decision),
            CAMPAIGN_COMMAND.name: _parsed(CampaignCommand, self._campaigns.command),
            **dict.fromkeys((topic.name for topic in DEAD_LETTERS.values()), self._letter),
        }

    def take(self, record: Record, topic: Topic) -> None:
        """Takes up a record that counts. Raises DecodeError or Poison for what is none of its
        topic."""
        self._take[record.topic](record, record.value or b"")
        if topic.log:
            self._owners.take(record)

    def _case(self, _record: Record, value: bytes) -> None:
        decision = CaseDecision.FromString(value)
        case = decision.case
        if case.HasField("exercise"):
            # Practice of an agent: nobody called.
            return
        self._calls.take(decision)
        opened = decision.change == dedup.CASE_CHANGE_OPENED
        since_ms, until_ms = self._span
        within = since_ms <= decision.link.event_ms and (
            not until_ms or decision.link.event_ms < until_ms
        )
        if opened and within and case.drill == self.drill and not case.recorded:
            self._played.take(decision.link.event_ms, case.accepted_ms)

    def _status(self, record: Record, value: bytes) -> None:
        status = StatusRecord.FromString(value)
        for change in status.changes:
            self._messages.status(change, status.decided_ms)
            if change.campaign_id and change.drill == self.drill:
                self._people.take(change)
        self._campaigns.status(status, record.partition, epoch_of(record))

    def _route(self, record: Record, value: bytes) -> None:
        self._routes.take(record.partition, CallDecision.FromString(value))

    def _letter(self, record: Record, value: bytes) -> None:
        self._letters.take(DeadLetter.FromString(value), record)

    def facts(self, made: Made, name: str) -> Facts:
        """The surge as of all that was taken up."""
        since_ms, until_ms = self._span
        begins, ends = self._came(since_ms, until_ms)
        width = next((w for w in WIDTHS_MS if (ends - begins) / w <= _MOST_SPANS), WIDTHS_MS[-1])
        spans = card(self._calls, _stretch(width), since_ms, until_ms)
        first = begins // width
        count = (max(begins, ends - 1) // width) - first + 1 if ends else 0
        empty = card(Calls(), None).whole
        campaigns = list(self._campaigns.facts(made, since_ms, until_ms))
        pace = self._played.pace
        # What the system did has other times than a story that was played faster.
        over_ms = until_ms if pace == 1 else 0
        origins = Origins()
        told = Told(self._calls)
        for one in self._messages.all(since_ms, until_ms):
            origins.take(one)
            told.take(one)
        reached = array("q", origins.delivered_ms)
        for campaign in campaigns:
            reached.extend(campaign.sending.delivered_ms())
            origins.people.update(self._people.reached(campaign.campaign_id))
        reached = array("q", sorted(reached))
        return Facts(
            name=name,
            drill=self.drill,
            since_ms=begins,
            until_ms=ends,
            width_ms=width,
            whole=spans.whole.figures(),
            groups={by: self._groups(by, since_ms, until_ms) for by in GROUPS},
            spans=[
                Span(number * width, spans.groups.get(number, empty).figures())
                for number in range(first, first + count)
            ],
            bursts=self._bursts.all(begins, ends),
            incidents=self._incidents.all(begins, ends),
            origins=origins.all(),
            people_reached=len(origins.people - {0}),
            reached_ms=reached,
            campaigns=campaigns,
            callbacks=list(self._callbacks.all(since_ms, until_ms)),
            avoided=self._avoided(spans.whole.figures(), told, pace, since_ms, until_ms),
            trouble=self._messages.trouble(since_ms, over_ms),
            takeovers=self._owners.all(since_ms, over_ms),
            letters=self._letters.all(since_ms, over_ms),
            forbidden=self._messages.forbidden,
            pace=pace,
            others=self._calls.of_other_kind,
            first_asked_ms=origins.first_asked_ms,
            first_delivered_ms=reached[0] if reached else 0,
            made=made,
            announcements=self._announcements.all(since_ms, over_ms),
            routes=_routes(self._routes),
            proposals=self._proposals.all(since_ms, over_ms),
            effects={} if pace > 1 else self._effects(campaigns),
            satisfaction=spans.whole.figures()["satisfaction"],
        )

    def _effects(self, campaigns: Sequence[CampaignFacts]) -> dict[str, Effect]:
        started = {
            one.campaign_id: deed.at_ms
            for one in campaigns
            for deed in one.timeline
            if deed.what == "started" and not deed.refused
        }
        return self._people.effects(started, self._calls)

    def _came(self, since_ms: int, until_ms: int) -> tuple[int, int]:
        """From the first contact to after the last one."""
        within = [
            at
            for at in self._calls.arrival_ms
            if at >= since_ms and (not until_ms or at < until_ms)
        ]
        return (min(within), max(within) + 1) if within else (0, 0)

    def _groups(
        self, by: str, since_ms: int, until_ms: int
    ) -> list[tuple[str, Mapping[str, object]]]:
        def group(contact: Counted) -> str:
            return str(getattr(contact.labels, by))

        found = card(self._calls, group, since_ms, until_ms).groups
        ordered = sorted(found.items(), key=lambda item: (-item[1].contacts, str(item[0])))
        return [(str(key), sums.figures()) for key, sums in ordered]

    def _avoided(
        self,
        whole: Mapping[str, object],
        told: Told,
        pace: float,
        since_ms: int,
        until_ms: int,
    ) -> Avoided:
        contacts, needs = whole["contacts"], whole["needs"]
        assert isinstance(contacts, int)
        assert isinstance(needs, int)
        answers = sum(
            since_ms <= self._calls.arrival_ms[number]
            and (not until_ms or self._calls.arrival_ms[number] < until_ms)
            for number in self._calls.replies
        )
        joined = contacts - needs - answers
        if pace > 1:
            # What people did and what they were told are on two clocks.
            return Avoided(joined=joined)
        answered, offered = told.answered, told.offered
        hung_up: dict[int, int] = {}
        for owed in self._callbacks.all(since_ms, until_ms):
            case = self._calls.case_of(owed.case)
            if case != NONE:
                hung_up[case] = min(hung_up.get(case, owed.abandoned_ms), owed.abandoned_ms)
        back, again = set[int](), set[int]()
        for contact in self._calls.contacts(since_ms):
            case, at_ms = contact.case, contact.arrival_ms
            if contact.number in self._calls.replies:
                # An answer to how it was: nobody needed anything again.
                continue
            if case in answered and at_ms > answered[case]:
                back.add(case)
            if contact.call and case in hung_up and at_ms > hung_up[case] + _SOON_MS:
                again.add(case)
        soon = {
            case
            for case, at in hung_up.items()
            if case in offered and offered[case] <= at + _SOON_MS
        }
        untold = hung_up.keys() - offered.keys()
        return Avoided(
            joined=joined,
            answered=Share(len(answered) - len(back), len(answered)),
            told=Share(len(soon & again), len(soon)),
            untold=Share(len(untold & again), len(untold)),
        )


def _stretch(width_ms: int) -> Callable[[Counted], int]:
    return lambda contact: contact.arrival_ms // width_ms


def _parsed(kind: type[_M], take: Callable[[_M], None]) -> Callable[[Record, bytes], None]:
    return lambda _record, value: take(kind.FromString(value))


def _routes(settlement: Settlement) -> Mapping[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row, calls in settlement.rows():
        found.setdefault(row.agency, Counter())[row.went] += calls
    return found
