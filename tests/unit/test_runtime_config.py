"""Settings: every wrong one is named, with the rule it broke."""

import pytest

from services.runtime import store
from services.runtime.config import VARIABLES, Settings
from services.runtime.errors import ConfigError

LEAST = {"MAWJA_KAFKA": "k:9092", "MAWJA_REDIS_URL": "redis://r/0", "MAWJA_KEYS": "/keys"}


def test_the_least_that_must_be_said_is_enough() -> None:
    settings = Settings.from_env({**LEAST, "PATH": "/bin"})
    assert settings.partitions == 8
    assert settings.carriers is None
    assert settings.trace_share == 0.01
    assert settings.log_level == "info"


@pytest.mark.parametrize("name", LEAST)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not set: "):
        Settings.from_env({k: v for k, v in LEAST.items() if k != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAWJA_PARTITIONS", "0"),
        ("MAWJA_PARTITIONS", "4097"),
        ("MAWJA_PARTITIONS", "4.5"),
        ("MAWJA_PARTITIONS", "eight"),
        ("MAWJA_PARTITIONS", "nan"),
        ("MAWJA_PARTITIONS", ""),
        ("MAWJA_REPLICATION", "8"),
        ("MAWJA_DEAD_LETTER_LIMIT", "0"),
        ("MAWJA_DEAD_LETTER_LIMIT", "inf"),
        ("MAWJA_INFLIGHT", "9"),
        ("MAWJA_TRACE_SHARE", "1.01"),
        ("MAWJA_TRACE_SHARE", "-0.1"),
        ("MAWJA_LOG_LEVEL", "loud"),
        ("MAWJA_KAFKA", "kafka"),
        ("MAWJA_KAFKA", "a:9092,b"),
        ("MAWJA_KAFKA", ":9092"),
        ("MAWJA_LISTEN", "7001"),
        ("MAWJA_LISTEN", "0.0.0.0:70010"),
        ("MAWJA_METRICS", "host:port"),
        ("MAWJA_WEBHOOK", "host:"),
        ("MAWJA_OPT_OUT", "7085"),
        ("MAWJA_WEBHOOK", "host:٣"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        Settings.from_env({**LEAST, name: value})


def test_a_mistyped_name_is_named() -> None:
    with pytest.raises(ConfigError, match="MAWJA_PARTITION is not a setting"):
        Settings.from_env({**LEAST, "MAWJA_PARTITION": "8"})


def test_what_is_read_by_the_command_line_is_no_mistake() -> None:
    Settings.from_env({**LEAST, "MAWJA_HOME": "/tmp/x", "MAWJA_SMPP": "s:2775"})


def test_every_variable_is_read() -> None:
    """A variable in the list that nothing reads would be a promise without effect."""
    read: set[str] = set()

    class Env(dict[str, str]):
        def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
            read.add(name)
            return super().get(name, default)

    Settings.from_env(Env(LEAST))
    # Read where Kafka's clients are made, also those of commands that need no other setting.
    elsewhere = {"MAWJA_KAFKA_TLS"}
    assert read | elsewhere == {variable.name for variable in VARIABLES}
    assert not read & elsewhere


def test_a_wrong_address_of_redis_is_named_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"^MAWJA_REDIS_URL must be") as caught:
        store.connect("http://user:secret@host")
    assert "secret" not in str(caught.value)
