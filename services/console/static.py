"""The built files, held in memory: a name's address has the hash of what it holds, so a browser
keeps it for good and never has an old one. Compressed once; of pages only the wave is
(`rendering.packed`), since others hold secrets beside what a request brought (BREACH)."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).with_name("static")
PREFIX = "/static/"
_TYPES = {
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".woff2": b"font/woff2",
    ".png": b"image/png",
}
_FOR_GOOD = b"public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """One file: as it is, compressed (empty where that is not smaller), and its hash."""

    body: bytes
    packed: bytes
    kind: bytes
    digest: str


class Static:
    """An ASGI application for what is below /static/. Raises ValueError for a file whose kind it
    does not know."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._files

    def url(self, name: str) -> str:
        """The address of a file, relative to the console. Raises KeyError."""
        return f"{PREFIX}{name}?v={self._files[name].digest}"

    def bytes_sent(self, name: str) -> int:
        """How many bytes a browser that takes gzip gets of a file. Raises KeyError."""
        file = self._files[name]
        return len(file.packed or file.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._files.get(scope["path"].removeprefix(PREFIX))
        if file is None or scope["method"] not in {"GET", "HEAD"}:
            await _send(send, 404, [(b"cache-control", b"no-store")], b"")
            return
        known = scope["query_string"] == f"v={file.digest}".encode()
        headers = [
            (b"content-type", file.kind),
            (b"cache-control", _FOR_GOOD if known else b"no-cache"),
            (b"etag", f'"{file.digest}"'.encode()),
            (b"vary", b"accept-encoding"),
        ]
        sent = dict(scope["headers"])
        if sent.get(b"if-none-match") == f'"{file.digest}"'.encode():
            await _send(send, 304, headers, b"")
            return
        body = file.body
        if file.packed and b"gzip" in sent.get(b"accept-encoding", b""):
            body = file.packed
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(body)).encode()))
        await _send(send, 200, headers, b"" if scope["method"] == "HEAD" else body)


def _read(path: Path) -> File:
    kind = _TYPES.get(path.suffix)
    if kind is None:
        raise ValueError(f"{path.name} in {path.parent} is of no kind that is served")
    body = path.read_bytes()
    packed = gzip.compress(body, 9, mtime=0)
    return File(
        body,
        packed if len(packed) < 0.9 * len(body) else b"",
        kind,
        hashlib.sha256(body).hexdigest()[:16],
    )


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
