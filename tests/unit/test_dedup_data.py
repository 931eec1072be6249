"""Dedup's data files are read whole or refused with a sentence."""

from pathlib import Path

import pytest

from services.dedup import data
from services.runtime import privacy
from services.runtime.errors import ConfigError

GIVEN = (Path(data.__file__).parent / "rules.yaml").read_text("utf-8")


def test_the_shipped_rules_are_read() -> None:
    rules = data.rules()
    assert rules.repeat_window == 7 * 86_400_000
    assert rules.reconnect_window == 120_000
    assert rules.answer_target == 20_000
    assert rules.handling_target == 240_000


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("repeat_window: 7d", "repeat_window: soon", "repeat_window must be"),
        ("repeat_window: 7d", "", "repeat_window"),
        ("text_same: 0.8", "text_same: 8", "text_same must be a share"),
        ("text_same: 0.8", "text_same: 0.8\nodd: 1", "odd"),
        ("tally_keep: 8d", "tally_keep: 1d", "tally_keep must outlast"),
        ("shared_cases: 8", "shared_cases: 0", "shared_cases must be"),
        ("need_same: 0.7", "need_same: true", "need_same must be a share"),
        ("need_same: 0.7", "need_same: 0.01", "rules.yaml: need_other must not be above need_same"),
        ("agencies: {}", "", "not known: agencies"),
        ("agencies: {}", "agencies: [police]", "agencies must be agency codes, each with"),
        ("agencies: {}", "agencies: {7: {need_same: 0.8}}", "7 must be an agency code"),
        ("agencies: {}", "agencies: {Police: {need_same: 0.8}}", "Police must be an agency code"),
        ("agencies: {}", "agencies: {police: 0.8}", "police must give need_same or need_other"),
        ("agencies: {}", "agencies: {police: {}}", "police must give need_same or need_other"),
        (
            "agencies: {}",
            "agencies: {police: {need_same: 0.8, text_same: 0.9}}",
            "police must give need_same or need_other, and nothing else",
        ),
        (
            "agencies: {}",
            "agencies: {police: {need_same: 8}}",
            "agencies: police: need_same must be a share from 0 to 1",
        ),
        (
            "agencies: {}",
            "agencies: {police: {need_other: 0.8}}",
            "agencies: police: need_other must not be above need_same",
        ),
    ],
)
def test_wrong_rules_are_refused(old: str, new: str, why: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError, match=why):
        data.rules(GIVEN.replace(old, new))


def test_an_agency_has_its_own_thresholds_and_the_common_ones_where_it_gives_none() -> None:
    own = "agencies: {police: {need_same: 0.9}, traffic: {need_other: 0.1}}"
    rules = data.rules(GIVEN.replace("agencies: {}", own))
    assert (rules.need_same, rules.need_other) == (0.7, 0.03)
    assert (rules.of("police").need_same, rules.of("police").need_other) == (0.9, 0.03)
    assert (rules.of("traffic").need_same, rules.of("traffic").need_other) == (0.7, 0.1)
    assert rules.of("health") is rules
    assert rules.of("") is rules


@pytest.mark.parametrize("text", ["[", "just words", "- a"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        data.rules(text)


def test_shared_numbers_are_hashed(tmp_path: Path) -> None:
    privacy.create(tmp_path / "keys", 1_800_000_000_000)
    keyring = privacy.Keyring(tmp_path / "keys")
    listed = tmp_path / "shared"
    listed.write_text("# switchboards\n+999400000001  # camp 4\n\n+999400000002\n")
    assert data.shared_numbers(listed, keyring) == {
        keyring.person("+999400000001"),
        keyring.person("+999400000002"),
    }
    assert data.shared_numbers(None, keyring) == frozenset()
    listed.write_text("+999400000001\n0501234567\n")
    with pytest.raises(ConfigError, match="line 2") as refused:
        data.shared_numbers(listed, keyring)
    assert "0501234567" not in str(refused.value)
    with pytest.raises(ConfigError, match="can't be read"):
        data.shared_numbers(tmp_path / "none", keyring)
