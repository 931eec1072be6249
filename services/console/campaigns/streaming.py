"""Reads a form with a file while it comes in: the fields first, then the file piece by piece.

A file of recipients is full of numbers: it is handed on as it arrives and written nowhere, neither
on disk nor whole in memory. So the file must be the form's last part, as the page has it; fields
after it are not read.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

PIECE = 256 * 1024
"""Bytes of a piece that is handed on."""
_MOST_FIELDS = 32
_LONGEST_FIELD = 4096


class BadForm(Exception):
    """It is no such form, or breaks off, or is too long; says which."""


@dataclass(slots=True)
class _Part:
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)


class FileForm:
    """A form on its way in. Read `fields` first, then `pieces` once.

    `most`: bytes of the file at most; a longer one raises BadForm in `pieces`.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes], most: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise BadForm("it must be a form with a file")
        self.given: dict[str, str] = {}
        self.filename = ""
        self._body = body
        self._most = most
        self._part = _Part()
        self._header = bytearray()
        self._header_value = bytearray()
        self._file: list[bytes] = []
        self._in_file = self._file_over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_end,
            },
        )

    async def fields(self) -> dict[str, str]:
        """The fields before the file. Raises BadForm, also when no file follows."""
        while not (self._in_file or self._file_over):
            if not await self._more():
                raise BadForm("it has no file")
        return self.given

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file's bytes in order. Raises BadForm."""
        read, waiting = 0, bytearray()
        while True:
            for data in self._file:
                read += len(data)
                if read > self._most:
                    raise BadForm("the file is too long")
                waiting += data
            self._file.clear()
            while len(waiting) >= PIECE:
                yield bytes(waiting[:PIECE])
                del waiting[:PIECE]
            if self._file_over:
                break
            if not await self._more():
                raise BadForm("it broke off")
        if waiting:
            yield bytes(waiting)

    async def _more(self) -> bool:
        data = await anext(self._body, b"")
        # The stream of a request ends with an empty piece.
        if not data:
            return False
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise BadForm("it can't be read") from None
        return True

    def _on_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                self._part.filename = options[b"filename"].decode("utf-8", "replace")
        self._header.clear()
        self._header_value.clear()

    def _on_headers(self) -> None:
        if self._part.filename is not None and not self._file_over:
            self.filename = self._part.filename
            self._in_file = True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._file.append(bytes(data[start:end]))
        elif not self._file_over:
            self._part.value += data[start:end]
            if len(self._part.value) > _LONGEST_FIELD or len(self.given) >= _MOST_FIELDS:
                raise BadForm("it has too much in its fields")

    def _on_end(self) -> None:
        if self._in_file:
            self._in_file, self._file_over = False, True
        elif not self._file_over:
            self.given[self._part.name] = self._part.value.decode("utf-8", "replace")
