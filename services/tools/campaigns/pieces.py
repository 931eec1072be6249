"""A file on its way to the service, a piece at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mawja.broadcast.v1.campaigns_pb2 import UploadAudienceRequest, UploadAudienceStart


class Pieces:
    """A file, read a piece at a time. `sent`: called with the bytes that went so far."""

    SIZE = 256 * 1024

    def __init__(self, path: Path, sent: Any) -> None:
        self._path = path
        self._sent = sent

    def requests(self, start: UploadAudienceStart) -> Iterator[UploadAudienceRequest]:
        """The file from its beginning."""
        yield UploadAudienceRequest(start=start)
        for data in self.data():
            yield UploadAudienceRequest(data=data)

    def data(self) -> Iterator[bytes]:
        """Its bytes from the beginning."""
        gone = 0
        with self._path.open("rb") as file:
            while data := file.read(self.SIZE):
                yield data
                gone += len(data)
                self._sent(gone)
