"""Every setting of a service, from environment variables, checked once at the start.

`VARIABLES` is the one list: the deployment and the README are tested against it.
"""

import os
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
    Variable("MAWJA_REDIS_URL", None, "Redis or Valkey, redis://host:port/0"),
    Variable("MAWJA_KEYS", None, "folder of the key ring (person key, month keys, token keys)"),
    Variable("MAWJA_LISTEN", "127.0.0.1:0", "address of the gRPC server, host:port"),
    Variable("MAWJA_METRICS", "127.0.0.1:0", "address of /metrics, host:port"),
    Variable("MAWJA_WEBHOOK", "127.0.0.1:0", "address of intake's webhook, host:port"),
    Variable("MAWJA_CARRIERS", "", "file of carriers and routes, read by broadcast"),
    Variable("MAWJA_RULES", "", "file of outreach rules; empty: the ones shipped"),
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
    Variable("MAWJA_PARTITIONS", "8", "partitions of every topic keyed by person; never changes"),
    Variable("MAWJA_REPLICATION", "1", "copies of every partition (3 in production)"),
    Variable("MAWJA_DEAD_LETTER_LIMIT", "1000", "dead letters of one partition that stop a worker"),
    Variable(
        "MAWJA_INFLIGHT", "4000", "contacts being taken at once by one intake before it refuses"
    ),
    Variable("MAWJA_TRACE_SHARE", "0.01", "share of contacts that are traced, 0 to 1"),
    Variable("MAWJA_LOG_LEVEL", "info", "debug, info, warning or error"),
    Variable("MAWJA_READY_FILE", "", "written with the bound ports when the service is ready"),
    Variable("MAWJA_STATE", "", "folder for caches that may be thrown away (Faust's tables)"),
)
_BY_NAME = {variable.name: variable for variable in VARIABLES}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service process."""

    kafka: str
    redis_url: str
    keys: Path
    listen: str
    metrics: str
    webhook: str
    carriers: Path | None
    rules: Path | None
    shared_numbers: Path | None
    catalogue: Path | None
    knowledge: Path | None
    partitions: int
    replication: int
    dead_letter_limit: int
    inflight: int
    trace_share: float
    log_level: str
    ready_file: Path | None
    state: Path | None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Reads `env`. Raises ConfigError naming the variable and the rule it broke."""
        unknown = sorted(
            name
            for name in env
            if name.startswith("MAWJA_") and name not in _BY_NAME and name not in LOCAL_ONLY
        )
        if unknown:
            raise ConfigError(
                f"{unknown[0]} is not a setting of Mawja; see `mawja doctor --settings`"
            )

        def text(name: str) -> str:
            variable = _BY_NAME[name]
            value = env.get(name, variable.default)
            if value is None:
                raise ConfigError(f"{name} is not set: {variable.meaning}")
            return value

        def number(name: str, low: float, high: float) -> float:
            try:
                value = float(text(name))
            except ValueError:
                value = float("nan")
            if not low <= value <= high:
                raise ConfigError(f"{name} must be a number from {low:g} to {high:g}")
            return value

        def whole(name: str, low: int, high: int) -> int:
            value = number(name, low, high)
            if not value.is_integer():
                raise ConfigError(f"{name} must be a whole number from {low} to {high}")
            return int(value)

        def addresses(name: str) -> str:
            value = text(name)
            for address in value.split(","):
                host, _, port = address.strip().rpartition(":")
                if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
                    raise ConfigError(f"{name} must be host:port, e.g. 127.0.0.1:9092")
            return value

        def path(name: str) -> Path | None:
            return Path(text(name)) if text(name) else None

        level = text("MAWJA_LOG_LEVEL").lower()
        if level not in {"debug", "info", "warning", "error"}:
            raise ConfigError("MAWJA_LOG_LEVEL must be debug, info, warning or error")
        return cls(
            kafka=addresses("MAWJA_KAFKA"),
            redis_url=text("MAWJA_REDIS_URL"),
            keys=Path(text("MAWJA_KEYS")),
            listen=addresses("MAWJA_LISTEN"),
            metrics=addresses("MAWJA_METRICS"),
            webhook=addresses("MAWJA_WEBHOOK"),
            carriers=path("MAWJA_CARRIERS"),
            rules=path("MAWJA_RULES"),
            shared_numbers=path("MAWJA_SHARED_NUMBERS"),
            catalogue=path("MAWJA_CATALOGUE"),
            knowledge=path("MAWJA_KNOWLEDGE"),
            partitions=whole("MAWJA_PARTITIONS", 1, 4096),
            replication=whole("MAWJA_REPLICATION", 1, 7),
            dead_letter_limit=whole("MAWJA_DEAD_LETTER_LIMIT", 1, 10**9),
            inflight=whole("MAWJA_INFLIGHT", 10, 10**6),
            trace_share=number("MAWJA_TRACE_SHARE", 0, 1),
            log_level=level,
            ready_file=path("MAWJA_READY_FILE"),
            state=path("MAWJA_STATE"),
        )


# Read by `mawja` and services/local, not by a service.
LOCAL_ONLY = frozenset({"MAWJA_HOME", "MAWJA_SMPP", "MAWJA_TOKEN"})
