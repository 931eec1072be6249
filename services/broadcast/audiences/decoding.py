"""From a file's bytes to text: in the encoding that it declares itself, or that the caller does.

A byte order mark decides. Without one the file is taken for UTF-8 (or UTF-16, where every other
byte is NUL), and the first bytes that are no UTF-8 end it: a wrong guess would turn names into
others without anybody seeing it. Where the encoding is certain, what is no character in it becomes
U+FFFD, by which its row is known. Pure.
"""

import codecs

from services.broadcast.audiences.rows import BadFile

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1256", "windows-1252")
"""What may be declared."""
_PYTHON = {"windows-1256": "cp1256", "windows-1252": "cp1252"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAY = (
    "say in which encoding it was saved (windows-1256 where Windows is Arabic, windows-1252 where "
    "it is English or French; utf-8 to have such rows listed and the rest kept), or save it again "
    'as "CSV UTF-8"'
)


class Decoder:
    """Decodes one file. `encoding` is one of ENCODINGS, or "" when nobody declared it. Raises
    BadFile when it is none of them, and when the bytes are not what was declared."""

    def __init__(self, encoding: str = "") -> None:
        declared = encoding.strip().lower().replace("_", "-")
        declared = {"cp1256": "windows-1256", "cp1252": "windows-1252", "utf8": "utf-8"}.get(
            declared, declared
        )
        if declared and declared not in ENCODINGS:
            raise BadFile(
                "encoding",
                f"the encoding declared is not known; give one of {', '.join(ENCODINGS)}",
            )
        self._declared = declared
        self._decoder: codecs.IncrementalDecoder | None = None
        self._strict = False
        self._suspected = declared in _PYTHON
        self._lines = 0

    def decode(self, data: bytes, final: bool = False) -> str:
        """The text of the next bytes; the first call has the file's beginning, 4 bytes or all of
        it."""
        if self._decoder is None:
            data = self._begin(data)
        assert self._decoder is not None
        if self._suspected and not data.isascii():
            self._suspected = False
            if _is_utf8(data):
                raise BadFile(
                    "encoding",
                    f"the file was declared as {self._declared}, but it is UTF-8; declare utf-8, "
                    "or nothing",
                )
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            line = self._lines + error.object.count(b"\n", 0, error.start) + 1
            raise BadFile("encoding", f"the bytes are not UTF-8; {_SAY}", line) from None
        if self._strict:
            self._lines += data.count(b"\n")
        return text

    def _begin(self, data: bytes) -> bytes:
        if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise BadFile("encoding", 'the file is UTF-32; save it again as "CSV UTF-8"')
        marked, skip = next(
            ((name, len(mark)) for mark, name in _MARKS if data.startswith(mark)), ("", 0)
        )
        declared = self._declared
        if marked and declared and not marked.startswith(declared):
            raise BadFile(
                "encoding",
                f"the file was declared as {declared}, but begins as {marked} does; declare "
                f"{marked}, or nothing",
            )
        wide = _wide(data) if not marked and declared in ("", "utf-16") else ""
        if declared == "utf-16" and not marked and not wide:
            raise BadFile(
                "encoding",
                "the file was declared as utf-16 and does not begin with a byte order mark; "
                "declare utf-16-le or utf-16-be, or nothing",
            )
        name = marked or wide or declared
        self._strict = not name
        self._decoder = codecs.getincrementaldecoder(_PYTHON.get(name, name or "utf-8"))(
            "strict" if self._strict else "replace"
        )
        return data[skip:]


def _wide(data: bytes) -> str:
    """Which UTF-16 the bytes are, by the NULs that separators and digits have in it; "" when they
    are none, or it is not plain."""
    head = data[: 4096 * 2]
    half = len(head) // 2
    if half < 4:
        return ""
    even, odd = head[::2].count(0), head[1::2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    if max(even, odd) <= half // 5 or min(even, odd) > 0:
        return ""
    # A few stray NULs in a file of single bytes would make far-off characters of its letters.
    near = sum(char < "\u2100" for char in head[: half * 2].decode(name, "replace"))
    return name if near > half * 9 // 10 else ""


def _is_utf8(data: bytes) -> bool:
    """Whether bytes that are not all ASCII are UTF-8, apart from a character cut at the end. A
    word in a code page of single bytes never is by chance: letters stand beside each other."""
    try:
        text = codecs.getincrementaldecoder("utf-8")("strict").decode(data)
    except UnicodeDecodeError:
        return False
    return not text.isascii()
