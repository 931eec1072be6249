"""What a runbook says to a program."""

import subprocess

import pytest

from tests.runbooks import faults, pages

TEXT = """---
alert: RedisLost
fault: freeze valkey
---
# Redis

1. Look.

```sh
mawja pid valkey
```
```json
{}
```
"""


def test_only_commands_are_steps() -> None:
    assert pages.steps(TEXT) == ("mawja pid valkey\n",)


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.name))
def test_a_page_can_be_performed_or_says_why_not(page: pages.Page) -> None:
    if page.fault == "none":
        assert page.why
        return
    assert page.fault.split()[0] in faults.FAULTS
    assert page.steps
    for step in page.steps:
        # Read by the shell, not run.
        subprocess.run(["bash", "-n", "-c", step], check=True)
