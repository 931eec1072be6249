"""Who looks at the console, and what a page may ask about them."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from services.runtime.identity import Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in. `agency` is whose liaison, else empty; `theme` is "light", "dark"
    or "" (as the machine says); `csrf` is what their forms must bring along; `session_id` names the
    session to people who revoke it, and opens nothing."""

    sub: str
    name: str
    roles: frozenset[Role]
    agency: str
    language: str
    session_id: str
    csrf: str
    theme: str = ""

    def may(self, *roles: Role) -> bool:
        """Whether they have one of `roles`."""
        return bool(self.roles & set(roles))


class SignIn(Exception):
    """Nobody is signed in: the way goes to the sign-in page."""


class NotAllowed(Exception):
    """The person's roles may not do this."""


def person_of(request: Request) -> Person | None:
    """Who is signed in, or None."""
    person = getattr(request.state, "person", None)
    return person if isinstance(person, Person) else None


def signed_in(request: Request) -> Person:
    """Who is signed in. Raises SignIn."""
    person = person_of(request)
    if person is None:
        raise SignIn
    return person


def needs(*roles: Role) -> Callable[[Request], Person]:
    """A dependency that gives who is signed in and raises NotAllowed unless they have one of
    `roles`; for what is finer than a page's row in `rights`."""

    def check(request: Request) -> Person:
        person = signed_in(request)
        if not person.may(*roles):
            raise NotAllowed
        return person

    return check
