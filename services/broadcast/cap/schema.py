"""The OASIS schema of CAP 1.2, shipped beside this module, as the last word on what is valid."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from lxml import etree


@cache
def _schema() -> etree.XMLSchema:
    text = files("services.broadcast.cap").joinpath("CAP-v1.2.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text))


def broken(root: etree._Element) -> Iterator[tuple[int, str]]:
    """The line of everything that the schema refuses, and its rule by libxml2's name for it.

    Its sentences are left out: they quote what stands in the alert.
    """
    schema = _schema()
    if schema.validate(root):
        return
    for error in schema.error_log:
        yield error.line, f"does not fit the OASIS schema ({error.type_name})"
