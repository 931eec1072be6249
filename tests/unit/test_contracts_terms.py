"""The contracts file: what is shipped, and that a wrong one is refused by line and field."""

import pytest

from services.dedup import catalogue
from services.runtime.errors import ConfigError
from services.wave.contracts import file
from services.wave.contracts.terms import Overflow, Terms, checked, parse

HEAD = "version: 1\ncentre:\n  most: 100\ncontracts:\n"
FULL = """\
  - agency: health
    version: 2
    model: full-service
    source: agreement 12
    date: 2026-01-02
    from: 2026-02-01
    until: 2027-02-01
"""
OVERFLOW = (
    FULL.replace("health", "education").replace("full-service", "overflow")
    + """\
    begin: 1
    end: 0.5
    hold: 60s
    silence: 2m
"""
)
DAY_MS = 24 * 3600_000
FEBRUARY_MS = 1_769_904_000_000  # 2026-02-01T00:00:00Z


def terms(text: str) -> Terms:
    return parse(text, "contracts.yaml")


def test_what_is_shipped_decides_on_rehearsals_only_and_names_agencies_of_the_catalogue() -> None:
    shipped = file.read()
    checked(shipped, frozenset(catalogue.read().agencies), "contracts.yaml")
    at = max(contract.from_ms for contract in shipped.contracts.values())
    assert shipped.contracts
    for agency in shipped.contracts:
        assert shipped.of(agency, at, drill=False) is None
        assert shipped.of(agency, at, drill=True) is not None


def test_a_contract_holds_on_its_days_only() -> None:
    found = terms(HEAD + FULL)
    assert found.of("health", FEBRUARY_MS - 1, drill=False) is None
    assert found.of("health", FEBRUARY_MS, drill=False) == found.contracts["health"]
    assert found.of("health", FEBRUARY_MS + 365 * DAY_MS, drill=False) is None
    assert found.of("police", FEBRUARY_MS, drill=False) is None


def test_what_is_left_out_of_overflow_is_the_capacity_only() -> None:
    assert terms(HEAD + OVERFLOW).contracts["education"].overflow == Overflow(
        0, 1.0, 0.5, 60_000, 120_000
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        (HEAD + FULL.replace("full-service", "some"), "line 7: contracts[0].model: must be"),
        (HEAD + FULL + FULL, "line 12: contracts[1].agency: health has a contract in line 5"),
        (HEAD + FULL.replace("2027-02-01", "2026-02-01"), "line 11: contracts[0].until: must be"),
        (HEAD + FULL + "    hold: 60s\n", "line 12: contracts[0].hold: is for the model overflow"),
        (HEAD + FULL.replace("    source: agreement 12\n", ""), "contracts[0].source: is missing"),
        (HEAD + FULL.replace("2026-01-02", "January"), "line 9: contracts[0].date: must be a day"),
        (HEAD + OVERFLOW.replace("0.5", "1"), "line 13: contracts[0].end: must be below begin"),
        (HEAD + OVERFLOW.replace("2m", "25h"), "line 15: contracts[0].silence: must be a time up"),
        (HEAD + OVERFLOW.replace("60s", "0s"), "line 14: contracts[0].hold: must be a time up"),
        (HEAD + OVERFLOW + "    holds: 1\n", "line 16: contracts[0].holds: is not known here"),
        (HEAD.replace("100", "0") + FULL, "line 3: centre.most: must be a whole number"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_field(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        terms(text)
    assert told in str(refused.value)


def test_an_agency_that_is_not_in_the_catalogue_is_named_with_its_line() -> None:
    with pytest.raises(ConfigError, match="line 5: agency: health is not in the catalogue"):
        checked(terms(HEAD + FULL), frozenset({"education"}), "contracts.yaml")
