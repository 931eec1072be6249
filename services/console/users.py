"""The file of users: who may sign in by password, as what.

A YAML file that is mounted and read again when it changes. Passwords are Argon2id hashes, which
cost 64 MiB and a tenth of a second each, so that a stolen file is of little use; the secrets of
authenticators stand as they are, so the file belongs to the console and its administrator alone.

    users:
      fatima:
        name: فاطمة الكواري
        roles: [coordinator]
        password: $argon2id$…
        totp: JBSWY3DPEHPK3PXP
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.runtime.errors import ConfigError
from services.runtime.identity import STAFF, Role, together

SHORTEST = 12
"""Letters of a password, at least (NIST SP 800-63B: 8 beside a second factor, 15 alone)."""
_SUB = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FIELDS = frozenset({"name", "roles", "agency", "password", "totp", "disabled"})


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. `totp` is the Base32 secret of their authenticator, empty where
    they have none; `agency` is whose liaison."""

    sub: str
    name: str
    roles: frozenset[Role]
    agency: str = ""
    password: str = ""
    totp: str = ""
    disabled: bool = False


def read(path: Path) -> dict[str, User]:
    """Every user by their sign-in name. Raises ConfigError naming the user and the rule."""
    try:
        said = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"the file of users {path} can't be read; see `mawja users`") from None
    users = said.get("users") if isinstance(said, dict) else None
    if not isinstance(users, dict):
        raise ConfigError(f"the file of users {path} must begin with users:; see `mawja users`")
    return {str(sub): _user(str(sub), one) for sub, one in users.items()}


def check(user: User) -> User:
    """`user`, when every rule holds. Raises ConfigError naming them and the rule."""

    def must(right: bool, rule: str) -> None:
        if not right:
            raise ConfigError(f"user {user.sub!r}: {rule}")

    must(_SUB.fullmatch(user.sub) is not None, "a-z, 0-9 and . _ - make a name, at most 64")
    must(bool(user.name) and len(user.name) <= 120, "name: 1 to 120 letters")
    must(bool(user.roles), "roles: at least one")
    must(user.roles <= STAFF, f"roles: of {', '.join(sorted(STAFF))}")
    must(user.roles == together(user.roles), "roles: a liaison has no other")
    must((Role.LIAISON in user.roles) == bool(user.agency), "agency: of a liaison, and only there")
    must(re.fullmatch(r"[A-Z2-7]{16,}|", user.totp) is not None, "totp: Base32, 16 letters or more")
    must(user.password.startswith("$argon2id$"), "password: a hash by Argon2id (`mawja users`)")
    return user


def write(path: Path, users: Mapping[str, User]) -> None:
    """Puts the file in the place of the last one, at once, for its owner alone."""
    said: dict[str, dict[str, Any]] = {}
    for user in users.values():
        one = said[user.sub] = {
            "name": user.name,
            "roles": sorted(role.value for role in user.roles),
        }
        if user.agency:
            one["agency"] = user.agency
        one["password"] = user.password
        if user.totp:
            one["totp"] = user.totp
        if user.disabled:
            one["disabled"] = True
    text = yaml.safe_dump({"users": said}, sort_keys=False, allow_unicode=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _user(sub: str, one: Any) -> User:
    if not isinstance(one, dict) or not one.keys() <= _FIELDS:
        raise ConfigError(f"user {sub!r}: fields are {', '.join(sorted(_FIELDS))}")
    roles = one.get("roles")
    if not isinstance(roles, list) or not {str(role) for role in Role} >= set(map(str, roles)):
        raise ConfigError(f"user {sub!r}: roles: of {', '.join(sorted(STAFF))}")
    return check(
        User(
            sub=sub,
            name=str(one.get("name", sub)),
            roles=frozenset(Role(role) for role in roles),
            agency=str(one.get("agency", "")),
            password=str(one.get("password", "")),
            totp=str(one.get("totp", "")),
            disabled=bool(one.get("disabled", False)),
        )
    )
