"""docs/scale.md says what rates, plan and topics say; and how it is reckoned."""

import pytest

from services.broadcast import sender
from services.broadcast.audiences.rows import Limits
from services.broadcast.lanes import BULK
from services.runtime import consume
from services.tools.planner import measured, scale, scale_page


def test_the_page_holds_every_table_as_it_is_made_now() -> None:
    page, made = scale_page.PAGE.read_text("utf-8"), scale_page.tables()
    assert sorted(scale_page.names(page)) == sorted(made)
    assert scale_page.written(page, made) == page, (
        "write it anew: python -m services.tools.planner.scale_page --write"
    )


def test_a_figure_that_changed_by_hand_is_written_back() -> None:
    page, made = scale_page.PAGE.read_text("utf-8"), scale_page.tables()
    assert "| 7,843 |" in page
    assert scale_page.written(page.replace("| 7,843 |", "| 784 |"), made) == page


def test_what_is_said_twice_is_said_alike() -> None:
    said = scale.inputs()
    of_bench = {
        "intake": "intake, streamed, a contact",
        "dedup": "dedup, a contact",
        "outreach": "outreach, a contact",
        "broadcast": scale.PART,
    }
    for room, what in of_bench.items():
        assert said["bench_us"][what][1] == measured.BENCH_CPU_US[room]
    assert said["machine"] == measured.DOCUMENTED
    assert said["surge_dialled"] == measured._DIALLED
    assert said["national"]["rows_of_a_list"] == Limits().rows
    assert said["takeover"]["session_s"] * 1000 == consume._SESSION_MS
    assert sender._SHARE[BULK] == scale.BULK_SHARE


def test_binds_hold_what_is_under_way() -> None:
    said = scale.inputs()
    # 150 of a window's 200 in 0.2 s: 750 a second.
    assert scale.carriers(said, 750.0).binds == 1
    assert scale.carriers(said, 751.0).binds == 2
    assert scale.carriers(said, 1501.0).accounts == {1500: 2, 200: 8}


def test_a_part_has_its_price() -> None:
    assert scale.money(scale.inputs(), 1000) == 45.0


@pytest.mark.parametrize(("replicas", "worth"), [(1, 1.0), (4, 4.0), (7, 4.0), (8, 8.0), (9, 8.0)])
def test_replicas_are_worth_what_the_busiest_leaves(replicas: int, worth: float) -> None:
    assert scale.worth(8, replicas) == worth


def test_brokers_grow_with_partitions() -> None:
    said = scale.inputs()
    assert scale.kafka(said, 8).brokers == 3
    many = scale.kafka(said, 512)
    assert many.brokers > 3
    assert many.replicas <= said["brokers"]["replicas_of_a_broker"]


def test_who_takes_over_works_off_what_waited() -> None:
    # Two processes, one core each, both half full: the one that is left would never catch up.
    assert scale.death(100.0, 0.01, 8, 2, 10.0).again_s is None
    # A quarter full: 250 wait after 10 s, and it has 50 a second to spare for them.
    found = scale.death(50.0, 0.01, 8, 2, 10.0)
    assert found.waiting == 250.0
    assert found.again_s == pytest.approx(15.0, abs=0.2)
