"""Until when a process is believed by its certificate, as a metric tells it."""

import datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.runtime import certificates, clock, kafka_tls, tls
from tests.certificates import Authority, put

HOUR_S = 3600


def left_s(used_for: str, file: str) -> float | None:
    labels = {"used_for": used_for, "file": file}
    return REGISTRY.get_sample_value("mawja_tls_certificate_ends_seconds", labels)


def test_a_process_says_how_long_its_certificate_and_authority_hold(tmp_path: Path) -> None:
    put(tmp_path / "tls", Authority(tmp_path, "ca"), "first")
    tls.Files(tmp_path / "tls")
    for file in ("certificate", "authority"):
        assert left_s("services", file) == pytest.approx(HOUR_S, abs=60)


def test_a_replaced_file_counts_when_it_is_taken_up(tmp_path: Path) -> None:
    soon, later = Authority(tmp_path, "soon"), Authority(tmp_path, "later", hours=48)
    put(tmp_path / "tls", soon, "first")
    tls.Files(tmp_path / "tls")
    put(tmp_path / "tls", later, "second")
    assert left_s("services", "certificate") == pytest.approx(48 * HOUR_S, abs=60)
    (tmp_path / "tls" / "tls.crt").write_text("half a")
    assert left_s("services", "certificate") == pytest.approx(48 * HOUR_S, abs=60)


def test_of_a_chain_the_first_end_counts_and_of_authorities_the_last(tmp_path: Path) -> None:
    short, long = Authority(tmp_path, "short"), Authority(tmp_path, "long", hours=48)
    both = short.file.read_bytes() + long.file.read_bytes()
    certificates.show("test", lambda: both, lambda: both)
    assert left_s("test", "certificate") == pytest.approx(HOUR_S, abs=60)
    assert left_s("test", "authority") == pytest.approx(48 * HOUR_S, abs=60)


def test_one_that_has_ended_is_below_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = Authority(tmp_path, "ca").file.read_bytes()
    certificates.show("test", lambda: pem, lambda: pem)
    ahead = datetime.timedelta(days=1) // datetime.timedelta(milliseconds=1)
    monkeypatch.setattr(certificates, "now_ms", lambda: clock.now_ms() + ahead)
    assert (left_s("test", "certificate") or 0) < -22 * HOUR_S


def test_what_can_not_be_read_costs_no_other_metric() -> None:
    certificates.show("test", lambda: b"no PEM", lambda: b"no PEM")
    said = left_s("test", "certificate")
    assert said is not None
    assert said != said


def test_kafkas_certificate_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("user")
    authority.file.rename(tmp_path / "ca.crt")
    certificate.rename(tmp_path / "user.crt")
    key.rename(tmp_path / "user.key")
    monkeypatch.setenv("MAWJA_KAFKA_TLS", str(tmp_path))
    kafka_tls.context.cache_clear()
    try:
        assert kafka_tls.context() is not None
    finally:
        kafka_tls.context.cache_clear()
    assert left_s("kafka", "certificate") == pytest.approx(HOUR_S, abs=60)
