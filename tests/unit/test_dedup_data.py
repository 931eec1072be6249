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
    ],
)
def test_wrong_rules_are_refused(old: str, new: str, why: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError, match=why):
        data.rules(GIVEN.replace(old, new))


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
