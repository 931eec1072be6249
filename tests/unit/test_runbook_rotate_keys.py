"""The page of rotating keys does, command by command, what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.system import make_keys, token
from services.runtime import clock, token_keys
from services.runtime.identity import Role, Unauthenticated, Verifier
from tests.runbooks.pages import FOLDER, steps


def test_the_steps_of_the_page_refuse_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_keys, "LOOK_S", 0.0)
    keys, kept = tmp_path / "keys", tmp_path / "token"
    make_keys(keys)
    old = f"Bearer {token(keys, 'ag-1', Role.AGENT)}"
    verifier = Verifier(keys, clock.now_ms)
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAWJA_KEYS": str(keys),
        "OLD": "local",
        "NEW": "2027-01",
        "TOKEN": str(kept),
    }
    make, hand_over, take_away = steps((FOLDER / "rotate-keys.md").read_text("utf-8"))

    def do(step: str) -> None:
        subprocess.run(["bash", "-euo", "pipefail", "-c", step], env=env, check=True)

    do(make)
    assert verifier.verify(old).subject == "ag-1"
    do(hand_over)
    new = f"Bearer {kept.read_text().strip()}"
    assert verifier.verify(new).subject == "exchange"
    assert verifier.verify(old).subject == "ag-1"
    do(take_away)
    assert verifier.verify(new).roles == {Role.GATEWAY}
    with pytest.raises(Unauthenticated):
        verifier.verify(old)
