"""Child processes: they end with their parent, in order, and come back when they crash."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from services.local import tether
from services.local.child import Child, tail
from services.local.children import Children
from services.local.errors import LocalPartError
from services.local.supervised import Exit, RestartPolicy, Supervised
from tests.processes import gone, until

PYTHON = sys.executable
FOREVER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(15, signal.SIG_IGN); {FOREVER}"


def child(tmp_path: Path, code: str, *, name: str = "child", grace_s: float = 5.0) -> Child:
    return Child(name, [PYTHON, "-c", code], log=tmp_path / f"{name}.log", grace_s=grace_s)


def said(file: Path, text: str) -> bool:
    return until(lambda: text in tail(file, 20))


def test_a_child_runs_as_the_command_itself_in_its_own_group(tmp_path: Path) -> None:
    one = child(tmp_path, FOREVER)
    one.start()
    try:
        assert said(one.log, "up")
        assert "time.sleep(600)" in psutil.Process(one.pid).cmdline()[-1]
        assert os.getpgid(one.pid) == one.pid != os.getpgid(0)
        assert one.alive()
        code = one.exit_code
        assert code is None
        assert one.rss_bytes() > 1_000_000
    finally:
        one.stop()
    assert one.exit_code == -signal.SIGTERM
    assert one.rss_bytes() == 0


def test_a_deaf_child_is_killed_after_its_grace_and_a_frozen_one_obeys(tmp_path: Path) -> None:
    deaf = child(tmp_path, DEAF, name="deaf", grace_s=0.3)
    frozen = child(tmp_path, FOREVER, name="frozen")
    with Children() as care:
        care.add(deaf).start()
        care.add(frozen).start()
        assert said(deaf.log, "up")
        assert said(frozen.log, "up")
        frozen.suspend()
        assert until(lambda: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED)
    assert deaf.exit_code == -signal.SIGKILL
    assert frozen.exit_code == -signal.SIGTERM


def test_a_child_starts_again_after_kill9_and_only_once_at_a_time(tmp_path: Path) -> None:
    one = child(tmp_path, FOREVER)
    one.start()
    first = one.pid
    with pytest.raises(LocalPartError, match="already runs"):
        one.start()
    one.kill9()
    assert one.exit_code == -signal.SIGKILL
    one.start()
    assert one.pid != first
    one.stop()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    one = Child("ghost", ["/nowhere/ghost"], log=tmp_path / "log")
    with pytest.raises(LocalPartError, match="ghost: there is no program /nowhere/ghost"):
        one.start()


def test_it_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    one = child(tmp_path, FOREVER)
    asking = threading.Thread(target=one.start)
    asking.start()
    asking.join()
    time.sleep(0.3)
    assert one.alive()
    one.stop()


def test_what_it_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    one = child(
        tmp_path,
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('left', p.pid, flush=True)\n"
        "time.sleep(600)",
    )
    one.start()
    assert said(one.log, "left")
    left = int(tail(one.log, 1).split()[1])
    one.kill9()
    assert until(lambda: gone(left))


def test_sigpipe_is_as_usual_in_the_child(tmp_path: Path) -> None:
    one = Child("cat", ["cat", "/proc/self/status"], log=tmp_path / "log")
    one.start()
    assert one.wait(10)
    ignored = next(line for line in one.log.read_text().splitlines() if line.startswith("SigIgn"))
    # Others may be ignored from outside, as a shell does for what runs in its background.
    assert not int(ignored.split()[1], 16) & (1 << (signal.SIGPIPE - 1))


def test_kill9_of_the_parent_ends_its_children(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from services.local.child import Child\n"
        "for number in range(3):\n"
        "    one = Child(f'c{number}', ['sleep', '600'], log=Path(sys.argv[1]) / 'log')\n"
        "    one.start()\n"
        "    print(one.pid, flush=True)\n"
        "print('done', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [PYTHON, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(line) for line in iter(parent.stdout.readline, "done\n")]
        assert len(pids) == 3
        assert not any(gone(pid) for pid in pids)
        parent.kill()
    assert until(lambda: all(gone(pid) for pid in pids))


def test_a_command_whose_parent_is_gone_already_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    ended = subprocess.run(
        [PYTHON, "-I", "-S", tether.__file__, "1", "-", "/usr/bin/env", "touch", str(mark)],
        check=False,
    )
    assert ended.returncode == 1
    assert not mark.exists()


def test_the_watched_pipe_does_it_where_the_kernel_can_not() -> None:
    read, write = os.pipe()
    command = [PYTHON, "-I", "-S", tether.__file__, str(os.getpid()), str(read), PYTHON, "-c"]
    with subprocess.Popen([*command, FOREVER], pass_fds=(read,), stdout=subprocess.PIPE) as tied:
        os.close(read)
        assert tied.stdout is not None
        assert tied.stdout.readline() == b"up\n"
        os.close(write)
        assert tied.wait(10) == -signal.SIGKILL


def test_parts_stop_in_reverse_and_the_rest_is_killed_on_a_second_interruption() -> None:
    done: list[str] = []

    class Fake:
        def __init__(self, name: str, error: type[BaseException] | None = None) -> None:
            self.name = name
            self.error = error

        def alive(self) -> bool:
            return True

        def stop(self) -> None:
            done.append(f"stop {self.name}")
            if self.error is not None:
                raise self.error

        def destroy(self) -> None:
            done.append(f"destroy {self.name}")

    care = Children()
    for part in (Fake("a"), Fake("b", KeyboardInterrupt), Fake("c")):
        care.add(part)
    with pytest.raises(KeyboardInterrupt):
        care.stop()
    assert done == ["stop c", "stop b", "destroy b", "destroy a"]


def test_parts_that_are_stopped_together_do_not_wait_for_one_another(tmp_path: Path) -> None:
    meeting = threading.Barrier(3, timeout=5)
    ended: list[str] = []

    class Slow:
        def __init__(self, name: str) -> None:
            self.name = name

        def alive(self) -> bool:
            return self.name not in ended

        def stop(self) -> None:
            # Passes only when all of them are being stopped.
            meeting.wait()
            ended.append(self.name)

        def destroy(self) -> None:
            raise AssertionError("nobody asked for that")

    care = Children()
    parts = [care.add(Slow(name)) for name in "abc"]
    other = care.add(child(tmp_path, FOREVER))
    other.start()
    care.stop_together(parts)
    assert sorted(ended) == ["a", "b", "c"]
    assert list(care) == [other]
    assert other.alive()
    care.stop()
    assert not other.alive()


def test_a_crashed_child_comes_back_and_its_exits_are_kept(tmp_path: Path) -> None:
    seen: list[Exit] = []
    one = Supervised(
        child(tmp_path, FOREVER), RestartPolicy(first_s=0.05, healthy_s=60), seen.append
    )
    one.start()
    first = one.pid
    one.kill9()
    assert until(lambda: one.alive() and one.pid != first)
    assert [(e.pid, e.code) for e in one.exits] == [(first, -signal.SIGKILL)]
    assert seen == list(one.exits)
    last = one.pid
    one.stop()
    assert gone(last)
    time.sleep(0.2)
    assert not one.alive()
    assert len(one.exits) == 1


def test_a_child_that_crashes_at_once_every_time_is_given_up(tmp_path: Path) -> None:
    one = Supervised(child(tmp_path, "raise SystemExit(3)"), RestartPolicy(first_s=0.01, limit=2))
    one.start()
    assert until(lambda: one.given_up)
    assert [e.code for e in one.exits] == [3, 3, 3]
    one.stop()


def test_delays_grow_to_their_limit() -> None:
    policy = RestartPolicy(first_s=0.2, factor=2, max_s=5, limit=1000)
    assert [policy.delay_s(n) for n in (1, 2, 3, 6, 1000)] == [0.2, 0.4, 0.8, 5, 5]
    assert policy.delay_s(1001) is None
