"""What `--zone`, `--since` and `--until` say."""

import pytest
import typer

from services.runtime.clock import now_ms
from services.runtime.errors import Away, ConfigError, NotFound
from services.tools.periods import limits, zone_named
from services.tools.told import AWAY, told, told_if_away

DUBAI = zone_named("Asia/Dubai")


def test_a_zone_that_is_none_is_named_with_one_that_is() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ConfigError, match="give one such as Asia/Dubai"):
            zone_named(name)


def test_a_period_is_as_long_ago_or_at_the_hour_of_its_zone() -> None:
    assert limits("", "", DUBAI) == (0, 0)
    since_ms, until_ms = limits("2h", "", DUBAI)
    assert abs(now_ms() - 7_200_000 - since_ms) < 60_000
    assert until_ms == 0
    assert limits("1970-01-02 04:00", "1970-01-03 04:00", DUBAI) == (86_400_000, 172_800_000)


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        ("soon", "", "--since must be how long ago"),
        ("", "2020-01-01", "--until must say the hour too"),
        ("1h", "2h", "--until must be after --since"),
    ],
)
def test_a_period_that_is_none_is_told_by_its_option(since: str, until: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        limits(since, until, DUBAI)


def test_that_a_part_is_away_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for error, code in ((Away("kafka is away"), AWAY), (NotFound("no such thing"), 1)):
        with pytest.raises(typer.Exit) as ended, told(), told_if_away():
            raise error
        assert ended.value.exit_code == code
        assert capsys.readouterr().err == f"mawja: {error}\n"
