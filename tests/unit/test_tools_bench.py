"""The bench's own arithmetic, and what it shows; the measuring itself needs `make bench`."""

import asyncio
from pathlib import Path

import grpc
import pytest
from mawja.intake.v1 import service_pb2, service_pb2_grpc
from rich.console import Console

from services.broadcast.audiences.reader import read
from services.broadcast.audiences.rows import Recipient
from services.local.parts import Parts
from services.local.progress import Silent
from services.local.smsc.record import Submit
from services.runtime import rpc
from services.runtime.numbers import is_synthetic
from services.tools.bench import audience, campaign
from services.tools.bench.contacts import contacts
from services.tools.bench.figures import Run
from services.tools.bench.floor import Echo
from services.tools.bench.loads import Bundled, Stream, Unary, measure
from services.tools.bench.render import render
from services.tools.bench.sms import rate_of, while_it_sends


def made() -> Run:
    return Run(Parts(Path("nowhere")), Silent(), Path("keys"), iter(()))


def submit(t: float) -> Submit:
    return Submit(t, "999512345678", "Mawja", 0, False, b"x", None, 1, "", "1", 0, "mawja")


def test_a_figure_tells_how_far_its_runs_lie_apart() -> None:
    run = made()
    for value in (0.5, 0.25, 0.4):
        run.note("unary.ratio", value)
    run.note("unary.per_s", 1234.56)
    assert run.figures("unary") == {
        "ratio": {"median": 0.4, "low": 0.25, "high": 0.5, "runs": 3},
        "per_s": {"median": 1234.6, "low": 1234.6, "high": 1234.6, "runs": 1},
    }
    assert run.figure("sms.ratio") is None


def test_the_rate_is_that_of_the_middle() -> None:
    """Start and end, when the window is not full, count for nothing."""
    times = [0.0, *(10 + i / 100 for i in range(98)), 99.0]
    assert rate_of([submit(t) for t in times]) == pytest.approx(100.0, rel=0.01)


def test_parts_are_counted_as_they_come(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text("an old line\n" * 3)

    async def write() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(while_it_sends, record, 5))
        for _ in range(5):
            await asyncio.sleep(0.03)
            assert not waiting.done()
            with record.open("a") as lines:
                lines.write("a line\n")
        await asyncio.wait_for(waiting, 2)

    asyncio.run(write())


def test_a_report_without_everything_can_be_shown() -> None:
    figure = {"median": 0.5, "low": 0.25, "high": 1.0, "runs": 3}
    console = Console(width=120)
    with console.capture() as shown:
        console.print(
            render(
                {
                    "machine": {"cpu": "Some CPU", "cores": 2, "python": "3.11"},
                    "unary": {"ratio": figure},
                    "cpu_us": {"dedup": {"median": 189.4, "low": 1, "high": 2000, "runs": 3}},
                }
            )
        )
    lines = shown.get().splitlines()
    ratio = next(line for line in lines if "unary intake" in line)
    assert ratio.split()[-4:] == ["0.50", "0.25", "1.00", "3"]
    assert any("SMS through broadcast" in line and "–" in line for line in lines)
    assert any("dedup, a contact" in line and "189 µs" in line for line in lines)


def test_the_contacts_are_those_of_a_surge() -> None:
    found = [next(contacts()) for _ in range(2)]
    assert all(one.drill and one.source == "bench" for one in found)
    many = contacts()
    keys = {next(many).idempotency_key for _ in range(2000)}
    assert len(keys) == 2000


def test_a_bench_s_file_is_one_that_a_campaign_takes() -> None:
    rows = list(read(campaign.listed(300), "AE"))
    assert all(isinstance(row, Recipient) and is_synthetic(row.number) for row in rows)
    assert len({row.number for row in rows if isinstance(row, Recipient)}) == 300


async def test_the_floor_answers_everything_with_an_answer_of_the_same_size() -> None:
    server = grpc.aio.server()
    service_pb2_grpc.add_IntakeServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    requests = [service_pb2.Contact(idempotency_key=f"k{i}") for i in range(50)]
    try:
        async with rpc.channel(f"127.0.0.1:{port}") as channel:
            stub = service_pb2_grpc.IntakeServiceStub(channel)
            for load in (Unary, Stream, Bundled):
                before, between, after = await measure(load(stub, (), requests), dict)
                # How many are answered while it warms up is the machine's affair.
                assert (before.count, after.count) == (0, 50)
                assert 0 < between.count <= 50
            answer = await stub.SubmitContact(service_pb2.SubmitContactRequest())
            assert len(answer.contact_id) == 36
    finally:
        await server.stop(0)


def test_an_audience_is_read_beside_the_bare_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "_ROWS", 2_000)
    run = made()
    data = audience.file(500)
    assert audience.bare_rows(data) == audience.people(data) == 500
    audience.audience(run)
    figures = run.figures("audience")
    assert set(figures) == {"ratio", "rows_per_s", "bare_rows_per_s"}
    assert figures["ratio"] is not None
    assert 0 < figures["ratio"]["median"] < 1
