"""libfaketime: a clock of one's own for a program, as its wheel brings it."""

import importlib.util
import platform
import sys
from collections.abc import Mapping
from pathlib import Path


def library() -> Path:
    """The library itself. Raises AssertionError where there is none."""
    assert (sys.platform, platform.machine()) == ("linux", "x86_64"), (
        "this steps a process's clock with libfaketime, whose wheel is for Linux on x86-64: "
        f"run it there, not on {sys.platform} {platform.machine()}"
    )
    found = importlib.util.find_spec("libfaketime")
    assert found is not None, "libfaketime is not installed: make setup"
    assert found.submodule_search_locations is not None
    [folder] = found.submodule_search_locations
    return Path(folder) / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


def environment(clock: Path) -> Mapping[str, str]:
    """The environment of a program whose wall clock is ahead by what stands in the file `clock`, in
    seconds ("+60"). The clock that never steps is left alone."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
