"""Looks at an alert's bytes before anything is built from them: size, depth, and no DTD at all.

CAP needs no document type, so one is refused where it begins: nothing is ever expanded, read from
elsewhere or given by default. expat reads as a stream and forgets, so that what is too large or too
deep costs no memory.
"""

from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from services.broadcast.cap.model import (
    MAX_AREAS,
    MAX_BYTES,
    MAX_INFOS,
    CapError,
    Problem,
)

_MAX_DEPTH = 16
_MAX_ELEMENTS = 30_000
_MAX_ATTRIBUTES = 16
_MAX_ATTRIBUTE = 2_048
"""Characters of an attribute's name and value together; CAP itself has none."""
_ENCODINGS = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1"})
_LIMITED = {"info": MAX_INFOS, "area": MAX_AREAS}


def inspect(data: bytes) -> None:
    """Raises CapError when the bytes aren't XML that may be read at all."""
    if len(data) > MAX_BYTES:
        _refuse(f"the alert is larger than {MAX_BYTES} bytes", None)
    if not data.strip():
        _refuse("the file is empty", None)
    parser = expat.ParserCreate()
    looks = _Looks(parser)
    parser.XmlDeclHandler = looks.declared
    parser.StartDoctypeDeclHandler = looks.doctype
    parser.StartElementHandler = looks.begin
    parser.EndElementHandler = looks.end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        _refuse(f"this is not well-formed XML: {expat.ErrorString(error.code)}", error.lineno)
    except (LookupError, ValueError) as error:
        if isinstance(error, CapError):
            raise
        _refuse("the encoding is not known; save the alert as UTF-8", parser.CurrentLineNumber)


def _refuse(rule: str, line: int | None) -> NoReturn:
    raise CapError(Problem("alert", line, rule))


@dataclass(slots=True)
class _Looks:
    parser: expat.XMLParserType
    depth: int = 0
    elements: int = 0
    infos: int = 0
    areas: int = 0

    def declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            self.refuse("the encoding must be UTF-8")

    def doctype(self, name: str, system: str | None, public: str | None, inside: int) -> None:
        self.refuse("a document type (DTD) with its entities is not allowed; take it out")

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        local = name.rpartition(":")[2]
        if local == "info":
            self.infos += 1
        elif local == "area":
            self.areas += 1
        if self.depth > _MAX_DEPTH:
            self.refuse(f"elements stand more than {_MAX_DEPTH} deep")
        if self.elements > _MAX_ELEMENTS:
            self.refuse(f"there are more than {_MAX_ELEMENTS} elements")
        if self.infos > _LIMITED["info"]:
            self.refuse(f"there are more than {MAX_INFOS} info blocks; send several alerts")
        if self.areas > _LIMITED["area"]:
            self.refuse(f"there are more than {MAX_AREAS} areas; send several alerts")
        if len(attributes) > _MAX_ATTRIBUTES:
            self.refuse(f"an element has more than {_MAX_ATTRIBUTES} attributes")
        if any(len(key) + len(value) > _MAX_ATTRIBUTE for key, value in attributes.items()):
            self.refuse(f"an attribute is longer than {_MAX_ATTRIBUTE} characters")

    def end(self, name: str) -> None:
        self.depth -= 1

    def refuse(self, rule: str) -> NoReturn:
        _refuse(rule, self.parser.CurrentLineNumber)
