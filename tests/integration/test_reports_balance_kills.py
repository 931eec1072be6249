"""The books that reports count balance at any time of a surge, while services are killed; and say
the same in the end as the ledger that remembers everything."""

from pathlib import Path
from typing import Any

import pytest

from services.local.progress import Silent
from services.reports.balance import CONTACTS, MESSAGES, SLACK_MS, TOPICS, Balance, Standing
from services.runtime.clock import now_ms
from services.runtime.scan import Scan
from services.tools.account import Auditor, source
from tests.faults.stage import stage


def wrong(standing: Standing) -> dict[Any, int]:
    return {kind: count for kind, count in standing.wrong.items() if count}


@pytest.mark.timeout(400)
def test_the_books_balance_at_any_time(tmp_path: Path) -> None:
    since_ms = now_ms()
    found: list[Standing] = []
    with stage(tmp_path, calls=600, over_s=15, seed=11) as on:
        balance = Balance(since_ms)
        with Scan(on.parts.kafka, TOPICS, since_ms - SLACK_MS) as scan:

            def look() -> Standing:
                at_ms = now_ms()
                scan.advance(balance.take)
                found.append(balance.settle(at_ms))
                return found[-1]

            def kill_and_look() -> None:
                for room in ("dedup", "broadcast", "outreach", "intake"):
                    until_s = on.elapsed_s + 3.5
                    on.replica(room).process.kill9()
                    while on.elapsed_s < until_s:
                        look()

            report = on.surge(kill_and_look)
            assert report["problems"] == []
            ended = look()
        with Auditor(source(tmp_path), Silent()) as auditor:
            all_of_it = auditor.take().standing
    assert [wrong(standing) for standing in found if wrong(standing)] == []
    # It was seen at work, and not only before and after.
    assert any(standing.buckets[CONTACTS, "waiting"] for standing in found)
    assert len({standing.buckets[CONTACTS, "decided"] for standing in found}) > 5
    asked = sum(count for (thing, _), count in ended.buckets.items() if thing == MESSAGES)
    assert asked == all_of_it.by_outreach + all_of_it.by_hand
    assert ended.buckets[CONTACTS, "decided"] == all_of_it.accepted + all_of_it.again
    assert ended.buckets[CONTACTS, "waiting"] == 0
