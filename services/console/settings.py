"""The console's settings, from environment variables, checked once at the start."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.runtime.config import Reader
from services.runtime.errors import ConfigError

ROOMS = ("intake", "dedup", "outreach", "broadcast", "wave", "reports")
LANGUAGES = ("ar", "en")


@dataclass(frozen=True, slots=True)
class Oidc:
    """A provider of OpenID Connect. `roles` is the file that maps claims to roles."""

    issuer: str
    client: str
    secret: Path
    roles: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`url` is the origin that browsers use, without a path; `rooms` has a gRPC target for each of
    ROOMS; `proxies` are networks. Times in the unit that their names say."""

    listen: str
    url: str
    proxies: tuple[str, ...]
    language: str
    zone: str
    kid: str
    idle_s: int
    longest_s: int
    users: Path | None
    oidc: Oidc | None
    rooms: Mapping[str, str]
    tls: Path | None
    redis_url: str
    keys: Path
    metrics: str
    log_level: str
    ready_file: Path | None

    @property
    def secure(self) -> bool:
        """Whether browsers come by https."""
        return self.url.startswith("https://")

    @property
    def hosts(self) -> frozenset[str]:
        """The Host headers that are answered; of a console without a URL those of loopback."""
        if self.url:
            return frozenset({urlsplit(self.url).netloc.lower()})
        return frozenset({"127.0.0.1", "localhost", "[::1]"})

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Reads `env`. Raises ConfigError naming the variable and the rule it broke."""
        read = Reader(env)
        level = read.text("MAWJA_LOG_LEVEL").lower()
        if level not in {"debug", "info", "warning", "error"}:
            raise ConfigError("MAWJA_LOG_LEVEL must be debug, info, warning or error")
        language = read.text("MAWJA_CONSOLE_LANGUAGE")
        if language not in LANGUAGES:
            raise ConfigError(f"MAWJA_CONSOLE_LANGUAGE must be {' or '.join(LANGUAGES)}")
        return cls(
            listen=read.addresses("MAWJA_CONSOLE"),
            url=_origin(read.text("MAWJA_CONSOLE_URL")),
            proxies=_networks(read.text("MAWJA_CONSOLE_PROXIES")),
            language=language,
            zone=_zone(read.text("MAWJA_CONSOLE_ZONE")),
            kid=read.text("MAWJA_CONSOLE_KID"),
            idle_s=60 * read.whole("MAWJA_CONSOLE_IDLE_MINUTES", 1, 24 * 60),
            longest_s=3600 * read.whole("MAWJA_CONSOLE_LONGEST_HOURS", 1, 24 * 7),
            users=read.path("MAWJA_CONSOLE_USERS"),
            oidc=_oidc(read),
            rooms={room: read.text(f"MAWJA_{room.upper()}") for room in ROOMS},
            tls=read.path("MAWJA_TLS"),
            redis_url=read.text("MAWJA_REDIS_URL"),
            keys=Path(read.text("MAWJA_KEYS")),
            metrics=read.addresses("MAWJA_METRICS"),
            log_level=level,
            ready_file=read.path("MAWJA_READY_FILE"),
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if url and (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise ConfigError("MAWJA_CONSOLE_URL must be https://host or https://host:port")
    return url.rstrip("/")


def _networks(said: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(one.strip())) for one in said.split(",") if one)
    except ValueError:
        raise ConfigError("MAWJA_CONSOLE_PROXIES must be addresses or networks") from None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError("MAWJA_CONSOLE_ZONE must be a time zone, e.g. Asia/Qatar") from None
    return name


def _oidc(read: Reader) -> Oidc | None:
    issuer = read.text("MAWJA_CONSOLE_OIDC_ISSUER")
    if not issuer:
        return None
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost"}:
        raise ConfigError("MAWJA_CONSOLE_OIDC_ISSUER must be https://…")
    client = read.text("MAWJA_CONSOLE_OIDC_CLIENT")
    secret = read.path("MAWJA_CONSOLE_OIDC_SECRET")
    roles = read.path("MAWJA_CONSOLE_OIDC_ROLES")
    for name, given in (("CLIENT", client), ("SECRET", secret), ("ROLES", roles)):
        if not given:
            raise ConfigError(f"MAWJA_CONSOLE_OIDC_{name} must be given with an issuer")
    assert secret is not None
    assert roles is not None
    return Oidc(issuer, client, secret, roles)
