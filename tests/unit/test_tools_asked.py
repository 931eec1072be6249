"""What a call's failure means for who asked from a terminal."""

from dataclasses import dataclass

import grpc
import pytest

from services.runtime.errors import Away, Conflict, Forbidden, MawjaError, NotFound, NotInState
from services.runtime.identity import Unauthenticated
from services.tools.asked import error_of

Code = grpc.StatusCode


@dataclass
class Failed:
    """A call that ended so."""

    ended: grpc.StatusCode
    said: str = "why"

    def code(self) -> grpc.StatusCode:
        return self.ended

    def details(self) -> str:
        return self.said


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.NOT_FOUND, NotFound),
        (Code.FAILED_PRECONDITION, NotInState),
        (Code.PERMISSION_DENIED, Forbidden),
        (Code.ALREADY_EXISTS, Conflict),
        (Code.UNAUTHENTICATED, Unauthenticated),
        (Code.UNAVAILABLE, Away),
        (Code.DEADLINE_EXCEEDED, Away),
        (Code.RESOURCE_EXHAUSTED, Away),
        (Code.INTERNAL, MawjaError),
    ],
)
def test_a_refusal_is_told_as_what_it_is(code: grpc.StatusCode, kind: type[MawjaError]) -> None:
    found = error_of(Failed(code), "wave", "here:1")
    assert type(found) is kind
    if code is not Code.DEADLINE_EXCEEDED:
        assert str(found) == "why"


def test_who_does_not_answer_is_named_with_its_address() -> None:
    found = error_of(Failed(Code.UNAVAILABLE, "failed to connect to all"), "wave", "here:1")
    assert str(found) == "wave at here:1 does not answer; try again when it is up"
    assert "took too long" in str(error_of(Failed(Code.DEADLINE_EXCEEDED), "wave", "here:1"))
