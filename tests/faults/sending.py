"""A broadcast whose carrier takes its time, so that it can be caught while it sends."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.local.parts import Parts
from tests import burying
from tests.broadcast_rig import Rig, running


@contextmanager
def caught(parts: Parts, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A carrier of 250 parts a second that answers after 20 to 60 ms. The fixture's parameter: how
    many replicas."""
    spec = {"parts_per_second": 250, "window": 60}
    profile = {"answer_delay_ms": {"uniform": [20, 60]}, "receipt_delay_ms": {"uniform": [0, 300]}}
    with running(
        parts,
        request.node.name.partition("[")[0],
        {"local": (spec, profile)},
        [{"prefix": "+", "carrier": "local"}],
        replicas=getattr(request, "param", 1),
    ) as started:
        yield started


def accepted(rig: Rig) -> int:
    """Parts that the SMS centre has taken."""
    return sum(submit.accepted for submit in rig.smsc["local"].submits())


def left_by_a_kill(rig: Rig) -> int:
    """SIGKILL for the replica. How many claims without a result it leaves: they are counted before
    its group knows, so before its successor can decide on them."""
    pid = rig.replica.process.pid
    rig.replica.process.kill9()
    left = rig.claims_outstanding()
    burying.bury(rig.parts.kafka, pid)
    return left
