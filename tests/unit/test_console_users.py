"""The file of users and the console's settings: what is wrong is named, with its rule."""

from pathlib import Path

import pytest

from services.console import users
from services.console.settings import ROOMS, Settings
from services.console.users import User
from services.runtime.config import CONSOLE_VARIABLES
from services.runtime.errors import ConfigError
from services.runtime.identity import Role

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"
LEAST = {
    "MAWJA_REDIS_URL": "redis://r/0",
    "MAWJA_KEYS": "/keys",
    **{f"MAWJA_{room.upper()}": f"{room}:7000" for room in ROOMS},
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    known = {
        "fatima": User("fatima", "فاطمة", frozenset({Role.COORDINATOR}), "", HASH, "A" * 32),
        "omar": User("omar", "O: #\n'", frozenset({Role.LIAISON}), "MUNICIPALITY", HASH, "", True),
    }
    users.write(path, known)
    assert users.read(path) == known
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must begin with users:"),
        ("- a", "must begin with users:"),
        ("users: [a]", "must begin with users:"),
        ("users: {a: {", "can't be read"),
        ("users: {a: 1}", "'a': fields are"),
        (f"users: {{a: {{roles: [agent], password: '{HASH}', admin: 1}}}}", "'a': fields are"),
        (f"users: {{a: {{roles: agent, password: '{HASH}'}}}}", "'a': roles: of"),
        (f"users: {{a: {{roles: [king], password: '{HASH}'}}}}", "'a': roles: of"),
        (f"users: {{a: {{roles: [gateway], password: '{HASH}'}}}}", "'a': roles: of"),
        (f"users: {{a: {{roles: [], password: '{HASH}'}}}}", "'a': roles: at least one"),
        ("users: {a: {roles: [agent], password: secret}}", "'a': password: a hash"),
        (f"users: {{a: {{roles: [liaison], password: '{HASH}'}}}}", "'a': agency: of a liaison"),
        (
            f"users: {{a: {{roles: [liaison, agent], agency: X, password: '{HASH}'}}}}",
            "'a': roles: a liaison has no other",
        ),
        (f"users: {{a: {{roles: [agent], agency: X, password: '{HASH}'}}}}", "'a': agency: of"),
        (f"users: {{a: {{roles: [agent], totp: abc, password: '{HASH}'}}}}", "'a': totp: Base32"),
        (f"users: {{A b: {{roles: [agent], password: '{HASH}'}}}}", "'A b': a-z, 0-9"),
        (f"users: {{'oidc:a': {{roles: [agent], password: '{HASH}'}}}}", "'oidc:a': a-z, 0-9"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        users.read(path)
    assert rule in str(told.value)
    assert "secret" not in str(told.value)


def test_the_least_that_must_be_said_is_enough() -> None:
    settings = Settings.from_env(LEAST)
    assert not settings.secure
    assert settings.language == "ar"
    assert settings.oidc is None
    assert settings.hosts == {"127.0.0.1", "localhost", "[::1]"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAWJA_CONSOLE", "7090"),
        ("MAWJA_CONSOLE_URL", "console.example"),
        ("MAWJA_CONSOLE_URL", "ftp://console.example"),
        ("MAWJA_CONSOLE_URL", "https://console.example/path"),
        ("MAWJA_CONSOLE_URL", "https://a@console.example"),
        ("MAWJA_CONSOLE_URL", "https://console.example?x"),
        ("MAWJA_CONSOLE_PROXIES", "ingress"),
        ("MAWJA_CONSOLE_LANGUAGE", "fr"),
        ("MAWJA_CONSOLE_ZONE", "Doha"),
        ("MAWJA_CONSOLE_ZONE", "../etc/passwd"),
        ("MAWJA_CONSOLE_IDLE_MINUTES", "0"),
        ("MAWJA_CONSOLE_LONGEST_HOURS", "1.5"),
        ("MAWJA_CONSOLE_OIDC_ISSUER", "http://id.example"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        Settings.from_env({**LEAST, name: value})


@pytest.mark.parametrize("name", ["CLIENT", "SECRET", "ROLES"])
def test_an_issuer_needs_the_rest(name: str) -> None:
    whole = {
        "MAWJA_CONSOLE_OIDC_ISSUER": "https://id.example",
        "MAWJA_CONSOLE_OIDC_CLIENT": "mawja",
        "MAWJA_CONSOLE_OIDC_SECRET": "/secret",
        "MAWJA_CONSOLE_OIDC_ROLES": "/roles.yaml",
    }
    assert Settings.from_env({**LEAST, **whole}).oidc is not None
    lacking = {k: v for k, v in whole.items() if k != f"MAWJA_CONSOLE_OIDC_{name}"}
    with pytest.raises(ConfigError, match=f"MAWJA_CONSOLE_OIDC_{name} must be given"):
        Settings.from_env({**LEAST, **lacking})


def test_every_variable_is_read() -> None:
    read = set()

    class Env(dict[str, str]):
        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
            read.add(name)
            return super().get(name, default)

    Settings.from_env(Env({**LEAST, "MAWJA_CONSOLE_OIDC_ISSUER": ""}))
    named = {variable.name for variable in CONSOLE_VARIABLES}
    assert named - read == {f"MAWJA_CONSOLE_OIDC_{n}" for n in ("CLIENT", "SECRET", "ROLES")}
