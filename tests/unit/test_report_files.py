"""The files of a report: all of it, or nothing that could be taken for it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.runtime.errors import ConfigError
from services.tools.reports.making import put


@contextmanager
def little_room() -> Iterator[None]:
    """No file of this process grows beyond 1,000 bytes, as if the disk were full then: the one that
    the tests' outcome is written to, too, so not for long."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_half_a_report_is_left_nowhere(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    put(out, {"a.json": b"of yesterday"})
    with little_room(), pytest.raises(ConfigError, match="can't be written to: File too large"):
        put(out, {"a.json": b"{}", "a.html": b"x" * 2_000})
    assert [one.name for one in out.iterdir()] == ["a.json"]
    assert (out / "a.json").read_bytes() == b"of yesterday"


def test_all_of_it_stands_there(tmp_path: Path) -> None:
    written = put(tmp_path / "new" / "folder", {"a.json": b"{}", "a.html": b"<p>"})
    assert [one.read_bytes() for one in written] == [b"{}", b"<p>"]
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2
