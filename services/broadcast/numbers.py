"""Whether an SMS may go to a number at all, by the number alone. Pure."""

from mawja.common.v1 import common_pb2

from services.runtime.numbers import line_of


def obstacle(e164: str) -> str:
    """Why no SMS can go there: "invalid-number", "landline", or empty when nothing is known
    against it. A number that the numbering plans don't know yet is given the benefit."""
    line = line_of(e164)
    if line is None:
        return "invalid-number"
    return "landline" if line == common_pb2.LINE_FIXED else ""
