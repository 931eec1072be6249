"""What the commands tell on a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from services.tools.screen import listing

ROW = ("2026-11-22T08:00:00", "noor", "Restored/Declare", "0b7c4a8e-52f1-5d1b-9a55-3f4b9f0c2d11")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_listing_says_all_that_it_has_however_narrow_the_terminal(width: int) -> None:
    table = listing("when", "who", "what", "on")
    table.add_row(*ROW)
    page = StringIO()
    Console(file=page, width=width).print(table)
    lines = page.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    # What a column says, read down.
    cut = [lines[0].index(name) for name in ("when", "who", "what", "on")]
    ends = [*cut[1:], width]
    said = [
        "".join(line[a:b].strip() for line in lines[1:]) for a, b in zip(cut, ends, strict=True)
    ]
    assert said == list(ROW)
