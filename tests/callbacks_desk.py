"""Agents at the callbacks of one partition: commands, and a clock that tests turn."""

from dataclasses import dataclass, field

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2 as asked
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.callbacks import Callbacks
from services.outreach.calling import DEFAULT
from services.outreach.working import Refused
from services.runtime import ids
from tests.outreach_told import CASES, NOW, RULES

COMMANDS = "outreach.command.v1"
MINUTE, HOUR = 60_000, 3_600_000
ASKING_MS = 10_000


def command(agent: str, callback_id: str, request: str, **action: object) -> asked.OutreachCommand:
    """What an agent asks. `action`: name and message of the action."""
    return asked.OutreachCommand(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.command_id(agent, next(iter(action)), f"{callback_id}/{request}"),
            subject=agent,
            asked_ms=NOW,
        ),
        callback_id=callback_id,
        **action,  # type: ignore[arg-type]
    )


@dataclass
class Desk:
    """One owner of a partition, its log, and the clock."""

    now_ms: int = NOW
    log: list[outreach.Callback] = field(default_factory=list)
    inputs: dict[str, list[bytes]] = field(default_factory=lambda: {CASES: [], COMMANDS: []})
    callbacks: Callbacks = field(default_factory=Callbacks)
    requests: int = 0

    def told(self, decision: dedup.CaseDecision) -> list[outreach.Callback]:
        """Dedup decided."""
        self.inputs[CASES].append(decision.SerializeToString())
        return self._case(len(self.inputs[CASES]) - 1)

    def _case(self, offset: int) -> list[outreach.Callback]:
        decision = dedup.CaseDecision.FromString(self.inputs[CASES][offset])
        at = common_pb2.Input(topic=CASES, offset=offset, epoch=offset)
        changed = self.callbacks.decide(RULES, decision, at, self.now_ms)
        for callback in changed:
            self._keep(callback)
        return changed

    def asks(
        self, agent: str, callback_id: str, action: str, request: str = "", **given: object
    ) -> outreach.Callback:
        """The callback after a command. Raises Refused."""
        self.requests += 1
        kind = {"no_answer": "NoAnswer", "give_up": "GiveUp"}.get(action, action.capitalize())
        made = command(
            agent,
            callback_id,
            request or str(self.requests),
            **{action: getattr(asked, kind)(**given)},
        )
        made.until_ms = self.now_ms + ASKING_MS
        return self.again(made)

    def again(self, made: asked.OutreachCommand) -> outreach.Callback:
        """The same command, once more in the topic."""
        self.inputs[COMMANDS].append(made.SerializeToString())
        return self._command(len(self.inputs[COMMANDS]) - 1)

    def _command(self, offset: int) -> outreach.Callback:
        made = asked.OutreachCommand.FromString(self.inputs[COMMANDS][offset])
        at = common_pb2.Input(topic=COMMANDS, offset=offset)
        changed = self.callbacks.obey(made, DEFAULT, at, self.now_ms)
        if changed is not None:
            self._keep(changed)
        found = self.callbacks.get(made.callback_id)
        assert found is not None
        return found

    def waits(self, ms: int) -> list[outreach.Callback]:
        """Time passes; what it changes, with one look at the end as after a pause of the owner."""
        self.now_ms += ms
        changed = []
        for callback in list(self.callbacks.all()):
            following = self.callbacks.passed(callback.callback_id, DEFAULT, self.now_ms)
            if following is not None:
                self._keep(following)
                changed.append(following)
        return changed

    def crashes(self, lost: int = 0) -> None:
        """A new owner: without the last `lost` records, it decides their inputs again."""
        if lost:
            del self.log[-lost:]
        self.callbacks = Callbacks()
        for callback in self.log:
            self.callbacks.take(callback)
        for topic, decide in ((CASES, self._case), (COMMANDS, self._command)):
            start, _ = self.callbacks.resume(topic) or (0, 0)
            for offset in range(start, len(self.inputs[topic])):
                try:
                    decide(offset)
                except Refused:
                    continue

    def _keep(self, callback: outreach.Callback) -> None:
        self.callbacks.take(callback)
        kept = outreach.Callback()
        kept.CopyFrom(callback)
        self.log.append(kept)
