"""`mawja surge` and `mawja up` as a person runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

MAWJA = Path(sys.executable).with_name("mawja")
# What other programs read from the report.
KEYS = {
    "profile", "calls", "dialled", "accepted", "refused", "people", "cases", "merged",
    "false_merges", "callbacks", "messages", "lost", "duplicate_cases", "duplicate_messages",
    "elapsed_s", "accepted_per_s", "intake_p50_ms", "intake_p99_ms", "end_to_end_p50_s",
    "end_to_end_p99_s", "peak_lag", "rss_mb", "time_compression", "machine",
}  # fmt: skip
MESSAGES = {"requested", "submitted", "delivered", "failed", "unknown", "suppressed", "expired"}


def run(folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    report = folder / "surge-report.json"
    done = subprocess.run(
        [MAWJA, "surge", f"--home={folder / 'home'}", f"--report={report}", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=folder,
    )
    return done, report


def nobody_left(folder: Path) -> bool:
    """Whether no process of a run in this folder is left."""
    found = subprocess.run(
        ["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False
    ).stdout.split()
    return [pid for pid in found if int(pid) != os.getpid()] == []


@pytest.mark.timeout(240)
def test_a_surge_ends_with_its_account(tmp_path: Path) -> None:
    done, path = run(tmp_path, "--calls=400", "--over=8s", "--seed=3", "--agents=5")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(path.read_text())
    assert report.keys() >= KEYS
    assert report["messages"].keys() >= MESSAGES
    messages = report["messages"]
    assert report["calls"] == 400
    assert report["accepted"] == report["dialled"] > 400, "few agents make people redial"
    assert messages["submitted"] == (
        messages["delivered"] + messages["failed"] + messages["unknown"]
    )
    assert messages["delivered"] > 0
    assert report["callbacks"] > 0
    assert report["cases"] + report["merged"] == report["accepted"]
    assert [report[k] for k in ("lost", "duplicate_cases", "duplicate_messages")] == [0, 0, 0]
    assert set(report["rss_mb"]) >= {"kafka", "valkey", "smsc", "intake", "dedup", "wave"}
    # The floor's own count and the service levels come by different ways.
    assert report["service_levels"]["offered"] == report["floor"]["offered"]
    assert report["service_levels"]["answered"] == report["floor"]["answered_share"]
    assert "Ledger" in done.stdout
    assert nobody_left(tmp_path)


@pytest.mark.timeout(240)
def test_messages_sent_twice_add_nothing(tmp_path: Path) -> None:
    rows = [f"{i},Water is at the door of house {i}," for i in range(1, 60)]
    rows.append('60,,"الماء وصل إلى الباب، نحتاج مساعدة"')
    rows.append("61,,")
    source = tmp_path / "messages.csv"
    source.write_text("id,message,original\n" + "\n".join(rows) + "\n", "utf-8")
    done, path = run(tmp_path, f"--replay={source}")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(path.read_text())
    first, second = report["passes"]
    assert first["contacts_added"] == first["cases_added"] == first["delivered_added"] == 60
    assert second["contacts_sent"] == 60
    assert {second[k] for k in second if k.endswith("_added")} == {0}
    assert "line 62: not sent" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shape=nothing"], "nothing"),
        (["--replay=missing.csv"], "missing.csv"),
        (["--over=soon"], "soon"),
    ],
)
def test_a_wrong_order_is_one_clear_line(tmp_path: Path, options: list[str], says: str) -> None:
    done, _ = run(tmp_path, *options)
    assert done.returncode == 1
    assert done.stderr.startswith("mawja: ")
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.timeout(240)
def test_up_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (tmp_path / "out").open("wb") as out:
        up = subprocess.Popen([MAWJA, "up", f"--home={home}"], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while not (home / "services.json").exists():
            assert up.poll() is None, (tmp_path / "out").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        second = subprocess.run(
            [MAWJA, "up", f"--home={home}"], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "already runs" in second.stderr
        down = subprocess.run(
            [MAWJA, "down", f"--home={home}"], capture_output=True, text=True, check=True
        )
        assert down.stdout == "stopped\n"
        assert up.wait(60) == 0
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGKILL)
    assert nobody_left(tmp_path)
