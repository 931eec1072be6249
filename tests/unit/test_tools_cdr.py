"""Call-detail records: columns, times, durations, what becomes of a call, and bad rows."""

import contextlib
import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.intake.v1 import events_pb2

from services.broadcast.audiences.rows import BadFile
from services.runtime.errors import ConfigError
from services.tools.cdr import fields
from services.tools.cdr.cells import BadCell, Order, Times, Words, duration_ms
from services.tools.cdr.reading import File, interval_ms, look, rows
from services.tools.cdr.rows import BadRow, Call, Reading, Rows
from services.tools.cdr.sending import contact, events

DUBAI = ZoneInfo("Asia/Dubai")
NOW = int(datetime(2026, 11, 22, 14, tzinfo=UTC).timestamp() * 1000)
T0 = int(datetime(2026, 11, 22, 8, tzinfo=DUBAI).timestamp() * 1000)


def made(path: Path, *lines: str, given: Sequence[str] = (), **changes: Any) -> list[Call | BadRow]:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return taken(File(path), given, **changes)


def taken(file: File, given: Sequence[str] = (), **changes: Any) -> list[Call | BadRow]:
    found = look(file, fields.said(given))
    reading = Reading(found.plan, DUBAI, found.order or "dmy", "AE", False, {}, {}, NOW)
    reader = Rows(replace(reading, **changes))
    result: list[Call | BadRow] = []
    for one in rows(file, found.line):
        result += [one] if isinstance(one, BadRow) else reader.read(*one)
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


def only(found: list[Call | BadRow]) -> Call:
    [call] = found
    assert isinstance(call, Call), call
    return call


# Files of systems as they are.

ASTERISK = (
    "calldate,clid,src,dst,duration,billsec,disposition,uniqueid",
    '2026-11-22 08:00:00,"""Ali"" <0501234567>",0501234567,16000,90,60,ANSWERED,1732.1',
    "2026-11-22 08:01:00,x,anonymous,16000,25,0,NO ANSWER,1732.2",
)


def test_asterisk(path: Path) -> None:
    answered, left = made(path, *ASTERISK, given=["duration=duration", "line=dst"])
    assert isinstance(answered, Call)
    assert isinstance(left, Call)
    assert (answered.arrived_ms, answered.number, answered.code) == (T0, "+971501234567", "16000")
    assert (answered.outcome, answered.wait_ms, answered.handling_ms) == (
        "answered",
        30_000,
        60_000,
    )
    assert (left.number, left.outcome, left.wait_ms) == ("", "abandoned", 25_000)
    assert (answered.key, left.key) == ("id:1732.1", "id:1732.2")


def test_a_queue_report_in_arabic(path: Path) -> None:
    call = only(
        made(
            path,
            "تقرير المكالمات اليومي",
            "التاريخ;الوقت;رقم المتصل;مدة الانتظار;مدة المحادثة;الحالة;تم الحل;اللغة",
            "٢٢/١١/٢٠٢٦;٠٨:٠٠:٠٠;٠٥٠١٢٣٤٥٦٧;0:00:12;0:03:05;مجابة;نعم;عربي",
        )
    )
    assert (call.arrived_ms, call.number, call.language) == (T0, "+971501234567", "ar")
    assert (call.wait_ms, call.handling_ms, call.ending) == (12_000, 185_000, "resolved")


def test_times_of_each_step(path: Path) -> None:
    call = only(
        made(
            path,
            "Call ID\tCall Start Time\tAnswer Time\tEnd Time\tWrap Up\tQueue Name\tAgent ID",
            "a-1\t2026-11-22T04:00:00Z\t2026-11-22T04:00:20Z\t2026-11-22T04:04:20Z\t30\t"
            "Health 1\tx.7",
        )
    )
    assert (call.arrived_ms, call.code, call.agent) == (T0, "Health-1", "x.7")
    assert (call.wait_ms, call.handling_ms) == (20_000, 270_000)


def test_a_workbook_keeps_its_seconds(tmp_path: Path) -> None:
    path = tmp_path / "calls.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Arrival", "Wait", "Talk"])
    sheet.append([datetime(2026, 11, 22, 8, 0, 7), 5, 61])
    book.save(path)
    call = only(taken(File(path)))
    assert call.arrived_ms == T0 + 7_000
    assert (call.outcome, call.wait_ms, call.handling_ms) == ("answered", 5_000, 61_000)


def test_counts_are_spread_over_their_interval(path: Path) -> None:
    path.write_text(
        "rownames,DateTime,Calls\n1,2026-11-22T04:00:00Z,2\n2,2026-11-22T04:05:00Z,0\n"
        "3,2026-11-22T04:10:00Z,3\n"
    )
    found = look(File(path), {})
    apart_ms = interval_ms(File(path), found, DUBAI)
    assert apart_ms == 300_000
    calls = taken(File(path), interval_ms=apart_ms)
    assert [call.arrived_ms - T0 for call in calls if isinstance(call, Call)] == [
        0,
        150_000,
        600_000,
        700_000,
        800_000,
    ]
    assert len({call.key for call in calls if isinstance(call, Call)}) == 5


def test_without_headings_the_columns_are_named_by_letter(path: Path) -> None:
    calls = made(
        path,
        "2026-11-22 08:00:00,12,60",
        "2026-11-22 08:00:01,13,61",
        given=["arrived=A", "wait=B", "talk=3"],
    )
    assert [call.wait_ms for call in calls if isinstance(call, Call)] == [12_000, 13_000]


# Columns.


def test_nothing_is_guessed_between_two_columns(path: Path) -> None:
    lines = "Arrival,Wait time,Queue time,Talk", "2026-11-22 08:00:00,1,2,3"
    with pytest.raises(BadFile, match="--map wait=COLUMN") as caught:
        made(path, *lines)
    assert "Queue time" in str(caught.value)
    assert only(made(path, *lines, given=["wait=Queue time"])).wait_ms == 2_000


def test_a_duration_alone_may_mean_two_things(path: Path) -> None:
    lines = "Arrival,Wait,Duration", "2026-11-22 08:00:00,10,100"
    call = only(made(path, *lines))
    assert (call.outcome, call.handling_ms) == ("", None)
    assert look(File(path), {}).plan.unused == ["Duration"]
    assert only(made(path, *lines, given=["talk=Duration"])).handling_ms == 100_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["arrived=Z"], "no such column"),
        (["colour=A"], "--map takes"),
        (["wait=A", "wait=B"], "twice"),
        (["arrived="], "no column tells when"),
        (["wait=Arrival+Talk"], "only `arrived`"),
    ],
)
def test_a_wrong_map_says_what_to_do(path: Path, given: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(path, "Arrival,Talk", "2026-11-22 08:00:00,3", given=given)


def test_answers_without_waits_are_refused_as_a_file(path: Path) -> None:
    with pytest.raises(ConfigError, match="--map wait"):
        made(path, "Arrival,Talk", "2026-11-22 08:00:00,3")


def test_a_persons_data_is_in_no_error(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        made(path, "Ali,+971501234567,2026", "Mona,+971501234568,2026")
    assert "50123" not in str(caught.value)


# Rows.

BAD = [
    ("22-11-2026", "1", "1", "", "arrived", "no time"),
    ("", "1", "1", "", "arrived", "empty"),
    ("2027-01-01 00:00", "1", "1", "", "arrived", "ahead of now"),
    ("2026-11-22 08:00", "soon", "1", "", "wait", "no duration"),
    ("2026-11-22 08:00", "25:00:00", "1", "", "wait", "longer than a day"),
    ("2026-11-22 08:00", "", "60", "", "wait", "not known"),
    ("2026-11-22 08:00", "1", "1", "12", "number", "too few digits"),
    ("2026-11-22 08:00", "1", "1", "+999512345678", "number", "--drill"),
]


@pytest.mark.parametrize(("arrived", "wait", "talk", "number", "field", "rule"), BAD)
def test_a_bad_row_is_named_and_the_rest_kept(
    path: Path, arrived: str, wait: str, talk: str, number: str, field: str, rule: str
) -> None:
    good = "2026-11-22 08:00,1,1,"
    before, bad, after = made(
        path, "Arrival,Wait,Talk,Caller", good, f"{arrived},{wait},{talk},{number}", good
    )
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.field) == (3, field)
    assert rule in bad.rule
    assert isinstance(before, Call)
    assert isinstance(after, Call)
    # The same words twice are two calls.
    assert before.key != after.key


def test_codes_outside_what_intake_takes_are_bad(path: Path) -> None:
    _, bad = made(
        path,
        "Arrival,Agency,Wait",
        "2026-11-22 08:00,Civil ID,5",
        "2026-11-22 08:00,الصحة,5",
    )
    assert isinstance(_, Call)
    assert _.agency == "civil-id"
    assert isinstance(bad, BadRow)
    assert bad.field == "agency"


def test_a_systems_own_words(path: Path) -> None:
    lines = "Arrival,Wait,Status", "2026-11-22 08:00,5,RONA"
    [bad] = made(path, *lines)
    assert isinstance(bad, BadRow)
    assert "--means" in bad.rule
    assert "RONA" not in bad.rule
    assert only(made(path, *lines, means={"rona": "abandoned"})).outcome == "abandoned"


def test_the_same_file_gives_the_same_keys_and_none_tells_the_number(path: Path) -> None:
    line = "2026-11-22 08:00,1,1,0501234567"
    one = made(path, "Arrival,Wait,Talk,Caller", line, line)
    assert one == made(path, "Arrival,Wait,Talk,Caller", line, line)
    other = made(path, "Arrival,Wait,Talk,Caller", line.replace("0501234567", "0501234568"))
    assert isinstance(one[0], Call)
    assert only(other).key == one[0].key


# Cells.


@pytest.mark.parametrize(
    ("cell", "order"),
    [
        ("2026-11-22 08:00:00", "dmy"),
        ("2026/11/22 08:00", "dmy"),
        ("2026-11-22T08:00:00+04:00", "dmy"),
        ("2026-11-22T04:00Z", "dmy"),
        ("2026-11-22 8:00 AM", "dmy"),
        ("22/11/2026 08:00", "dmy"),
        ("22.11.26 8:00:00", "dmy"),
        ("11/22/2026 8:00 am", "mdy"),
        ("22-Nov-2026 08:00", "dmy"),
        ("Nov 22, 2026 8:00:00 AM", "mdy"),
        (f"{T0 // 1000}", "dmy"),
        (f"{T0}", "dmy"),
        (f"{T0 // 1000}.5", "dmy"),
        ("٢٢/١١/٢٠٢٦ ٨:٠٠ ص", "dmy"),
    ],
)
def test_times(cell: str, order: Order) -> None:
    assert Times(DUBAI, order).read(cell) in (T0, T0 + 500)


@pytest.mark.parametrize("cell", ["soon", "2026-13-01 08:00", "31/02/2026 08:00", "08:00", "13:5"])
def test_no_times(cell: str) -> None:
    with pytest.raises(BadCell):
        Times(DUBAI).read(cell)


@pytest.mark.parametrize(
    ("lines", "order", "ambiguous"),
    [
        (["03/04/2026 08:00", "22/04/2026 08:00"], "dmy", False),
        (["03/04/2026 08:00", "04/22/2026 08:00"], "mdy", False),
        (["03/04/2026 08:00"], None, True),
        (["2026-04-03 08:00"], None, False),
    ],
)
def test_the_order_of_day_and_month(
    path: Path, lines: list[str], order: Order | None, ambiguous: bool
) -> None:
    path.write_text("Arrival\n" + "\n".join(lines) + "\n")
    found = look(File(path), {})
    assert (found.order, found.ambiguous) == (order, ambiguous)


@given(st.integers(0, 86_400))
def test_durations_in_every_form(seconds: int) -> None:
    hours, rest = divmod(seconds, 3600)
    forms = [
        f"{seconds}",
        f"{seconds}.0",
        f"{seconds} s",
        f"{hours}:{rest // 60:02}:{rest % 60:02}",
        f"{hours:02}:{rest // 60:02}:{rest % 60:02}.000",
    ]
    if seconds < 6000:
        forms.append(f"{seconds // 60}:{seconds % 60:02}")
    assert {duration_ms(form) for form in forms} == {seconds * 1000}


@given(st.text())
def test_no_cell_is_read_with_another_error(cell: str) -> None:
    for read in (duration_ms, Times(DUBAI).read, Words({}).outcome, Words({}).ending):
        with contextlib.suppress(BadCell):
            read(cell)


@given(st.lists(st.lists(st.text(max_size=12), max_size=6), max_size=8))
def test_any_file_is_read_or_refused(tmp_path_factory: Any, table: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written).writerows([["Arrival", "Wait", "Talk", "Caller"], *table])
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(written.getvalue().encode("utf-8", "replace"))
    # Where more lines have another separator the header is no header.
    with contextlib.suppress(BadFile, ConfigError):
        for one in taken(File(path)):
            assert isinstance(one, Call | BadRow)


# What intake is told.


def test_what_intake_is_told_of_a_call() -> None:
    call = Call(2, "id:1", T0, "+971501234567", "109", "health", "", "ar", "7", "answered", 5_000)
    call = replace(call, handling_ms=60_000, ending="resolved")
    told = contact(call, "gw/calls", False)
    assert (told.recorded, told.drill, told.withheld, told.event_ms) == (True, False, False, T0)
    offered, answered, ended = events(call, "gw/calls", False)
    assert offered.state == events_pb2.CALL_STATE_OFFERED
    assert (answered.event_ms, answered.queue_wait_ms, answered.agent) == (T0 + 5_000, 5_000, "7")
    assert (ended.event_ms, ended.handling_ms) == (T0 + 65_000, 60_000)
    assert ended.disposition == events_pb2.DISPOSITION_RESOLVED
    left = replace(call, outcome="abandoned", handling_ms=None, number="")
    assert [event.state for event in events(left, "gw/calls", True)] == [
        events_pb2.CALL_STATE_OFFERED,
        events_pb2.CALL_STATE_ABANDONED,
    ]
    assert contact(left, "gw/calls", True).withheld
    only_offered = replace(left, outcome="", wait_ms=None)
    assert len(list(events(only_offered, "gw/calls", True))) == 1
