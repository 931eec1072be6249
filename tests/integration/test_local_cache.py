"""The cache that Apache Kafka is started from: interrupted, shared, damaged, with no network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.errors import LocalPartError
from services.local.kafka_install import install, installed
from services.local.kafka_jars import JARS, VERSION
from services.local.ports import free_ports
from services.local.progress import Silent
from tests.parts_rig import Kit

_REPOSITORY = Path(__file__).parents[2]
# So small that fetching it again costs nothing.
_SMALL = sorted(JARS, key=lambda jar: jar.size)[:2]


def half_a_cache(cache: Path, kit: Kit) -> Path:
    """A download that was killed: one jar half written, one missing, the others there."""
    partial = cache / f"kafka-{VERSION}.partial"
    (partial / "jars").mkdir(parents=True)
    for jar in JARS:
        there = kit.installation.folder / "jars" / jar.file_name
        if jar == _SMALL[0]:
            (partial / "jars" / jar.file_name).write_bytes(there.read_bytes()[: jar.size // 2])
        elif jar != _SMALL[1]:
            shutil.copy2(there, partial / "jars" / jar.file_name)
    return partial / "jars"


def test_half_a_cache_is_never_taken_for_a_whole_one_and_without_network_that_is_said(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_a_cache(tmp_path, kit)
    closed = free_ports(1)[0]
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    with pytest.raises(LocalPartError) as raised:
        install(tmp_path, kit.java, Silent())
    message = str(raised.value)
    assert "it can't be reached" in message
    assert "connect this machine to the network" in message
    assert "\n" not in message
    assert installed(tmp_path) is None
    assert not (tmp_path / f"kafka-{VERSION}").exists()


def test_an_interrupted_download_goes_on_and_two_at_once_share_it(tmp_path: Path, kit: Kit) -> None:
    jars = half_a_cache(tmp_path, kit)
    before = {file.name: file.stat().st_ino for file in jars.iterdir()}
    script = (
        "import sys; from pathlib import Path; from services.local.java import find_java\n"
        "from services.local.kafka_install import install; from services.local.progress import *\n"
        "print(install(Path(sys.argv[1]), find_java(), Progress(sys.stdout)).is_complete())"
    )
    # As on the bare machine: neither Java nor Maven on the PATH.
    env = {**os.environ, "PATH": "/nowhere", "JAVA_HOME": ""}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
            env=env,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [text.splitlines()[-1] for text in said] == ["True", "True"]
    assert "".join(said).count("fetching Apache Kafka") == 1
    assert "2 jars" in "".join(said)
    whole = installed(tmp_path)
    assert whole is not None
    after = {file.name: file.stat().st_ino for file in (whole.folder / "jars").iterdir()}
    kept = set(before) - {_SMALL[0].file_name}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert not list(tmp_path.glob("*.partial"))

    # Damaged later, it is no longer whole, and only what is missing is fetched again.
    os.truncate(whole.folder / "jars" / _SMALL[0].file_name, 1)
    assert installed(tmp_path) is None
    assert install(tmp_path, kit.java, Silent()) == whole
