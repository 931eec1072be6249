"""Reads an alert from bytes: first a look at them, then the elements, the rules and the schema.

Everything that is wrong with one stage is told at once. XML's own traps (entities, documents read
from elsewhere, XInclude) are refused or never followed; see `guard`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509
from lxml import etree

from services.broadcast.cap import guard, rules, schema, signing
from services.broadcast.cap.fields import ALERT, Field, Record, path_of
from services.broadcast.cap.model import (
    MAX_PROBLEMS,
    NAMESPACE,
    Alert,
    CapError,
    Problem,
    Signature,
)
from services.broadcast.cap.values import Refused

_ROOT = f"{{{NAMESPACE}}}alert"
_OTHER_CAP = ("urn:oasis:names:tc:emergency:cap:", "http://www.incident.com/cap/")
_XINCLUDE = "http://www.w3.org/2001/XInclude"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_HINTS = frozenset({f"{{{_XSI}}}schemaLocation", f"{{{_XSI}}}noNamespaceSchemaLocation"})
SIGNED = "alert/Signature"
"""Path of every problem with a signature."""
_MAX_NAME = 40


def parse(data: bytes, trusted: Sequence[x509.Certificate] = (), signed: bool = False) -> Alert:
    """The alert in `data`. Raises CapError with everything that is wrong with it.

    A signature is checked when there are `trusted` certificates: one by any other key, or broken,
    is refused. With `signed` an alert must bear one. Without certificates a signature is left
    unchecked, as CAP demands of who can't check it (3.3.4.1), and the alert says so.
    """
    if signed and not trusted:
        raise CapError(
            Problem(SIGNED, None, "is demanded, but no certificate is trusted; name one first")
        )
    guard.inspect(data)
    root = _tree(data)
    reader = _Reader()
    alert = reader.alert(root)
    signature = root.find(signing.SIGNATURE)
    if signature is None:
        if signed:
            raise CapError(Problem(SIGNED, None, "is missing; only signed alerts are taken here"))
        return alert
    if not trusted:
        return replace(alert, signature=Signature.UNCHECKED)
    try:
        signed_by, what = signing.verified(root, trusted, alert.sent_ms)
        # Whatever reads the file otherwise than the signature does, this alert is what was signed.
        if _Reader().alert(what) != alert:
            raise Refused("covers something else than what stands in the alert")
    except Refused as refused:
        raise CapError(Problem(SIGNED, signature.sourceline, str(refused))) from None
    return replace(alert, signature=Signature.VERIFIED, signed_by=signed_by)


def _tree(data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        collect_ids=False,
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # libxml2's sentence quotes the file.
        raise CapError(
            Problem("alert", error.lineno, "this is not well-formed XML with namespaces")
        ) from None


@dataclass(slots=True)
class _Reader:
    """One reading: the problems found so far, and the line of each element by its path."""

    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, int | None] = field(default_factory=dict)

    def alert(self, root: etree._Element) -> Alert:
        self._begin(root)
        alert = self._record(root, ALERT, "alert")
        self._end()
        assert isinstance(alert, Alert)
        for path, rule in rules.check(alert):
            self._problem(path, rule)
        self._end()
        for line, rule in schema.broken(root):
            self.problems.append(Problem(self._path_at(line), line, rule))
        self._end()
        return alert

    def _begin(self, root: etree._Element) -> None:
        self.lines["alert"] = root.sourceline
        tag = etree.QName(root)
        if root.tag == _ROOT:
            return
        if tag.localname == "alert" and (tag.namespace or "").startswith(_OTHER_CAP):
            self._problem("alert", "is of another version of CAP; only CAP 1.2 is read here")
        else:
            self._problem("alert", f"must be the outermost element, in the namespace {NAMESPACE}")
        self._end()

    def _end(self) -> None:
        if self.problems:
            raise CapError(*self.problems)

    def _problem(self, path: str, rule: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(path, self._line(path), rule))

    def _line(self, path: str) -> int | None:
        while path not in self.lines and "/" in path:
            path = path.rpartition("/")[0]
        return self.lines.get(path)

    def _path_at(self, line: int) -> str:
        here = (path for path, at in self.lines.items() if at == line)
        return max(here, key=len, default="alert")

    def _record(self, element: etree._Element, record: Record, path: str) -> Any:
        """The record's value, None when something in it was refused."""
        before = len(self.problems)
        known = {field.element: at for at, field in enumerate(record.fields)}
        found: dict[str, list[Any]] = {field.element: [] for field in record.fields}
        counts = dict.fromkeys(known, 0)
        self._no_attributes(element, path)
        self._no_text(element.text, path)
        highest = 0
        for child in element:
            self._no_text(child.tail, path)
            if not isinstance(child.tag, str):
                continue
            if child.tag == signing.SIGNATURE and record is ALERT:
                highest = self._signature(child, highest, len(record.fields))
                continue
            name = self._name(child, path)
            if name is None:
                continue
            at = known.get(name)
            if at is None:
                below = f"{path}/{_short(name)}"
                self.lines[below] = child.sourceline
                self._problem(below, "is not an element that CAP 1.2 has here")
                continue
            field = record.fields[at]
            counts[name] += 1
            below = path_of(path, field, counts[name])
            self.lines.setdefault(below, child.sourceline)
            if at < highest:
                self._problem(below, "stands too late: the order of elements is fixed by CAP 1.2")
            highest = max(highest, at)
            if counts[name] > 1 and not field.many:
                self._problem(below, "may stand only once")
            found[name] += self._items(child, field, below)
        for field in record.fields:
            if field.required and not counts[field.element]:
                self._problem(path_of(path, field, 1), "is missing")
        if len(self.problems) > before:
            return None
        return record.make(
            **{
                field.attribute: tuple(found[field.element])
                if field.many
                else found[field.element][0]
                for field in record.fields
                if found[field.element]
            }
        )

    def _items(self, element: etree._Element, field: Field, path: str) -> list[Any]:
        """The element's value; none when it is empty, which is as if it were not there."""
        if field.record is not None:
            return [self._record(element, field.record, path)]
        assert field.codec is not None
        self._no_attributes(element, path)
        text = self._text(element, path)
        if not text.strip() and not field.hollow:
            if field.required:
                self._problem(path, "must not be empty")
            return []
        try:
            return [field.codec.read(text)]
        except Refused as refused:
            self._problem(path, str(refused))
            return []

    def _text(self, element: etree._Element, path: str) -> str:
        texts = [element.text or ""]
        for child in element:
            if isinstance(child.tag, str):
                self._name(child, path)
                self._problem(path, "must hold text only, no elements")
            # A comment doesn't end a text: what follows it is the same value.
            texts.append(child.tail or "")
        return "".join(texts)

    def _name(self, child: etree._Element, path: str) -> str | None:
        tag = etree.QName(child)
        if tag.namespace == NAMESPACE:
            return tag.localname
        below = f"{path}/{_short(tag.localname)}"
        self.lines[below] = child.sourceline
        if tag.namespace == _XINCLUDE:
            self._problem(below, "XInclude is not followed; put the text itself into the alert")
        elif tag.localname == "Signature":
            self._problem(below, "a signature must be the last element of the alert")
        else:
            self._problem(below, "is not an element of CAP 1.2")
        return None

    def _signature(self, child: etree._Element, highest: int, last: int) -> int:
        self.lines.setdefault(SIGNED, child.sourceline)
        if highest == last:
            self._problem(SIGNED, "may stand only once")
        return last

    def _no_attributes(self, element: etree._Element, path: str) -> None:
        hints = _HINTS if path == "alert" else frozenset()
        if any(name not in hints for name in element.attrib):
            self._problem(path, "has an attribute, and CAP 1.2 has none")

    def _no_text(self, text: str | None, path: str) -> None:
        if text and text.strip():
            self._problem(path, "has text between its elements")


def _short(name: str) -> str:
    """An unknown element's name, as far as a problem repeats it."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
