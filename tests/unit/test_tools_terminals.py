"""The command on terminals that can't show every letter."""

import os
import subprocess
import sys


def test_a_terminal_without_arabic_is_answered_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.tools", "campaign", "example"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Its name, for staff only." in done.stdout
