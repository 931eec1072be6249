"""The callbacks of a partition: what case decisions, agents and time make of them. Pure.

Order of learning does not matter for a callback: it is owed as long as the last abandoned call is
later, by event time, than the last answer. Its place is the earliest arrival that any decision
told, and never moves later. What becomes of callbacks when people merge or split cases is in
`reversal`, what agents and time do to them in `working`.
"""

from collections.abc import Iterable, Sequence

from google.rpc import code_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import reversal, working
from services.outreach.calling import Calling
from services.outreach.decide import Position, abandonment, settled_ms
from services.outreach.rules import Event, Rule, facts_of
from services.outreach.working import DUE, LATER, OPEN, WITHDRAWN, Refused
from services.runtime import ids

_ENDED = (working.COMPLETED, working.GIVEN_UP)


class Callbacks:
    """What one partition of the log of callbacks says, and what comes next in it."""

    def __init__(self) -> None:
        self._last: dict[str, Position] = {}
        self._by_id: dict[str, outreach.Callback] = {}
        self._of_case: dict[str, outreach.Callback] = {}

    def resume(self, topic: str) -> Position | None:
        """Where deciding goes on in `topic`; None when the log holds nothing of it."""
        # Merged cases may change two callbacks, and a crash may part the records: so the input of
        # the last one is decided again. What stands as it asks for is left as it is.
        return self._last.get(topic)

    def take(self, callback: outreach.Callback) -> None:
        """Takes up a record of the log, in order."""
        before = self._by_id.get(callback.callback_id)
        if before is not None and before.case_id != callback.case_id:
            held = self._of_case.get(before.case_id)
            if held is not None and held.callback_id == callback.callback_id:
                del self._of_case[before.case_id]
        self._by_id[callback.callback_id] = callback
        self._of_case[callback.case_id] = callback
        if callback.HasField("input"):
            self._last[callback.input.topic] = (callback.input.offset, callback.input.epoch)

    def get(self, callback_id: str) -> outreach.Callback | None:
        """A callback as it stands."""
        return self._by_id.get(callback_id)

    def of_case(self, case_id: str) -> outreach.Callback | None:
        """The callback of a case, the last one that it had."""
        return self._of_case.get(case_id)

    def all(self) -> Iterable[outreach.Callback]:
        """All callbacks as they stand."""
        return self._by_id.values()

    def decide(
        self,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> list[outreach.Callback]:
        """The callbacks that `decision`, read at `input`, changes, as it leaves them; of one case
        there is one at most."""
        last = self._last.get(input.topic)
        if not decision.HasField("case") or (last is not None and input.offset < last[0]):
            return []
        if decision.HasField("other"):
            changed = reversal.changed(
                decision, self._open, self._of_case.__contains__, lambda case: _offered(case, rules)
            )
            new = [callback for callback in changed if not self._stands(callback)]
            return [_decided(callback, input, now_ms) for callback in new]
        held = self._of_case.get(decision.case.case_id)
        if held is not None and held.state in OPEN:
            following = self._go_on(held, decision, input, now_ms)
        else:
            following = self._begin(held, rules, decision, input, now_ms)
        return [] if following is None else [following]

    def obey(
        self,
        command: commands_pb2.OutreachCommand,
        calling: Calling,
        input: common_pb2.Input,
        now_ms: int,
    ) -> outreach.Callback | None:
        """The callback that a command, read at `input`, changes; None when it stands as it asks
        for. Raises Refused."""
        last = self._last.get(input.topic)
        if last is not None and input.offset < last[0]:
            # Decided on by an owner before this one.
            return None
        callback = self._by_id.get(command.callback_id)
        if callback is None:
            raise Refused(code_pb2.NOT_FOUND, "there is no such callback")
        following = working.obeyed(callback, command, calling, now_ms)
        return None if following is None else _decided(following, input, now_ms)

    def passed(self, callback_id: str, calling: Calling, now_ms: int) -> outreach.Callback | None:
        """The callback that time changes; None when it does not yet."""
        following = working.passed(self._by_id[callback_id], calling, now_ms)
        return None if following is None else _decided(following, None, now_ms)

    def withdrawn(self, callback_id: str, now_ms: int) -> outreach.Callback:
        """The callback after its person was erased."""
        return _decided(working.withdrawn(self._by_id[callback_id], now_ms), None, now_ms)

    def _open(self, case_id: str) -> outreach.Callback | None:
        held = self._of_case.get(case_id)
        return held if held is not None and held.state in OPEN else None

    def _stands(self, callback: outreach.Callback) -> bool:
        """Whether it stands like this already, or was decided on and is past."""
        held = self._by_id.get(callback.callback_id)
        if held is not None:
            return held == callback or held.state not in OPEN or not callback.version
        # A new one, and an agent spoke with the person about this very case.
        of_case = self._of_case.get(callback.case_id)
        return (
            of_case is not None
            and of_case.state in _ENDED
            and callback.abandoned_ms <= of_case.settled_ms
        )

    def _begin(
        self,
        held: outreach.Callback | None,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> outreach.Callback | None:
        case = decision.case
        abandoned = abandonment(decision)
        if abandoned is None or not _offered(case, rules):
            return None
        if held is not None and abandoned.at_ms <= held.settled_ms:
            return None
        callback_id = ids.callback_id(case.case_id, abandoned.contact_id)
        if callback_id in self._by_id:
            return None
        return outreach.Callback(
            input=input,
            callback_id=callback_id,
            case_id=case.case_id,
            case_number=case.case_number,
            person=case.person,
            state=DUE,
            place_ms=_earliest(case.first_arrival_ms, abandoned.arrival_ms),
            life_safety=case.life_safety,
            agency=case.agency,
            language=case.language,
            line=case.line,
            drill=case.drill,
            decided_ms=now_ms,
            version=1,
            sealed_number=case.sealed_number,
            abandoned_ms=abandoned.at_ms,
            mobile=case.number_line == common_pb2.LINE_MOBILE,
            exercise=case.exercise if case.HasField("exercise") else None,
        )

    def _go_on(
        self,
        held: outreach.Callback,
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> outreach.Callback | None:
        case = decision.case
        abandoned = abandonment(decision)
        following = outreach.Callback()
        following.CopyFrom(held)
        following.place_ms = _earliest(held.place_ms, case.first_arrival_ms)
        following.life_safety = held.life_safety or case.life_safety
        following.agency = case.agency or held.agency
        following.language = case.language or held.language
        if abandoned is not None:
            following.place_ms = _earliest(following.place_ms, abandoned.arrival_ms)
            following.abandoned_ms = max(held.abandoned_ms, abandoned.at_ms)
        again = following.abandoned_ms > held.abandoned_ms
        if held.state == LATER and (again or following.life_safety > held.life_safety):
            # They are at the telephone now, or in danger.
            following.state, following.not_before_ms = DUE, 0
        settled = settled_ms(decision)
        if decision.change == dedup.CASE_CHANGE_RESOLVED or settled >= following.abandoned_ms:
            following.state = WITHDRAWN
            following.lease_until_ms = following.not_before_ms = 0
            # An agent's word settles what was known then, whatever the agent's clock said.
            following.settled_ms = (
                following.abandoned_ms if decision.change == dedup.CASE_CHANGE_RESOLVED else settled
            )
        if following == held:
            return None
        following.input.CopyFrom(input)
        # Dedup keeps the one that was sealed last: its month's key lives longest.
        following.sealed_number = case.sealed_number or held.sealed_number
        following.mobile = case.number_line == common_pb2.LINE_MOBILE
        following.decided_ms = now_ms
        following.version = held.version + 1
        return following


def _offered(case: dedup.Case, rules: Sequence[Rule]) -> bool:
    """Whether callers of this case can be, and are, called back."""
    return bool(case.sealed_number and case.person and not case.recorded) and any(
        rule.callback and rule.asked(Event.CALL_ABANDONED, facts_of(case, case.channel))
        for rule in rules
    )


def _decided(
    callback: outreach.Callback, input: common_pb2.Input | None, now_ms: int
) -> outreach.Callback:
    """A callback that changed, as one more decision on it. `input`: what caused it; None: time."""
    callback.ClearField("input")
    if input is not None:
        callback.input.CopyFrom(input)
    callback.decided_ms = now_ms
    callback.version += 1
    return callback


def _earliest(*times_ms: int) -> int:
    """The earliest of `times_ms`, of which at least one is known (above 0)."""
    return min((time_ms for time_ms in times_ms if time_ms > 0), default=0)
