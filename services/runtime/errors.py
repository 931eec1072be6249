"""The closed list of what can go wrong, each saying what happens next.

- Reject: this one thing is wrong and stays wrong. It is answered or set aside; the rest goes on.
- Retry: nothing is wrong with the thing; a part is away for now.
- Stop: going on could lose or repeat something. The process ends and is started again.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class MawjaError(Exception):
    """Base of the closed list. The message is one sentence without personal data."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field and the rule it broke; never the value."""

    field: str
    rule: str


class Invalid(MawjaError):
    """Reject: INVALID_ARGUMENT, with every field and rule."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.rule}" for v in self.violations))


class Conflict(MawjaError):
    """Reject: ALREADY_EXISTS. The key was used with another body."""


class NotFound(MawjaError):
    """Reject: NOT_FOUND."""


class NotInState(MawjaError):
    """Reject: FAILED_PRECONDITION. The thing is not in a state for this."""


class Forbidden(MawjaError):
    """Reject: PERMISSION_DENIED."""


class Poison(MawjaError):
    """Reject: a record that no version of this code can process; it goes to the dead letters."""


class Away(MawjaError):
    """Retry: UNAVAILABLE. A part is away; nothing was done, or it is safe to repeat."""


class Overloaded(MawjaError):
    """Retry: RESOURCE_EXHAUSTED, after `retry_after_ms` milliseconds."""

    def __init__(self, message: str, retry_after_ms: int) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(message)


class Stop(MawjaError):
    """Stop: this process must not go on, e.g. another one owns its partition now."""


class ConfigError(MawjaError):
    """Stop: a setting is missing or wrong; the message names the variable and says what to do."""
