"""What a case is about, for every room that reads dedup's decisions. Pure."""

from mawja.dedup.v1.events_pb2 import Case


def about(case: Case) -> tuple[str, str]:
    """Agency and topic of a case: as it was told, or as its texts surely say; "" when not known."""
    said = case.triage
    if not case.topic and said.topic and not said.unsure and case.agency in ("", said.agency):
        return said.agency, said.topic
    return case.agency, case.topic
