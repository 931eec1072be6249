"""Writes an alert as CAP 1.2: elements in their order, UTF-8, valid against the OASIS schema."""

from lxml import etree

from services.broadcast.cap import rules, schema
from services.broadcast.cap.fields import ALERT, Record
from services.broadcast.cap.model import MAX_BYTES, NAMESPACE, Alert, CapError, Problem


def write(alert: Alert) -> bytes:
    """The alert as an XML file, the same bytes for equal alerts; `parse` gives it back.

    A signature is not written. Raises CapError when the alert breaks a rule of CAP 1.2, or is
    larger than `parse` takes.
    """
    broken = [Problem(path, None, rule) for path, rule in rules.check(alert)]
    if broken:
        raise CapError(*broken)
    root: etree._Element = etree.Element(f"{{{NAMESPACE}}}alert", nsmap={None: NAMESPACE})
    _fill(root, ALERT, alert)
    refused = [Problem("alert", None, rule) for _, rule in schema.broken(root)]
    if refused:
        raise CapError(*refused)
    written = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    if len(written) > MAX_BYTES:
        raise CapError(Problem("alert", None, f"would be larger than {MAX_BYTES} bytes"))
    return bytes(written)


def _fill(parent: etree._Element, record: Record, owner: object) -> None:
    for field in record.fields:
        for item in field.items(owner):
            child = etree.SubElement(parent, f"{{{NAMESPACE}}}{field.element}")
            if field.record is not None:
                _fill(child, field.record, item)
            elif field.codec is not None:
                child.text = field.codec.write(item)
