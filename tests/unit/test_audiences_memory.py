"""What reading an audience holds in memory does not grow with the file."""

import tracemalloc
from collections.abc import Iterator

from services.broadcast.audiences.reader import read
from services.broadcast.audiences.rows import MIB, Limits, Recipient

WARM, ROWS, AT_ONCE = 10_000, 60_000, 1_000
MOST_BYTES = 6 * MIB
"""At any moment: a block of the file, its rows, and what is known of the numbering plan."""
MOST_GROWTH_BYTES = MIB


def csv(rows: int) -> Iterator[bytes]:
    """A file in Arabic that is made while it is read: numbers of 600 blocks, every tenth bad."""
    yield "رقم الجوال,الاسم,اللغة\r\n".encode()
    for begin in range(0, rows, AT_ONCE):
        yield "".join(
            f"{'05' if n % 10 else 'x'}0{n * 7919 % 10**6:07},عائلة {n},ar\r\n"
            for n in range(begin, begin + AT_ONCE)
        ).encode()


def test_a_long_file_takes_no_more_memory_than_a_short_one() -> None:
    tracemalloc.start()
    try:
        people, held = 0, 0
        for number, row in enumerate(read(csv(ROWS), "AE")):
            people += isinstance(row, Recipient)
            if number == WARM:
                held = tracemalloc.get_traced_memory()[0]
        # The reader is gone with the file; its peak is not.
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert people == ROWS * 9 // 10
    assert peak <= MOST_BYTES
    assert peak - held <= MOST_GROWTH_BYTES


def test_a_file_without_an_end_to_its_lines_takes_no_more() -> None:
    tracemalloc.start()
    try:
        some = [b"Mobile\n0501234567\n"] + [b'"' + b"x" * 65_535] * 400
        rows = list(read(some, "AE", limits=Limits(bytes=64 * MIB)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(rows) == 2
    assert peak <= MOST_BYTES
