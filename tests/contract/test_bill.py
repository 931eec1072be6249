"""The image's gathering script finds what is needed, and its bill of materials is complete."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.kubernetes import ROOT


@pytest.fixture(scope="module")
def gather() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gather", ROOT / "deploy/image/gather.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_on_the_way_to_a_file_are_kept(gather: ModuleType, tmp_path: Path) -> None:
    real, image = tmp_path / "usr/lib", tmp_path / "image"
    real.mkdir(parents=True)
    (real / "libc.so.6.1").write_text("library")
    (real / "libc.so.6").symlink_to("libc.so.6.1")
    (tmp_path / "lib").symlink_to("usr/lib")
    gather.copy(tmp_path / "lib" / "libc.so.6", image)
    inside = image / tmp_path.relative_to("/")
    assert (inside / "lib").readlink() == Path("usr/lib")
    assert (inside / "usr/lib/libc.so.6").readlink() == Path("libc.so.6.1")
    assert (inside / "lib/libc.so.6").read_text() == "library"


def test_what_nothing_loads_is_left_out(gather: ModuleType) -> None:
    names = ["ar_QA.dat", "en.dat", "root.dat", "de_AT.dat", "__init__.py"]
    assert gather.left_out("/x/babel/locale-data", names) >= {"de_AT.dat"}
    assert not gather.left_out("/x/babel/locale-data", names) & {"ar_QA.dat", "en.dat", "root.dat"}
    assert gather.left_out("/x/phonenumbers", ["geodata", "tzdata"]) == {"geodata"}


def test_the_bill_names_every_package_that_is_locked(gather: ModuleType) -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    # What another system or Python would need has a marker.
    found = re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", text, re.M)
    locked = [(re.sub(r"[-_.]+", "-", name), version) for name, version in found]
    bill = gather.bill(ROOT / ".venv", set())
    assert bill["specVersion"] == "1.6"
    held = {(re.sub(r"[-_.]+", "-", part["name"]), part["version"]) for part in bill["components"]}
    assert len(locked) > 50
    if (ROOT / ".venv").exists():
        assert set(locked) <= held
    for part in bill["components"]:
        assert part["purl"].endswith(f"{part['name']}@{part['version']}")
