"""Every setting of a service, from environment variables, checked once at the start.

`VARIABLES` is the one list: the deployment and the README are tested against it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.runtime.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its default (None: must be given) and what it is for."""

    name: str
    default: str | None
    meaning: str


VARIABLES = (
    Variable("MAWJA_KAFKA", None, "bootstrap servers of Kafka, host:port[,host:port…]"),
    Variable(
        "MAWJA_KAFKA_TLS",
        "",
        "folder with ca.crt, user.crt and user.key, by which Kafka knows us; empty: without TLS",
    ),
    Variable("MAWJA_REDIS_URL", None, "Redis or Valkey, redis://host:port/0"),
    Variable("MAWJA_KEYS", None, "folder of the key ring (person key, month keys, token keys)"),
    Variable("MAWJA_LISTEN", "127.0.0.1:0", "address of the gRPC server, host:port"),
    Variable(
        "MAWJA_TLS",
        "",
        "folder with ca.crt, tls.crt and tls.key, by which services and who calls them know each "
        "other; may be replaced at any time; empty: no TLS, as on loopback",
    ),
    Variable(
        "MAWJA_HEALTH",
        "",
        "address where health alone is told without TLS, for probes, host:port; empty: nowhere",
    ),
    Variable("MAWJA_METRICS", "127.0.0.1:0", "address of /metrics, host:port"),
    Variable("MAWJA_WEBHOOK", "127.0.0.1:0", "address of intake's webhook, host:port"),
    Variable(
        "MAWJA_OPT_OUT",
        "127.0.0.1:0",
        "address of broadcast's opt-out page and of what carriers call, host:port",
    ),
    Variable("MAWJA_CARRIERS", "", "file of carriers and routes, read by broadcast"),
    Variable(
        "MAWJA_RULES",
        "",
        "folder of outreach's playbooks, or one file of rules; empty: the playbooks shipped",
    ),
    Variable(
        "MAWJA_PROPOSALS", "", "file of what estimates of proposals assume; empty: the one shipped"
    ),
    Variable(
        "MAWJA_CALLS_BACK",
        "",
        "file of how many call because of campaigns; empty: the shipped one",
    ),
    Variable(
        "MAWJA_AGENTS",
        "0",
        "agents at their telephones, by whom campaigns and outreach are slowed: a number, or the "
        "file of a plan (`mawja plan --begins … --json`); 0: not told",
    ),
    Variable("MAWJA_SENDING_RULES", "", "file of rules of sending; empty: the ones shipped"),
    Variable(
        "MAWJA_SHARED_NUMBERS",
        "",
        "file of numbers that many people share (switchboards, camps), E.164, one a line",
    ),
    Variable(
        "MAWJA_CATALOGUE",
        "",
        "folder with a file for each agency and its services; empty: the shipped ones",
    ),
    Variable(
        "MAWJA_KNOWLEDGE",
        "",
        "file of questions and approved answers; empty: the shipped examples, for rehearsals only",
    ),
    Variable(
        "MAWJA_CONTRACTS",
        "",
        "file of contracts: whose calls we take; empty: the shipped examples, for rehearsals only",
    ),
    Variable(
        "MAWJA_CAP_SENDER",
        "",
        "name of this centre among those that exchange alerts (CAP), e.g. alerts@ncema.example",
    ),
    Variable(
        "MAWJA_CAP_TRUSTED",
        "",
        "folder of certificates whose signatures on alerts count; empty: none is checked",
    ),
    Variable(
        "MAWJA_CAP_SIGNING",
        "",
        "folder with tls.crt and tls.key, by which alerts are signed; empty: they are not",
    ),
    Variable("MAWJA_PARTITIONS", "8", "partitions of every topic keyed by person; never changes"),
    Variable("MAWJA_REPLICATION", "1", "copies of every partition (3 in production)"),
    Variable("MAWJA_DEAD_LETTER_LIMIT", "1000", "dead letters of one partition that stop a worker"),
    Variable(
        "MAWJA_INFLIGHT", "4000", "contacts being taken at once by one intake before it refuses"
    ),
    Variable("MAWJA_TRACE_SHARE", "0.01", "share of contacts that are traced, 0 to 1"),
    Variable("MAWJA_OTLP", "", "collector of traces (OTLP), http://host:4317 or https://…"),
    Variable("MAWJA_LOG_LEVEL", "info", "debug, info, warning or error"),
    Variable("MAWJA_READY_FILE", "", "written with the bound ports when the service is ready"),
    Variable("MAWJA_STATE", "", "folder for caches that may be thrown away (Faust's tables)"),
)
# Of the console alone, which reads no topic: beside MAWJA_REDIS_URL, MAWJA_KEYS (of the key ring it
# needs `tokens` only), MAWJA_METRICS, MAWJA_LOG_LEVEL and MAWJA_READY_FILE.
CONSOLE_VARIABLES = (
    Variable("MAWJA_CONSOLE", "127.0.0.1:0", "address of the console's pages, host:port"),
    Variable(
        "MAWJA_CONSOLE_URL",
        "",
        "address by which people reach the console, https://host; empty: where it listens, by http",
    ),
    Variable(
        "MAWJA_CONSOLE_PROXIES",
        "",
        "addresses or networks, with commas, of proxies whose X-Forwarded-For is believed",
    ),
    Variable("MAWJA_CONSOLE_LANGUAGE", "ar", "language of who has chosen none: ar or en"),
    Variable("MAWJA_CONSOLE_ZONE", "Asia/Qatar", "time zone of the times on pages"),
    Variable(
        "MAWJA_CONSOLE_KID",
        "",
        "name of the token key that the console signs with; empty: the newest file",
    ),
    Variable("MAWJA_CONSOLE_IDLE_MINUTES", "30", "a session ends when it was not used for so long"),
    Variable("MAWJA_CONSOLE_LONGEST_HOURS", "12", "a session ends after so long in any case"),
    Variable(
        "MAWJA_CONSOLE_USERS", "", "file of users (`mawja users`); empty: none sign in by password"
    ),
    Variable(
        "MAWJA_CONSOLE_OIDC_ISSUER", "", "issuer of OpenID Connect, https://…; empty: there is none"
    ),
    Variable("MAWJA_CONSOLE_OIDC_CLIENT", "", "id of this console at the issuer"),
    Variable("MAWJA_CONSOLE_OIDC_SECRET", "", "file of the console's secret at the issuer"),
    Variable(
        "MAWJA_CONSOLE_OIDC_ROLES", "", "file that says which claims of the issuer give which role"
    ),
    Variable("MAWJA_INTAKE", None, "gRPC address of intake: host:port, dns:///host:port or ipv4:…"),
    Variable("MAWJA_DEDUP", None, "gRPC address of dedup"),
    Variable("MAWJA_OUTREACH", None, "gRPC address of outreach"),
    Variable("MAWJA_BROADCAST", None, "gRPC address of broadcast"),
    Variable("MAWJA_WAVE", None, "gRPC address of wave"),
    Variable("MAWJA_REPORTS", None, "gRPC address of reports"),
)
_BY_NAME = {variable.name: variable for variable in (*VARIABLES, *CONSOLE_VARIABLES)}


class Reader:
    """Reads variables of `env`, each by its rule. Raises ConfigError naming the variable, also when
    `env` has one that nobody knows."""

    def __init__(self, env: Mapping[str, str]) -> None:
        unknown = sorted(
            name
            for name in env
            if name.startswith("MAWJA_") and name not in _BY_NAME and name not in LOCAL_ONLY
        )
        if unknown:
            raise ConfigError(
                f"{unknown[0]} is not a setting of Mawja; see `mawja doctor --settings`"
            )
        self._env = env

    def text(self, name: str) -> str:
        """The value, or the default of `name`."""
        variable = _BY_NAME[name]
        value = self._env.get(name, variable.default)
        if value is None:
            raise ConfigError(f"{name} is not set: {variable.meaning}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        try:
            value = float(self.text(name))
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ConfigError(f"{name} must be a number from {low:g} to {high:g}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.number(name, low, high)
        if not value.is_integer():
            raise ConfigError(f"{name} must be a whole number from {low} to {high}")
        return int(value)

    def addresses(self, name: str) -> str:
        """host:port[,host:port…]."""
        value = self.text(name)
        for address in value.split(","):
            host, _, port = address.strip().rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
                raise ConfigError(f"{name} must be host:port, e.g. 127.0.0.1:9092")
        return value

    def path(self, name: str) -> Path | None:
        """A path, None when it is empty."""
        return Path(self.text(name)) if self.text(name) else None

    def whole_or_path(self, name: str, low: int, high: int) -> int | Path:
        """A whole number from `low` to `high`, or a path."""
        # Whatever looks like a number is meant as one.
        numeric = re.fullmatch(r"[-+.0-9]+", self.text(name))
        return self.whole(name, low, high) if numeric else Path(self.text(name))


def _collector(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/:]+:[0-9]{1,5}", value):
        raise ConfigError("MAWJA_OTLP must be http://host:port or https://host:port")
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service process."""

    kafka: str
    redis_url: str
    keys: Path
    listen: str
    tls: Path | None
    health: str
    metrics: str
    webhook: str
    opt_out: str
    carriers: Path | None
    rules: Path | None
    proposals: Path | None
    calls_back: Path | None
    agents: int | Path
    sending_rules: Path | None
    shared_numbers: Path | None
    catalogue: Path | None
    knowledge: Path | None
    contracts: Path | None
    cap_sender: str
    cap_trusted: Path | None
    cap_signing: Path | None
    partitions: int
    replication: int
    dead_letter_limit: int
    inflight: int
    trace_share: float
    otlp: str
    log_level: str
    ready_file: Path | None
    state: Path | None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Reads `env`. Raises ConfigError naming the variable and the rule it broke."""
        read = Reader(env)
        text, number, whole = read.text, read.number, read.whole
        addresses, path = read.addresses, read.path
        whole_or_path = read.whole_or_path
        level = text("MAWJA_LOG_LEVEL").lower()
        if level not in {"debug", "info", "warning", "error"}:
            raise ConfigError("MAWJA_LOG_LEVEL must be debug, info, warning or error")
        return cls(
            kafka=addresses("MAWJA_KAFKA"),
            redis_url=text("MAWJA_REDIS_URL"),
            keys=Path(text("MAWJA_KEYS")),
            listen=addresses("MAWJA_LISTEN"),
            tls=path("MAWJA_TLS"),
            health=addresses("MAWJA_HEALTH") if text("MAWJA_HEALTH") else "",
            metrics=addresses("MAWJA_METRICS"),
            webhook=addresses("MAWJA_WEBHOOK"),
            opt_out=addresses("MAWJA_OPT_OUT"),
            carriers=path("MAWJA_CARRIERS"),
            rules=path("MAWJA_RULES"),
            proposals=path("MAWJA_PROPOSALS"),
            calls_back=path("MAWJA_CALLS_BACK"),
            agents=whole_or_path("MAWJA_AGENTS", 0, 100_000),
            sending_rules=path("MAWJA_SENDING_RULES"),
            shared_numbers=path("MAWJA_SHARED_NUMBERS"),
            catalogue=path("MAWJA_CATALOGUE"),
            knowledge=path("MAWJA_KNOWLEDGE"),
            contracts=path("MAWJA_CONTRACTS"),
            cap_sender=text("MAWJA_CAP_SENDER"),
            cap_trusted=path("MAWJA_CAP_TRUSTED"),
            cap_signing=path("MAWJA_CAP_SIGNING"),
            partitions=whole("MAWJA_PARTITIONS", 1, 4096),
            replication=whole("MAWJA_REPLICATION", 1, 7),
            dead_letter_limit=whole("MAWJA_DEAD_LETTER_LIMIT", 1, 10**9),
            inflight=whole("MAWJA_INFLIGHT", 10, 10**6),
            trace_share=number("MAWJA_TRACE_SHARE", 0, 1),
            otlp=_collector(text("MAWJA_OTLP")),
            log_level=level,
            ready_file=path("MAWJA_READY_FILE"),
            state=path("MAWJA_STATE"),
        )


# Read by `mawja` and services/local, not by a service.
LOCAL_ONLY = frozenset({"MAWJA_DRILLS", "MAWJA_HOME", "MAWJA_SMPP", "MAWJA_TOKEN"})
