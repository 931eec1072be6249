"""Of which time a paper tells: what `--zone`, `--since` and `--until` say."""

from zoneinfo import ZoneInfo

from services.broadcast.rules.zones import zone
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from services.tools.campaigns.times import past_ms


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises ConfigError."""
    try:
        return zone(name)
    except KeyError:
        raise ConfigError(f"there is no time zone {name!r}: give one such as Asia/Dubai") from None


def limits(since: str, until: str, of_zone: ZoneInfo) -> tuple[int, int]:
    """From when on and until when, in Unix ms: 0 where nothing is given. `of_zone`: of times that
    name none. Raises ConfigError."""
    now = now_ms()
    found = []
    for option, given in (("--since", since), ("--until", until)):
        try:
            found.append(past_ms(given, now, of_zone) if given else 0)
        except ValueError as error:
            raise ConfigError(f"{option} {error}") from None
    since_ms, until_ms = found
    if until_ms and until_ms <= since_ms:
        raise ConfigError("--until must be after --since")
    return since_ms, until_ms
