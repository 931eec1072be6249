"""The local system as the `mawja` command starts it: parts, carriers, services."""

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from services.console import users as accounts
from services.console.signing import HASHER
from services.local.parts import Parts, Replaced
from services.local.progress import Progress
from services.local.smsc.profile import Profile, load
from services.local.system import CONSOLE, REPORTS, ROOMS, System
from services.runtime.identity import STAFF, Role
from services.runtime.smpp_text import Alphabet

PARTS_PER_SECOND = 1500
"""Pace of the local SMS centre's route: what a national aggregator sells to a ministry."""

_ONES_OWN = frozenset(
    {
        "MAWJA_AGENTS",
        "MAWJA_CALLS_BACK",
        "MAWJA_CATALOGUE",
        "MAWJA_CONTRACTS",
        "MAWJA_KNOWLEDGE",
        "MAWJA_OTLP",
        "MAWJA_PROPOSALS",
        "MAWJA_RULES",
        "MAWJA_SENDING_RULES",
        "MAWJA_TRACE_SHARE",
    }
)
"""Files of one's own, and where traces go: services of a local run get what the environment has."""


def home_folder(given: Path | None) -> Path:
    """Where the state of a local run lives: the given folder, MAWJA_HOME, or ./.mawja."""
    return given or Path(os.environ.get("MAWJA_HOME") or ".mawja")


def smsc_record(home: Path) -> Path:
    """The SMS centre's own record of every submit."""
    return home.absolute() / "smsc" / "record.jsonl"


def make_parts(home: Path, *, brokers: int, profile: str, progress: Progress) -> Parts:
    """Kafka, Valkey and the SMS centre; what the environment replaces is not started."""
    record = smsc_record(home)
    replaced = Replaced.from_env()

    def smsc(port: int) -> list[str]:
        # The record tells of the messages of one log: a new Kafka begins a new one. Not before the
        # home is ours, or a run that has it would lose its witness.
        if replaced.kafka is None:
            record.unlink(missing_ok=True)
        record.parent.mkdir(parents=True, exist_ok=True)
        return [
            sys.executable,
            "-m",
            "services.local.smsc",
            f"--port={port}",
            f"--record={record}",
            f"--port-file={record.with_name('ports.json')}",
            f"--profile={profile}",
        ]

    return Parts(home, brokers=brokers, replaced=replaced, smsc=smsc, progress=progress)


def write_carriers(parts: Parts, pace: int = PARTS_PER_SECOND, profile: str = "default") -> Path:
    """The carriers file of the local run: the SMS centre, declared `test`. `profile`: how it
    behaves, which with a carrier of one's own is agreed beforehand."""
    if parts.smpp is None:
        raise AssertionError("the local system always has an SMS centre")
    host, _, port = parts.smpp.rpartition(":")
    path = parts.home / "carriers.yaml"
    (parts.home / "local.password").write_text("local\n")
    path.write_text(
        yaml.safe_dump(
            {
                "carriers": [
                    {
                        "name": "local",
                        "kind": "smpp",
                        "declared": "test",
                        "host": host,
                        "port": int(port),
                        "system_id": "mawja",
                        "password_file": "local.password",
                        "sender": "Mawja",
                        "parts_per_second": pace,
                        **_agreed(load(profile)),
                    }
                ],
                # An SMS centre that somebody else runs may reach phones: only synthetic numbers.
                "routes": [{"prefix": "+" if parts.local_smsc else "+999", "carrier": "local"}],
            },
            sort_keys=False,
        )
    )
    return path


def _agreed(profile: Profile) -> dict[str, str]:
    """How a carrier with this profile writes ids and letters, where that is not the usual way."""
    agreed = {}
    if profile.answer_id != profile.receipt_id:
        agreed["id_format"] = "hex_to_dec" if profile.answer_id == "hex" else "dec_to_hex"
    if profile.alphabet is not Alphabet.GSM7:
        agreed["alphabet"] = profile.alphabet.value
    return agreed


def make_system(
    parts: Parts,
    replicas: Mapping[str, int] | None = None,
    shared_numbers: Sequence[str] = (),
    profile: str = "default",
    console: int | None = None,
) -> System:
    """Every service on top of parts that have been started. `shared_numbers`: switchboards that
    the centre knows of; `profile`: of the SMS centre; `console`: the port of its pages (0: any),
    None for a system without them."""
    shared = parts.home / "shared-numbers.txt"
    shared.write_text("\n".join(shared_numbers) + "\n")
    env = {
        "MAWJA_CARRIERS": str(write_carriers(parts, profile=profile)),
        "MAWJA_SHARED_NUMBERS": str(shared),
        # By which alerts are exchanged; a name that nobody can have (RFC 2606) where none is given.
        "MAWJA_CAP_SENDER": "mawja.invalid",
        **{
            name: value
            for name, value in os.environ.items()
            if name.startswith(("MAWJA_CAP_", "MAWJA_CONSOLE_")) or name in _ONES_OWN
        },
    }
    if console is None:
        return System(parts, env=env, replicas=replicas or {})
    env.setdefault("MAWJA_CONSOLE_USERS", str(parts.home / "users.yaml"))
    return System(
        parts,
        env=env,
        replicas=replicas or {},
        rooms=(*ROOMS, REPORTS, CONSOLE),
        ports={CONSOLE: console} if console else {},
    )


def console_url(system: System) -> str:
    """Where the console's pages are, as a browser on this machine reaches them."""
    ports = [r.address.webhook for r in system.running if r.room == CONSOLE]
    return f"http://127.0.0.1:{ports[0]}/"


def sign_in_told(system: System, users: Path, passwords: Mapping[str, str]) -> str:
    """Where the console is and how to sign in: what `mawja up` prints, passwords this once."""
    lines = [f"\nconsole: {console_url(system)}", f"users: {users} (see `mawja users`)"]
    lines += [
        f"  sign in as {name:<14} password {password}   (shown this once)"
        for name, password in passwords.items()
    ]
    return "\n".join(lines)


def make_users(path: Path) -> dict[str, str]:
    """A file of users with one for each role, and their passwords, by name; nothing where there is
    a file already."""
    if path.exists():
        return {}
    passwords = {role.value: secrets.token_urlsafe(12) for role in sorted(STAFF)}
    accounts.write(
        path,
        {
            name: accounts.User(
                sub=name,
                name=name.capitalize(),
                roles=frozenset({Role(name)}),
                agency="municipality" if name == Role.LIAISON else "",
                password=HASHER.hash(password),
            )
            for name, password in passwords.items()
        },
    )
    return passwords


def write_addresses(system: System) -> Path:
    """Where each service of this run listens, for people and for other commands."""
    path = system.parts.home / "services.json"
    path.write_text(
        json.dumps(
            {
                "kafka": system.parts.kafka,
                "redis_url": system.parts.redis_url,
                "smpp": system.parts.smpp,
                "keys": str(system.keys),
                "grpc": {room: system.target(room) for room in ROOMS},
                "console": console_url(system) if CONSOLE in system.rooms else "",
                "metrics": system.metrics_urls(),
                "webhook": [
                    f"http://127.0.0.1:{r.address.webhook}/v1/webhooks/<source>"
                    for r in system.running
                    if r.room == "intake"
                ],
                "announcements": [
                    f"http://127.0.0.1:{r.address.webhook}/v1/lines/<line>/announcements"
                    for r in system.running
                    if r.room == "intake"
                ],
                "opt_out": [
                    f"http://127.0.0.1:{r.address.webhook}/o/<token>"
                    for r in system.running
                    if r.room == "broadcast"
                ],
            },
            indent=2,
        )
    )
    return path
