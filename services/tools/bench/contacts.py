"""What is sent to intake: contacts as a surge has them."""

from collections.abc import Iterator

from mawja.intake.v1 import service_pb2

from loadtests.driver import contact
from loadtests.steps import Submit
from loadtests.surge import script
from services.runtime.clock import now_ms

SOURCE = "bench"


def contacts() -> Iterator[service_pb2.Contact]:
    """Contacts as a surge has them, without an end worth reaching."""
    made = script("covid-78k", calls=1_000_000, agents=500, prefix=f"bench/{now_ms()}")
    start_ms = now_ms() - int(made.shape.duration_s * 1000)
    for step in made:
        if isinstance(step, Submit):
            yield contact(step, SOURCE, start_ms)
