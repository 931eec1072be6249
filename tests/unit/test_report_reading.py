"""What stands in the log and is no record of its topic stops no report."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.runtime import ids
from services.runtime.topics import AUDIENCE, CAMPAIGN_COMMAND, Topic
from services.tools.reports.reading import Taking


@pytest.mark.parametrize("topic", [AUDIENCE, CAMPAIGN_COMMAND], ids=lambda topic: str(topic.name))
@pytest.mark.parametrize("value", [b"\xff\xff", b"", None])
def test_what_is_no_record_is_passed_over(topic: Topic, value: bytes | None) -> None:
    record = SimpleNamespace(topic=topic.name, partition=0, offset=7, value=value, headers=[])
    Taking(ids.derive("campaign", "x")).take(cast(Any, record))
