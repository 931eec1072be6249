"""Reading what services say of themselves."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from services.tools.watch import glance, parse, total


def text() -> str:
    """What a service says, written by the library that writes it."""
    registry = CollectorRegistry()
    lag = Gauge(
        "mawja_worker_lag_records", "lag", ["group", "topic", "partition"], registry=registry
    )
    for partition in range(3):
        lag.labels("dedup", "intake.contact-accepted.v1", partition).set(partition * 1.5)
    decisions = Counter("mawja_dedup_decisions_total", "decisions", ["change"], registry=registry)
    decisions.labels("opened").inc(3)
    decisions.labels("linked").inc(2_000_000_000)
    seconds = Histogram("mawja_rpc_seconds", "seconds", ["method", "code"], registry=registry)
    seconds.labels("SubmitContact", "OK").observe(0.5)
    Gauge("mawja_plain", 'a "quoted" help', registry=registry).set(-2.5)
    return generate_latest(registry).decode()


def test_samples_are_added_up_by_name_and_labels() -> None:
    samples = parse(text())
    assert total(samples, "mawja_worker_lag_records") == 4.5
    assert total(samples, "mawja_worker_lag_records", partition="2") == 3.0
    assert total(samples, "mawja_worker_lag_records", partition="2", group="wave") == 0
    assert total(samples, "mawja_dedup_decisions_total", change="opened") == 3
    assert total(samples, "mawja_dedup_decisions_total", change="linked") == 2e9
    assert total(samples, "mawja_plain") == -2.5
    assert total(samples, "mawja_nothing") == 0


def test_buckets_are_left_out() -> None:
    samples = parse(text())
    assert not any(name.endswith("_bucket") for name, _ in samples)
    assert total(samples, "mawja_rpc_seconds_count", method="SubmitContact") == 1


def test_a_service_that_does_not_answer_counts_as_nothing() -> None:
    # Port 9 of the loopback: nobody listens there.
    seen = glance({"dedup-0": "http://127.0.0.1:9/metrics"})
    assert (seen.up, seen.lag, seen.cases) == (0, 0, 0)
