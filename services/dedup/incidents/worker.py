"""The worker of incidents: one decision for every statement and command of a partition.

As dedup's own worker, beside it in the process: a batch is decided in memory and appended at once,
the view and the answers follow from the log, and a new owner folds the log and goes on after the
highest input that is decided in it.
"""

import asyncio
from collections.abc import Callable, Sequence

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import inputs
from services.dedup.incidents.looking import Looking
from services.dedup.incidents.state import Decision, Incidents
from services.dedup.incidents.views import Shown
from services.runtime import metrics
from services.runtime.clock import now_ms
from services.runtime.errors import Poison
from services.runtime.keeping import Everything, Keeping
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Entry, Record
from services.runtime.replies import Replies
from services.runtime.store import PartitionView
from services.runtime.topics import DEDUP_DEAD, INCIDENT, INCIDENT_COMMAND, NEED
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="dedup-incidents",
    inputs=(NEED, INCIDENT_COMMAND),
    logs=(INCIDENT,),
    dead=DEDUP_DEAD,
    # Deciding on one takes about a millisecond: what waits must be seen to move.
    max_records=400,
)
_TURN = 4
_Changed = tuple[set[str], set[str], dict[str, list[str]]]
"""Incidents, cases, and cases that were forgotten with the incidents that may still list them."""


class IncidentWork:
    """The work of one partition (a `PartitionWork`). `fail` ends the worker; `looking` looks at
    what texts mean, where that can be told."""

    def __init__(
        self,
        context: Context,
        state: Incidents,
        view: Callable[[int, Everything], PartitionView],
        replies: Replies,
        fail: Callable[[BaseException], None],
        looking: Looking | None = None,
    ) -> None:
        self.state = state
        self._looking = looking
        self._context = context
        self._log = context.logs[INCIDENT.name]
        self._shown = Shown(context.partition)
        self._kept = Keeping(view, fail)
        self._replies = replies
        self._again: dict[str, None] = {}
        self._again_cases: dict[str, None] = {}
        self._again_forgotten: dict[str, list[str]] = {}

    # Taking over.

    def fold(self, record: Record) -> None:
        """Takes up one decision."""
        decision = Decision.FromString(record.value or b"")
        incidents, cases = self.state.fold(decision, record.offset)
        changed = incidents | self.state.thinned
        # What the last owner did not commit it may not have shown.
        fresh = decision.input.offset >= self._context.committed.get(decision.input.topic, 0)
        self._shown.known(self.state, changed, shown=not fresh)
        if fresh:
            self._again.update(dict.fromkeys(changed))
            self._again_cases.update(dict.fromkeys(cases))
            self._again_forgotten |= self.state.forgotten

    def resume(self, topic: str) -> tuple[int, int]:
        """One after the highest decided offset of `topic`."""
        return self.state.decided.get(topic, -1) + 1, NO_EPOCH

    async def start(self) -> None:
        """Shows again what the last owner may not have shown."""
        again = self._shown.items(
            self.state, self._again, self._again_cases, self.state.through, self._again_forgotten
        )
        await self._kept.start(
            self._log.epoch,
            lambda: self._shown.everything(self.state),
            again,
            self._context.committed,
            {topic.name: self.resume(topic.name)[0] for topic in PLAN.reads},
        )
        self._again, self._again_cases, self._again_forgotten = {}, {}, {}
        if self._looking is not None:
            self._looking.take(self._context.partition, self.state)

    # Working.

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records`, appends the decisions, then effects what follows from them."""
        async with self._kept.busy:
            await self._work(records)

    async def _work(self, records: Sequence[Record]) -> None:
        self._kept.unsure = True
        decisions, answers, changed = await self._decide(records)
        first = await self._log.append([Entry(d.SerializeToString()) for d in decisions])
        self._kept.unsure = False
        if decisions:
            self.state.through = first + len(decisions) - 1
            for decision in decisions:
                metrics.INCIDENTS.labels(_name(decision)).inc()
        incidents, cases, forgotten = changed
        if self._looking is not None:
            self._looking.changed(self._context.partition, incidents, cases)
        shown = self._shown.items(self.state, incidents, cases, self.state.through, forgotten)
        await self._kept.put(shown, {record.topic: record.offset + 1 for record in records})
        for channel, decision in answers:
            await self._replies.tell(
                channel, decision.outcome.command_id, decision.SerializeToString()
            )

    async def _decide(
        self, records: Sequence[Record]
    ) -> tuple[list[Decision], list[tuple[str, Decision]], _Changed]:
        """The decisions, whom to answer, and what changed."""
        decisions: list[Decision] = []
        answers: list[tuple[str, Decision]] = []
        incidents, cases, forgotten = set[str](), set[str](), dict[str, list[str]]()
        poison: list[asyncio.Future[None]] = []
        at_ms = now_ms()
        for number, record in enumerate(records):
            if record.offset <= self.state.decided.get(record.topic, -1):
                continue
            if number % _TURN == _TURN - 1:
                # Cases are decided in the same process and must not wait for this.
                await asyncio.sleep(0)
            at = common_pb2.Input(topic=record.topic, offset=record.offset)
            try:
                if source_of(record) == NEED.name:
                    decision = self.state.stated(inputs.need(record.value or b""), at, at_ms)
                else:
                    command = inputs.command(record.value or b"")
                    decision = self.state.command(command, at, at_ms)
                    if command.envelope.reply_to:
                        answers.append((command.envelope.reply_to, decision))
            except Poison as error:
                poison.append(self._context.dead(record, str(error)))
                continue
            decisions.append(decision)
            incidents |= self.state.changed[0] | self.state.thinned
            cases |= self.state.changed[1]
            forgotten |= self.state.forgotten
        # Before the log says that these offsets are done with.
        await asyncio.gather(*poison)
        return decisions, answers, (incidents, cases, forgotten)

    def committable(self, topic: str, offset: int) -> int:
        """Up to where the view is written."""
        return self._kept.committable(topic, offset)

    def wants(self, topic: str) -> bool:
        """Always: nothing waits in memory."""
        return True

    async def stop(self) -> None:
        """Shows what is left."""
        if self._looking is not None:
            self._looking.give_up(self._context.partition)
        await self._kept.stop()


def _name(decision: Decision) -> str:
    name = incidents_pb2.IncidentChange.Name(decision.change)
    return name.removeprefix("INCIDENT_CHANGE_").lower()
