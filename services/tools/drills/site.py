"""The system that a drill goes through: where it is, and who may ask it what."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.local.parts import Parts
from services.local.system import System
from services.local.system import token as made_token
from services.runtime.identity import Role
from services.tools import account, asked


@dataclass(frozen=True, slots=True)
class Site:
    """`intake`, `wave`: gRPC targets. `sender`: a load tester's token, and `source` whose it is;
    `looker`: one that wave tells levels. `record`: the SMS centre's own, where it tells of this
    drill and nothing else."""

    kafka: str
    intake: str
    wave: str
    sender: str
    source: str
    looker: str
    record: Path | None = None


_NAME = "drill"


def running(home: Path | None, token: str, env: Mapping[str, str] = os.environ) -> Site:
    """The local run of `home`, or what MAWJA_KAFKA, MAWJA_INTAKE and MAWJA_WAVE name; `token` has
    the roles load-tester and auditor, and is made where the key ring is there. Raises ConfigError,
    Away."""
    kafka = account.source(home, env).kafka
    intake, keys = asked.place(home, env.get("MAWJA_INTAKE", ""), "intake")
    wave, _ = asked.place(home, env.get("MAWJA_WAVE", ""), "wave")
    if token:
        return Site(kafka, intake, wave, token, asked.subject_of(token) or _NAME, token)
    return Site(kafka, intake, wave, *_tokens(keys))


def started(parts: Parts, system: System, record: Path) -> Site:
    """A system that was started for this drill."""
    return Site(
        parts.kafka,
        system.target("intake"),
        system.target("wave"),
        *_tokens(system.keys),
        record=record if parts.local_smsc is not None else None,
    )


def _tokens(keys: Path) -> tuple[str, str, str]:
    sender = made_token(keys, _NAME, Role.LOAD_TESTER)
    return sender, _NAME, made_token(keys, _NAME, Role.AUDITOR)
