"""What a finding of the booklet points to is there: a file of this repository, or a command."""

from pathlib import Path

import pytest
from typer.main import get_command

from services.tools.__main__ import app
from services.tools.afteraction.findings import Rule, rules


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.name))
def test_what_a_finding_points_to_is_there(rule: Rule) -> None:
    if not rule.see.startswith("mawja "):
        assert Path(rule.see).exists(), rule.see
        return
    command = get_command(app)
    for word in rule.see.split()[1:]:
        if word.startswith("--"):
            assert any(word in option.opts for option in command.params), rule.see
            break
        command = getattr(command, "commands", {})[word]
