"""Cases as dedup tells of them, and outreach's two logs of what it decides."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import shelf
from services.outreach.answering import NO_KNOWLEDGE
from services.outreach.callbacks import Callbacks
from services.outreach.decide import Messages
from services.outreach.rule_file import parse
from services.outreach.rules import Rule
from services.runtime import ids
from services.runtime.knowledge import Knowledge

RULES = parse(
    (Path(__file__).parent / "fixtures" / "outreach_rules.yaml").read_text("utf-8"), "rules"
)
"""Those that ask nothing of time."""
SHIPPED = shelf.read(None).rules
TWO_AT_ONCE = parse(
    """
centre: {ar: م, en: c}
rules:
  - name: first
    version: 1
    when: {event: case-opened}
    message: {expires: 1h, texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}}
  - name: second
    version: 1
    when: {event: case-opened}
    message: {expires: 1h, texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}}
  - name: call
    version: 1
    when: {event: call-abandoned}
    callback: true
""",
    "two.yaml",
)
T0 = 1_800_000_000_000
CASES = "dedup.case.v1"
NOW = T0 + 5_000
DUE, WITHDRAWN = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_WITHDRAWN
ABANDONED, ANSWERED = intake.CALL_STATE_ABANDONED, intake.CALL_STATE_ANSWERED
ENDED = intake.CALL_STATE_ENDED


@dataclass
class Told:
    """One case as dedup tells it: the decisions, each with the case whole."""

    name: str = "a"
    channel: int = common_pb2.CHANNEL_VOICE
    line: int = common_pb2.LINE_MOBILE
    language: str = "ar"
    drill: bool = False
    arrival_ms: int = T0
    case: dedup.Case = field(init=False)

    def __post_init__(self) -> None:
        case_id = ids.case_id(self.name)
        withheld = self.line == common_pb2.LINE_UNSPECIFIED
        self.case = dedup.Case(
            case_id=case_id,
            case_number=ids.case_number(case_id),
            person=b"" if withheld else self.name.encode().ljust(16, b"."),
            state=dedup.CASE_STATE_OPEN,
            first_arrival_ms=self.arrival_ms,
            last_contact_ms=self.arrival_ms,
            channel=self.channel,  # type: ignore[arg-type]
            number_line=self.line,  # type: ignore[arg-type]
            line="109",
            agency="moh",
            language=self.language,
            drill=self.drill,
            accepted_ms=self.arrival_ms + 7,
            sealed_number=b"" if withheld else b"sealed-" + self.name.encode(),
        )

    def told(
        self, change: int, call: intake.CallEvent | None = None, *waited: intake.CallEvent
    ) -> dedup.CaseDecision:
        self.case.version += 1
        decision = dedup.CaseDecision(change=change, decided_ms=NOW)  # type: ignore[arg-type]
        decision.case.CopyFrom(self.case)
        decision.link.contact_id = f"{self.name}-first"
        if call is not None:
            decision.call.CopyFrom(call)
        decision.waited.extend(waited)
        return decision

    def opened(self, *waited: intake.CallEvent) -> dedup.CaseDecision:
        return self.told(dedup.CASE_CHANGE_OPENED, None, *waited)

    def event(
        self, state: int, at_s: int, contact: str = "call", wait_s: int = 0, talk_s: int = 0
    ) -> intake.CallEvent:
        return intake.CallEvent(
            contact_id=f"{self.name}-{contact}",
            state=state,  # type: ignore[arg-type]
            event_ms=self.arrival_ms + at_s * 1000,
            queue_wait_ms=wait_s * 1000,
            handling_ms=talk_s * 1000,
            accepted_ms=self.arrival_ms + at_s * 1000 + 3,
        )

    def abandoned(self, at_s: int, contact: str = "", wait_s: int = 10) -> dedup.CaseDecision:
        self.case.abandoned += 1
        event = self.event(ABANDONED, at_s, contact or f"call-{at_s}", wait_s)
        return self.told(dedup.CASE_CHANGE_CALL, event)

    def answered(self, at_s: int) -> dedup.CaseDecision:
        self.case.answered += 1
        return self.told(dedup.CASE_CHANGE_CALL, self.event(ANSWERED, at_s, f"call-{at_s}"))

    def resolved(self, at_s: int) -> dedup.CaseDecision:
        self.case.state = dedup.CASE_STATE_RESOLVED
        self.case.resolved_ms = self.arrival_ms + at_s * 1000
        return self.told(dedup.CASE_CHANGE_RESOLVED)

    def reopened(self) -> dedup.CaseDecision:
        self.case.state = dedup.CASE_STATE_OPEN
        self.case.resolved_ms = 0
        return self.told(dedup.CASE_CHANGE_REOPENED)


@dataclass
class Logs:
    """The two logs as Kafka has them, and the group's committed offset."""

    messages: list[outreach.MessageRequested] = field(default_factory=list)
    callbacks: list[outreach.Callback] = field(default_factory=list)
    committed: int = 0
    known: Knowledge = NO_KNOWLEDGE

    def run(
        self,
        inputs: Sequence[dedup.CaseDecision],
        *,
        rules: Sequence[Rule] = RULES,
        batch: int = 1000,
        calls_kept: int = 1000,
        requests_kept: int = 1000,
        stop_after: int = 1000,
    ) -> "Logs":
        """An owner takes over, works through batches and dies: in its last batch only so many
        records of each log reach Kafka, and nothing is committed."""
        messages, callbacks = Messages(self.known, rules), Callbacks()
        for request in self.messages:
            messages.take(request)
        for logged in self.callbacks:
            callbacks.take(logged)
        start = (0, -1)
        resume = min(messages.resume(CASES) or start, callbacks.resume(CASES) or start)
        # Here every input is its own epoch: never one from behind the place to go on at.
        assert 0 <= resume[0] - resume[1] <= 1
        position = max(self.committed, resume[0])
        for number in range(stop_after):
            called, requested = [], []
            for offset in range(position, min(position + batch, len(inputs))):
                cause = common_pb2.Input(topic=CASES, offset=offset, epoch=offset)
                for callback in callbacks.decide(rules, inputs[offset], cause, NOW):
                    callbacks.take(callback)
                    called.append(callback)
                for draft in messages.decide(rules, inputs[offset], cause, NOW):
                    messages.take(draft.request)
                    requested.append(draft.request)
            last = number == stop_after - 1
            self.callbacks += called[:calls_kept] if last else called
            # Nothing is requested before Kafka has the callbacks of the batch.
            if not last or calls_kept >= len(called):
                self.messages += requested[:requests_kept] if last else requested
            position += batch
            if last:
                break
            self.committed = min(position, len(inputs))
            if position >= len(inputs):
                break
        return self

    def steps(self) -> list[str]:
        return [request.step for request in self.messages]


def run(*inputs: dedup.CaseDecision) -> Logs:
    return Logs().run(inputs)
