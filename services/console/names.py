"""What pages call roles and ways of signing in."""

from collections.abc import Iterable, Mapping

from services.console.words import N_, Words
from services.runtime.identity import Role

ROLES: Mapping[str, str] = {
    Role.COORDINATOR: N_("Coordinator"),
    Role.APPROVER: N_("Approver"),
    Role.AGENT: N_("Agent"),
    Role.LIAISON: N_("Agency liaison"),
    Role.AUDITOR: N_("Auditor"),
    Role.ADMINISTRATOR: N_("Administrator"),
}
WAYS: Mapping[str, str] = {
    "password": N_("Password"),
    "oidc": N_("Organisation's account"),
}


def roles(said: Words, of: Iterable[str]) -> str:
    """The names of roles, in the order of the list above."""
    given = set(of)
    comma = "، " if said.language == "ar" else ", "
    return comma.join(said(name) for role, name in ROLES.items() if role in given)
